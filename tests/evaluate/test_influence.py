"""A picture's influence is the derivative of scikit-learn's figure by the picture's weight."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from pizzaiolo.evaluate import influence, metrics

STEP = 1e-5


def derivative(figure: Callable[[Any], float], count: int) -> Any:
    """How the figure changes with each picture's weight, by trying it."""
    found = []
    for row in range(count):
        more, less = np.ones(count), np.ones(count)
        more[row] += STEP
        less[row] -= STEP
        found.append((figure(more) - figure(less)) / (2 * STEP))
    return np.array(found)


@st.composite
def tables(draw: Any) -> tuple[Any, Any, Any]:
    """Truth [N] with every class, prediction [N], and probabilities [N, C] with ties."""
    classes = draw(st.integers(2, 4))
    truth = np.array(draw(st.permutations(list(range(classes)) * draw(st.integers(1, 4)))))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = generator.integers(1, 5, (len(truth), classes)).astype(float)
    return truth, generator.integers(0, classes, len(truth)), raw / raw.sum(axis=1, keepdims=True)


@settings(deadline=None, max_examples=40)
@given(tables())
def test_of_the_ranks(table: tuple[Any, Any, Any]) -> None:
    truth, _, probabilities = table
    classes = probabilities.shape[1]
    asked = [1] if classes == 2 else range(classes)
    for theirs, ours in (
        (sk.roc_auc_score, influence.of_auroc),
        (sk.average_precision_score, influence.of_average_precision),
    ):
        expected = np.mean(
            [
                derivative(
                    lambda w, c=c, f=theirs: f(truth == c, probabilities[:, c], sample_weight=w),
                    len(truth),
                )
                for c in asked
            ],
            axis=0,
        )
        found = ours(truth, probabilities, None)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(tables(), st.booleans())
def test_of_the_counts(table: tuple[Any, Any, Any], one: bool) -> None:
    truth, predicted, probabilities = table
    classes = probabilities.shape[1]
    positive = 1 if one and classes == 2 else None
    matrix = metrics.confusion(truth, predicted, classes)
    options: dict[str, Any] = {"zero_division": 0, "labels": range(classes), "average": "macro"}
    if positive is not None:
        options = {"zero_division": 0, "pos_label": 1}
    theirs: dict[str, Any] = {
        "accuracy": lambda w: sk.accuracy_score(truth, predicted, sample_weight=w),
        "precision": lambda w: sk.precision_score(truth, predicted, sample_weight=w, **options),
        "recall": lambda w: sk.recall_score(truth, predicted, sample_weight=w, **options),
        "f1": lambda w: sk.f1_score(truth, predicted, sample_weight=w, **options),
        "balanced_accuracy": lambda w: sk.recall_score(
            truth, predicted, sample_weight=w, average="macro", zero_division=0
        ),
    }
    found = influence.of_headline(truth, predicted, matrix, positive)
    assert set(found) == set(theirs)
    for name, figure in theirs.items():
        expected = derivative(figure, len(truth))
        np.testing.assert_allclose(found[name], expected, atol=1e-6, err_msg=name)


@settings(deadline=None, max_examples=40)
@given(tables())
def test_of_the_means_weighted_by_pictures(table: tuple[Any, Any, Any]) -> None:
    truth, predicted, probabilities = table
    matrix = metrics.confusion(truth, predicted, probabilities.shape[1])
    options: dict[str, Any] = {"zero_division": 0, "average": "weighted"}
    theirs = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
    for name, score in theirs.items():
        expected = derivative(
            lambda w, f=score: f(truth, predicted, sample_weight=w, **options), len(truth)
        )
        found = influence.of_weighted(name, truth, predicted, matrix)
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=name)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_error_of_a_share_is_that_of_a_proportion(case: tuple[int, int]) -> None:
    right, count = case
    hits = np.arange(count) < right
    expected = (right / count * (1 - right / count) / count) ** 0.5
    found = influence.standard_error(influence.of_mean(hits), np.arange(count))
    assert found == pytest.approx(expected)


def test_copies_of_a_picture_say_no_more_than_one() -> None:
    hits = np.array([1, 1, 0, 1, 0, 1, 1])
    once = influence.standard_error(influence.of_mean(hits), np.arange(7))
    copies, codes = np.repeat(hits, 3), np.repeat(np.arange(7), 3)
    assert influence.standard_error(influence.of_mean(copies), codes) == pytest.approx(once)
    assert influence.standard_error(influence.of_mean(copies), np.arange(21)) < 0.6 * once


def test_without_a_curve_there_is_no_influence() -> None:
    assert influence.of_auroc(np.zeros(3, int), np.full((3, 2), 0.5), 1) is None
    assert influence.of_average_precision(np.array([0, 1]), np.full((2, 2), np.nan), 1) is None


def test_groups_become_numbers() -> None:
    assert influence.group_codes(["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]
