"""Every metric equals scikit-learn's, on random tables and at the edges."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from pizzaiolo.evaluate import metrics


@st.composite
def tables(draw: Any, classes: int | None = None) -> tuple[Any, Any, int]:
    """Truth [N], prediction [N] and the number of classes; some classes may be absent."""
    count = classes or draw(st.integers(2, 5))
    pairs = st.lists(
        st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), min_size=1, max_size=60
    )
    truth, predicted = np.array(draw(pairs)).T
    return truth, predicted, count


@given(tables())
def test_counts_and_ratios_are_scikit_learns(table: tuple[Any, Any, int]) -> None:
    truth, predicted, count = table
    names = range(count)
    matrix = metrics.confusion(truth, predicted, count)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(truth, predicted, labels=names))
    assert metrics.accuracy(matrix) == pytest.approx(sk.accuracy_score(truth, predicted))
    expected = sk.precision_recall_fscore_support(
        truth, predicted, labels=names, zero_division=0
    )  # fmt: skip
    found = (metrics.precisions(matrix), metrics.recalls(matrix), metrics.f1s(matrix))
    for ours, theirs in zip(found, expected, strict=False):
        np.testing.assert_allclose(ours, theirs)


@given(tables())
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_balanced_accuracy_is_scikit_learns(table: tuple[Any, Any, int]) -> None:
    truth, predicted, count = table
    found = metrics.balanced_accuracy(metrics.confusion(truth, predicted, count))
    assert found == pytest.approx(sk.balanced_accuracy_score(truth, predicted))


@given(tables(classes=2), st.integers(0, 1))
def test_the_headline_is_of_the_positive_class(table: tuple[Any, Any, int], positive: int) -> None:
    truth, predicted, _ = table
    found = metrics.headline(metrics.confusion(truth, predicted, 2), positive)
    options = {"pos_label": positive, "zero_division": 0}
    assert found["precision"] == pytest.approx(sk.precision_score(truth, predicted, **options))
    assert found["recall"] == pytest.approx(sk.recall_score(truth, predicted, **options))
    assert found["f1"] == pytest.approx(sk.f1_score(truth, predicted, **options))


@given(tables())
def test_without_a_positive_class_the_headline_is_the_mean(table: tuple[Any, Any, int]) -> None:
    truth, predicted, count = table
    found = metrics.headline(metrics.confusion(truth, predicted, count), None)
    options = {"average": "macro", "labels": range(count), "zero_division": 0}
    assert found["precision"] == pytest.approx(sk.precision_score(truth, predicted, **options))
    assert found["f1"] == pytest.approx(sk.f1_score(truth, predicted, **options))


@st.composite
def scored(draw: Any) -> tuple[Any, Any]:
    """Truth [N] with every class present, and probabilities [N, C] with ties."""
    classes = draw(st.integers(2, 4))
    truth = draw(st.permutations(list(range(classes)) * draw(st.integers(1, 6))))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = generator.integers(1, 6, (len(truth), classes)).astype(float)
    return np.array(truth), raw / raw.sum(axis=1, keepdims=True)


@given(scored())
def test_auroc_is_the_chance_that_a_right_picture_scores_above_a_wrong_one(
    table: tuple[Any, Any],
) -> None:
    truth, probabilities = table
    areas = []
    for index in range(probabilities.shape[1]):
        inside = probabilities[truth == index, index][:, None]
        outside = probabilities[truth != index, index][None]
        areas.append(((inside > outside) + 0.5 * (inside == outside)).mean())
    if len(areas) == 2:
        for positive in (0, 1):
            assert metrics.auroc(truth, probabilities, positive) == pytest.approx(areas[positive])
    expected = areas[1] if len(areas) == 2 else np.mean(areas)
    assert metrics.auroc(truth, probabilities, None) == pytest.approx(expected)


@given(scored())
def test_auroc_is_scikit_learns(table: tuple[Any, Any]) -> None:
    truth, probabilities = table
    two = probabilities.shape[1] == 2
    scores = probabilities[:, 1] if two else probabilities
    expected = sk.roc_auc_score(truth, scores, multi_class="ovr")
    assert metrics.auroc(truth, probabilities, None) == pytest.approx(expected)


@given(scored())
def test_average_precision_is_scikit_learns(table: tuple[Any, Any]) -> None:
    truth, probabilities = table
    if probabilities.shape[1] == 2:
        for positive in (0, 1):
            expected = sk.average_precision_score(truth == positive, probabilities[:, positive])
            found = metrics.average_precision(truth, probabilities, positive)
            assert found == pytest.approx(expected)
        return
    expected = sk.average_precision_score(truth, probabilities)
    assert metrics.average_precision(truth, probabilities, None) == pytest.approx(expected)


@given(scored())
def test_log_loss_and_brier_score_are_scikit_learns(table: tuple[Any, Any]) -> None:
    truth, probabilities = table
    names = range(probabilities.shape[1])
    expected = sk.log_loss(truth, probabilities, labels=names)
    assert metrics.log_loss(truth, probabilities) == pytest.approx(expected)
    squares = sk.brier_score_loss(truth, probabilities, labels=list(names))
    assert metrics.brier(truth, probabilities) == pytest.approx(squares)


@given(scored(), st.integers(1, 3))
def test_top_k_is_scikit_learns(table: tuple[Any, Any], k: int) -> None:
    truth, probabilities = table
    found = metrics.top_k(truth, probabilities, k)
    if k >= probabilities.shape[1]:
        assert found is None
    elif probabilities.shape[1] > 2:
        assert found == pytest.approx(sk.top_k_accuracy_score(truth, probabilities, k=k))
    else:
        assert 0 <= (found if found is not None else 9) <= 1


def test_a_certain_mistake_costs_much_and_not_infinitely() -> None:
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert metrics.log_loss(np.array([0, 1]), certain) == pytest.approx(0)
    wrong = metrics.log_loss(np.array([1, 1]), certain)
    assert wrong == pytest.approx(sk.log_loss([1, 1], certain, labels=[0, 1]))
    assert wrong is not None and 10 < wrong < 100
    assert metrics.brier(np.array([1, 1]), certain) == pytest.approx(0.5)


@given(tables())
def test_averages_over_the_classes_are_scikit_learns(table: tuple[Any, Any, int]) -> None:
    truth, predicted, count = table
    found = metrics.averages(metrics.confusion(truth, predicted, count))
    for average in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(
            truth, predicted, labels=range(count), average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert found[average][name] == pytest.approx(value)


UNDEFINED = {
    "auroc": lambda t, p: metrics.auroc(t, p, None),
    "average precision": lambda t, p: metrics.average_precision(t, p, None),
    "log loss": metrics.log_loss,
    "brier": metrics.brier,
    "top 1": lambda t, p: metrics.top_k(t, p, 1),
    "ece": lambda t, p: metrics.ece(t == 0, p[:, 0]),
}


@pytest.mark.parametrize("name", UNDEFINED)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_with_a_probability_that_is_no_number_a_figure_is_undefined(name: str, bad: float) -> None:
    truth, probabilities = np.array([0, 1, 2, 0]), np.full((4, 3), 1 / 3)
    assert UNDEFINED[name](truth, probabilities) is not None
    probabilities[2] = bad
    assert UNDEFINED[name](truth, probabilities) is None


@pytest.mark.parametrize("name", [n for n in UNDEFINED if n not in ("auroc", "average precision")])
def test_one_class_alone_has_a_right_figure_all_the_same(name: str) -> None:
    assert UNDEFINED[name](np.zeros(4, int), np.full((4, 3), 1 / 3)) is not None


def test_average_precision_of_a_split_that_lacks_a_class_is_undefined() -> None:
    assert metrics.average_precision(np.zeros(5, int), np.full((5, 2), 0.5), 1) is None


def test_no_roc_curve_of_one_class_or_of_what_is_no_number() -> None:
    assert metrics.roc_points(np.zeros(5, int), np.linspace(0, 1, 5), 1) == []
    assert metrics.roc_points(np.array([0, 1]), np.array([0.5, np.nan]), 1) == []


def test_auroc_of_a_split_that_lacks_a_class_is_undefined() -> None:
    assert metrics.auroc(np.zeros(5, int), np.full((5, 2), 0.5), 1) is None
    assert metrics.auroc(np.array([0, 1, 1]), np.full((3, 3), 1 / 3), None) is None


outcomes = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=80)


@given(outcomes, st.integers(1, 15))
def test_bins_hold_every_answer_once_and_almost_equally(
    answers: list[tuple[bool, float]], bins: int
) -> None:
    right, confidence = np.array([a[0] for a in answers]), np.array([a[1] for a in answers])
    table = np.stack(metrics.reliability(right, confidence, bins))
    assert table[:, 2].sum() == len(answers) and np.ptp(table[:, 2]) <= 1
    assert (np.diff(table[:, 0]) >= -1e-12).all()
    assert (table[:, 1] * table[:, 2]).sum() == pytest.approx(right.sum())
    assert 0 <= metrics.ece(right, confidence, bins) <= 1


@given(outcomes)
def test_in_one_bin_the_gap_is_that_of_the_means(answers: list[tuple[bool, float]]) -> None:
    right, confidence = np.array([a[0] for a in answers]), np.array([a[1] for a in answers])
    gap = abs(right.mean() - confidence.mean())
    assert metrics.ece(right, confidence, bins=1) == pytest.approx(gap)
    assert metrics.ece(right, confidence) >= gap - 1e-12


@pytest.mark.parametrize(
    ("right", "confidence", "expected"),
    [
        ([True] * 20, [1.0] * 20, 0.0),
        ([False] * 20, [1.0] * 20, 1.0),
        ([True, False] * 10, [0.5] * 20, 0.0),
        ([True] * 10 + [False] * 10, [0.9] * 20, 0.5),
    ],
)
def test_ece_by_hand(right: list[bool], confidence: list[float], expected: float) -> None:
    found = metrics.ece(np.array(right), np.array(confidence), bins=2)
    assert found == pytest.approx(expected)


@given(scored())
def test_the_roc_curve_runs_from_corner_to_corner(table: tuple[Any, Any]) -> None:
    truth, probabilities = table
    points = np.array(metrics.roc_points(truth, probabilities[:, 1], 1))
    assert tuple(points[0]) == (0, 0) and tuple(points[-1]) == (1, 1)
    assert (np.diff(points, axis=0) >= 0).all()


def test_a_long_roc_curve_is_thinned() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 20_000)
    assert len(metrics.roc_points(truth, generator.random(20_000), 1)) < 450
