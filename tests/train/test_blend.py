from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from pizzaiolo.train.blend import SHARES, choose_scale, choose_share


def answers(count: int, right: float, size: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits [N, 2] that are right for a share of the pictures, and the truth."""
    draw = torch.Generator().manual_seed(seed)
    truth = torch.arange(count) % 2
    said = torch.where(torch.rand(count, generator=draw) < right, truth, 1 - truth)
    return size * (2 * torch.nn.functional.one_hot(said, 2) - 1).float(), truth


def guesses(count: int, seed: int = 0) -> Tensor:
    """Logits [N, 2] that have nothing to do with the truth, and are sure of it."""
    return 10 * torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


def test_what_was_known_is_left_out_where_it_is_of_no_use() -> None:
    good, truth = answers(200, 0.97)
    assert choose_share(good, guesses(200), truth) == 0


def test_what_was_known_is_kept_where_it_is_better() -> None:
    poor, truth = answers(200, 0.8)
    good, _ = answers(200, 0.98, seed=1)
    assert choose_share(poor, good, truth) == max(SHARES)


def test_what_was_known_is_kept_where_it_makes_no_difference() -> None:
    good, truth = answers(200, 0.9)
    assert choose_share(good, 0.1 * good, truth) == max(SHARES)


def test_what_was_known_is_kept_until_its_harm_is_beyond_doubt() -> None:
    good, truth = answers(200, 0.95)
    turned = (good.argmax(1) == truth).nonzero()[:2]
    worse = good.clone()
    worse[turned] *= -1  # wrong in two more of them: 1.4 standard errors
    assert choose_share(good, worse, truth) == max(SHARES)


@given(st.integers(1, 40), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_the_share_is_always_one_of_those_offered(count: int, seed: int) -> None:
    a, truth = answers(count, 0.8, seed=seed)
    b, _ = answers(count, 0.7, seed=seed + 1)
    assert choose_share(a, b, truth) in SHARES


def test_the_scale_makes_the_answers_as_sure_as_they_are_right() -> None:
    logits, truth = answers(2000, 0.9, size=10.0)
    scale = choose_scale(logits, truth)
    sure = float((scale * logits).softmax(1).max(1).values.mean())
    right = float((logits.argmax(1) == truth).float().mean())
    assert abs(sure - right) < 0.01


@given(st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_no_other_scale_is_better(factor: float) -> None:
    logits, truth = answers(3000, 0.9, size=1.0)  # so many that one more makes no difference
    best = choose_scale(logits, truth)
    loss = float(cross_entropy(best * logits, truth))
    assert loss <= float(cross_entropy(factor * logits, truth)) + 1e-5


@pytest.mark.parametrize("count", [10, 50, 200])
def test_of_few_pictures_that_are_all_right_it_is_not_sure_that_the_next_is(count: int) -> None:
    """Pain: a few dozen validation pictures without a mistake made every answer quite sure."""
    logits, truth = answers(count, 1.1)
    sure = float((choose_scale(logits, truth) * logits).softmax(1).max())
    assert abs(sure - (count + 1) / (count + 2)) < 1e-3


def test_with_many_classes_few_pictures_of_each_are_many_together() -> None:
    truth = torch.arange(200)
    logits = 12 * torch.nn.functional.one_hot(truth, 200).float()
    sure = float((choose_scale(logits, truth) * logits).softmax(1).max())
    assert sure > 0.99
