"""A time budget: the steps that fit into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.train.budget import Budget


def measured(seconds: float | None, step: float, **facts: int) -> Budget:
    """A budget that has seen ten steps of `step` seconds, after a slow first one."""
    known = {"most": 1000, "steps": 100, "pictures": 800, "validated": 100, **facts}
    budget = Budget(seconds, **known)
    budget.time_step(20 * step)
    for _ in range(9):
        budget.time_step(step)
    return budget


@given(
    seconds=st.floats(1, 1e4),
    step=st.floats(1e-3, 10),
    validation=st.floats(1e-3, 100),
    done=st.integers(0, 500),
)
def test_what_is_planned_ends_in_time(
    seconds: float, step: float, validation: float, done: int
) -> None:
    budget = measured(seconds, step)
    budget.validation = validation
    left = budget.plan(done) - done
    assert 0 <= left <= 1000 - min(done, 1000) or done > 1000
    needed = left * step + -(-left // 100) * validation if left > 0 else 0.0
    assert needed <= seconds


def test_a_budget_of_plenty_plans_everything() -> None:
    assert measured(1e6, 0.1).plan(10) == 1000


def test_a_budget_is_used() -> None:
    budget = measured(100.0, 1.0)
    budget.validation = 5.0
    assert 80 <= budget.plan(0) <= 95


def test_without_a_budget_everything_is_planned() -> None:
    budget = measured(None, 1e6)
    assert budget.plan(3) == 1000 and not budget.over()


@pytest.mark.parametrize(("spent", "over"), [(0.0, False), (94.0, False), (96.0, True)])
def test_it_is_over_when_there_is_just_time_to_validate(spent: float, over: bool) -> None:
    budget = measured(100.0, 1e-3)
    budget.validation, budget.spent = 5.0, spent
    assert budget.over() is over


def test_validation_is_estimated_until_it_is_measured() -> None:
    quick, slow = measured(100.0, 1.0), measured(100.0, 1.0, validated=800)
    assert quick.plan(0) > slow.plan(0)
