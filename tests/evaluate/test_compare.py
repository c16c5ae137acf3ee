"""Two models on the same pictures: the difference, its interval, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.errors import UsageError
from pizzaiolo.evaluate.compare import (
    BETTER,
    NOISE,
    WORSE,
    compare,
    difference_interval,
    mcnemar,
)

LABELS = Labels(("not_pizza", "pizza"), positive="pizza")


def answered(truth: Any, right: Any, groups: Any = None) -> Predictions:
    """Predictions that are right where they should be."""
    truth, right = np.asarray(truth, int), np.asarray(right, bool)
    predicted = np.where(right, truth, 1 - truth)
    paths = tuple(f"{i}.jpg" for i in range(len(truth)))
    probabilities = np.where(np.eye(2)[predicted] == 1, 0.9, 0.1)
    return Predictions(LABELS, "test", paths, truth, probabilities, tuple(groups or paths))


def reordered(table: Predictions, order: Any) -> Predictions:
    return replace(
        table,
        paths=tuple(table.paths[i] for i in order),
        truth=table.truth[order],
        probabilities=table.probabilities[order],
        groups=tuple(table.groups[i] for i in order),
    )


outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(outcomes)
def test_the_difference_is_that_of_the_accuracies(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    truth = np.arange(len(pairs)) % 2
    found = compare(answered(truth, first), answered(truth, second))
    assert found.pictures == len(pairs)
    assert found.first == pytest.approx(first.mean()) and found.second == pytest.approx(
        second.mean()
    )
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert -1 <= found.low < found.high <= 1
    assert found.gained == tuple(f"{i}.jpg" for i in np.flatnonzero(second & ~first))
    assert found.lost == tuple(f"{i}.jpg" for i in np.flatnonzero(first & ~second))
    swapped = compare(answered(truth, second), answered(truth, first))
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
    assert swapped.p_value == pytest.approx(found.p_value)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_p_value_is_that_of_a_fair_coin(first: int, second: int) -> None:
    count, fewer = first + second, min(first, second)
    expected = min(1.0, 2 * float(binom.cdf(fewer, count, 0.5))) if count else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_the_order_of_pictures_and_classes_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 50)
    first = answered(truth, generator.random(50) < 0.8)
    second = answered(truth, generator.random(50) < 0.9)
    expected = compare(first, second)
    assert compare(first, reordered(second, generator.permutation(50))) == expected
    turned = replace(
        second,
        labels=Labels(("pizza", "not_pizza"), positive="pizza"),
        truth=1 - second.truth,
        probabilities=second.probabilities[:, ::-1],
    )
    assert compare(first, turned) == expected


def test_copies_of_pictures_make_the_difference_no_surer() -> None:
    generator = np.random.default_rng(1)
    right, other = generator.random(100) < 0.8, generator.random(100) < 0.9
    low, high = difference_interval(right, other, np.arange(100))
    copied = [np.repeat(values, 4) for values in (right, other, np.arange(100))]
    together = difference_interval(*copied)  # type: ignore[arg-type]
    alone = difference_interval(copied[0], copied[1], np.arange(400))  # type: ignore[arg-type]
    assert together[1] - together[0] == pytest.approx(high - low, rel=0.05)
    assert alone[1] - alone[0] < 0.6 * (high - low)


def test_models_that_answer_alike_are_not_proven_equal() -> None:
    table = answered([0, 1] * 20, [True] * 40)
    found = compare(table, table)
    assert found.difference == 0 and found.p_value == 1
    assert -0.1 < found.low < -0.01 and 0.01 < found.high < 0.1


def test_a_clear_difference_is_told() -> None:
    truth = [0, 1] * 100
    found = compare(answered(truth, [False] * 30 + [True] * 170), answered(truth, [True] * 200))
    assert found.low > 0.08 and found.p_value < 1e-6
    assert len(found.to_dict()["gained"]) == 30 and found.to_dict()["verdict"] == BETTER
    json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("first", "second", "verdict", "words"),
    [
        (30, 0, BETTER, "Better than b.onnx: +15.0 points"),
        (0, 30, WORSE, "Worse than b.onnx: -15.0 points"),
        (4, 0, NOISE, "Within noise of b.onnx: +2.0 points"),  # p = 0.125
        (0, 0, NOISE, "Within noise of b.onnx: +0.0 points"),
    ],
)
def test_the_difference_is_told_in_words(first: int, second: int, verdict: str, words: str) -> None:
    truth, place = [0, 1] * 100, np.arange(200)
    found = compare(answered(truth, place >= first), answered(truth, place < 200 - second))
    assert found.verdict == verdict and found.told("b.onnx").startswith(words)
    assert ("p < 0.001" if verdict != NOISE else "p = ") in found.told("b.onnx")


def test_copies_of_one_picture_make_no_model_better() -> None:
    """The test alone would say so: it takes twenty copies for twenty pictures."""
    truth, place = [0, 1] * 100, np.arange(200)
    groups = ["same" if i < 20 else str(i) for i in place]
    found = compare(answered(truth, place >= 20, groups), answered(truth, place >= 0, groups))
    assert found.p_value < 1e-5 and found.low < 0 and found.verdict == NOISE


def test_other_pictures_are_refused() -> None:
    table = answered([0, 1, 1], [True] * 3)
    other = replace(table, paths=("0.jpg", "1.jpg", "new.jpg"))
    with pytest.raises(UsageError, match=r"2 are in one table only, such as 2\.jpg, new\.jpg"):
        compare(table, other)
    with pytest.raises(UsageError, match="different pictures"):
        compare(table, answered([0, 1], [True] * 2))
    empty = answered([], [])
    with pytest.raises(UsageError, match="at least one"):
        compare(empty, empty)
    twice = replace(answered([0, 1, 1, 1], [True] * 4), paths=("0.jpg", "1.jpg", "2.jpg", "2.jpg"))
    with pytest.raises(UsageError, match="3 and 4 rows"):
        compare(table, twice)


def test_another_truth_or_other_classes_are_refused() -> None:
    table = answered([0, 1, 1], [True] * 3)
    with pytest.raises(UsageError, match=r"2\.jpg is 'pizza' in one table and 'not_pizza'"):
        compare(table, answered([0, 1, 0], [True] * 3))
    with pytest.raises(UsageError, match="different classes"):
        compare(table, replace(table, labels=Labels(("cat", "dog"))))
