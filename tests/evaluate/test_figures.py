"""Every figure with its interval: scikit-learn's values, and right or undefined at the edges."""

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate.figures import (
    Figure,
    all_figures,
    average_figures,
    class_figures,
    main_figures,
    top_figures,
)
from pizzaiolo.evaluate.intervals import wilson


def predictions(truth: Any, probabilities: Any, groups: Any = None) -> Predictions:
    classes = probabilities.shape[1]
    names = tuple("abcdefgh"[:classes])
    paths = tuple(map(str, range(len(truth))))
    labels = Labels(names, positive="b" if classes == 2 else None)
    return Predictions(labels, "test", paths, truth, probabilities, tuple(groups or paths))


@st.composite
def tables(draw: Any) -> Predictions:
    """A table where every class occurs, of two to seven classes."""
    classes = draw(st.integers(2, 7))
    truth = np.array(draw(st.permutations(list(range(classes)) * draw(st.integers(1, 5)))))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = generator.integers(1, 9, (len(truth), classes)).astype(float)
    groups = generator.integers(0, len(truth), len(truth)).astype(str).tolist()
    return predictions(truth, raw / raw.sum(axis=1, keepdims=True), groups)


@settings(deadline=None, max_examples=40)
@given(tables())
def test_figures_are_scikit_learns_and_lie_in_their_intervals(table: Predictions) -> None:
    found = all_figures(table, 0, 0)
    truth, predicted, probabilities = table.truth, table.predicted, table.probabilities
    two = probabilities.shape[1] == 2
    average = {"average": "binary" if two else "macro", "zero_division": 0}
    scores = probabilities[:, 1] if two else probabilities
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, **average),
        "recall": sk.recall_score(truth, predicted, **average),
        "f1": sk.f1_score(truth, predicted, **average),
        "auroc": sk.roc_auc_score(truth, scores, multi_class="ovr"),
        "average_precision": sk.average_precision_score(truth, scores),
        "log_loss": sk.log_loss(truth, probabilities),
        "brier": sk.brier_score_loss(truth, probabilities, labels=list(range(scores.shape[-1]))
                                     if not two else [0, 1]),
    }  # fmt: skip
    if probabilities.shape[1] > 5:
        expected["top_5"] = sk.top_k_accuracy_score(truth, probabilities, k=5)
    assert set(found) == set(expected) | {"ece"}
    if two and not predicted.any():
        assert found.pop("precision") == Figure(), "no answer of the class: undefined"
        del expected["precision"]
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
    for name, figure in found.items():
        assert figure.value is not None and figure.low is not None and figure.high is not None
        assert figure.low >= 0 and figure.low - 1e-12 <= figure.value <= figure.high + 1e-12, name


@settings(deadline=None, max_examples=40)
@given(tables())
def test_figures_of_each_class_are_scikit_learns(table: Predictions) -> None:
    found = class_figures(table)
    expected = sk.precision_recall_fscore_support(
        table.truth, table.predicted, labels=range(len(table.labels.names)), zero_division=0
    )
    assert list(found) == list(table.labels.names)
    for index, name in enumerate(table.labels.names):
        for place, ratio in enumerate(("precision", "recall", "f1")):
            figure = found[name][ratio]
            if ratio == "precision" and index not in table.predicted:
                assert figure == Figure(), "never answered: undefined"
                continue
            assert figure.value == pytest.approx(expected[place][index])
            assert figure.low is not None and figure.high is not None
            assert figure.low - 1e-12 <= expected[place][index] <= figure.high + 1e-12


@settings(deadline=None, max_examples=40)
@given(tables())
def test_means_over_the_classes_are_scikit_learns_and_lie_in_their_intervals(
    table: Predictions,
) -> None:
    found = average_figures(table)
    scores = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
    assert list(found) == ["macro", "weighted"]
    for kind, means in found.items():
        assert list(means) == list(scores)
        for name, figure in means.items():
            value = scores[name](table.truth, table.predicted, average=kind, zero_division=0)
            assert figure.value == pytest.approx(value)
            assert 0 <= figure.low <= figure.value + 1e-12 and figure.value <= figure.high + 1e-12
    accuracy = all_figures(table, 0, 0)["accuracy"]
    assert found["weighted"]["recall"].low == pytest.approx(accuracy.low)


@settings(deadline=None, max_examples=40)
@given(tables())
def test_the_likeliest_classes_are_counted_as_in_scikit_learn(table: Predictions) -> None:
    found, classes = top_figures(table), table.probabilities.shape[1]
    assert list(found) == [k for k in (2, 3, 5) if k < classes]
    for k, figure in found.items():
        expected = sk.top_k_accuracy_score(table.truth, table.probabilities, k=k)
        assert figure.value == pytest.approx(expected)
        assert figure.low - 1e-12 <= figure.value <= figure.high + 1e-12


def test_a_class_without_pictures_and_answers_has_no_figures() -> None:
    table = predictions(np.array([0, 1]), np.eye(3)[[0, 1]])
    assert set(class_figures(table)["c"].values()) == {Figure()}
    missed = predictions(np.array([0, 1]), np.eye(3)[[0, 2]])
    found = class_figures(missed)
    assert found["c"]["recall"] == found["b"]["precision"] == Figure()
    assert found["c"]["precision"].value == found["b"]["recall"].value == 0.0


def test_proportions_of_independent_pictures_have_wilsons_interval() -> None:
    truth = np.repeat([0, 1], 50)
    positive = np.where(np.arange(100) % 10 == 0, 1 - truth, truth) * 0.8 + 0.1
    found = all_figures(predictions(truth, np.stack([1 - positive, positive], axis=1)), 0, 0)
    for name, count in (("accuracy", 100), ("recall", 50), ("precision", 50)):
        low, high = wilson(0.9 * count, count)
        assert (found[name].low, found[name].high) == pytest.approx((low, high)), name


def test_without_a_mistake_the_groups_behind_a_figure_tell_how_sure_it_is() -> None:
    truth = np.array([0] * 60 + [1] * 20)
    perfect = np.eye(2)[truth] * 0.8 + 0.1
    found = all_figures(predictions(truth, perfect), 0, 0)
    assert (found["accuracy"].low, found["accuracy"].high) == wilson(80, 80)
    assert (found["recall"].low, found["f1"].low) == (wilson(20, 20)[0],) * 2
    assert found["auroc"].low == wilson(20, 20)[0]
    copies = [str(i // 10) for i in range(80)]
    together = all_figures(predictions(truth, perfect, copies), 0, 0)
    assert together["accuracy"].low == wilson(8, 8)[0]


def test_a_class_that_is_never_answered_has_no_precision() -> None:
    truth = np.array([0, 0, 1, 1])
    found = all_figures(predictions(truth, np.tile([0.9, 0.1], (4, 1))), 0, 0)
    assert found["precision"] == Figure()
    assert found["recall"].value == 0 and found["recall"].high == wilson(0, 2)[1]
    assert found["auroc"].value == 0.5


def test_no_curve_without_both_classes() -> None:
    found = all_figures(predictions(np.zeros(6, int), np.tile([0.9, 0.1], (6, 1))), 0, 0)
    assert found["auroc"] == found["average_precision"] == Figure()
    assert found["accuracy"].value == 1 and found["balanced_accuracy"].value == 1
    assert found["recall"] == Figure()


def test_probabilities_that_are_no_numbers_leave_undefined_what_needs_them() -> None:
    probabilities = np.tile([0.9, 0.1], (6, 1))
    probabilities[3] = np.nan
    found = all_figures(predictions(np.arange(6) % 2, probabilities), 0, 0)
    for name in ("auroc", "average_precision", "ece", "log_loss", "brier"):
        assert found[name] == Figure(), name
    assert found["accuracy"].value == 0.5


def test_constant_answers_have_figures() -> None:
    found = all_figures(predictions(np.arange(40) % 2, np.full((40, 2), 0.5)), 0, 0)
    assert found["auroc"].value == 0.5 and found["ece"].value == 0
    assert found["brier"].value == 0.25
    assert found["log_loss"].value == pytest.approx(np.log(2))


@given(tables())
def test_the_main_figures_are_among_all(table: Predictions) -> None:
    whole, main = all_figures(table, 0, 0), main_figures(table)
    assert {"accuracy", "f1", "log_loss"} <= set(main) < set(whole)
    assert main == {name: whole[name] for name in main}


def test_the_same_seed_gives_the_same_figures() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(80)
    table = predictions(generator.integers(0, 2, 80), np.stack([1 - positive, positive], axis=1))
    assert all_figures(table, 200, 1) == all_figures(table, 200, 1)
    other = replace(table, groups=tuple(str(i // 2) for i in range(80)))
    assert all_figures(other, 200, 1)["accuracy"] != all_figures(table, 200, 1)["accuracy"]


@pytest.mark.slow
def test_a_hundred_classes_of_many_pictures_take_seconds() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 100, 25_000)
    scores = generator.random((25_000, 100)) + 2 * np.eye(100)[truth] * generator.random(
        (25_000, 1)
    )
    names = tuple(map(str, range(100)))
    paths = tuple(map(str, range(25_000)))
    chances = scores / scores.sum(axis=1, keepdims=True)
    table = Predictions(Labels(names), "test", paths, truth, chances, paths)
    started = perf_counter()
    found = all_figures(table, 1000, 0)
    assert perf_counter() - started < 60
    assert found["auroc"].low is not None and found["top_5"].value is not None
