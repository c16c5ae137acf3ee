"""The band of "Not sure": what it leaves out, what it promises of pictures not yet seen."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from pizzaiolo.core.labels import NOT_SURE, Labels
from pizzaiolo.evaluate.band import (
    MOST_ENDS,
    TRUST,
    Band,
    expected_risk,
    reject_band,
    risk_coverage_curve,
)

scored = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8).map(lambda i: i / 8) | st.floats(0, 1)),
    min_size=1,
    max_size=30,
)


def answered(labels: Labels, scores: Any) -> Any:
    """Which pictures get an answer, by the decision that every answer takes."""
    pairs = [[1 - score, score] for score in scores]
    return np.array([labels.decide(pair).verdict != NOT_SURE for pair in pairs])


@given(scored, st.floats(0.3, 0.95), st.floats(0.1, 0.9))
def test_the_band_is_what_the_labels_do(
    pairs: list[tuple[bool, float]], wish: float, threshold: float
) -> None:
    positive, scores = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    right = positive == (scores >= threshold)
    found = reject_band(right, scores, wish, threshold)
    if found.low is None or found.high is None:
        assert found.reason
        return
    assert 0 <= found.low <= threshold <= found.high
    labels = Labels(("n", "p"), "p", threshold, (found.low, found.high))
    kept = answered(labels, scores)
    assert kept.mean() == pytest.approx(found.coverage) and found.reason is None
    assert right[kept].mean() == pytest.approx(found.accuracy)
    confidence = np.where(scores >= threshold, scores, 1 - scores)[kept]
    risk = expected_risk((~right[kept]).sum(), kept.sum(), (1 - confidence).sum())
    assert risk <= 1 - wish + 1e-9 and right[kept].mean() >= wish - 1e-9


@given(scored, st.floats(0.3, 0.95))
def test_no_other_band_answers_more(pairs: list[tuple[bool, float]], wish: float) -> None:
    positive, scores = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    right = positive == (scores >= 0.5)
    found = reject_band(right, scores, wish, 0.5)
    confidence = np.maximum(scores, 1 - scores)
    grid = np.linspace(0, 1, 17)
    for low in grid[:9]:
        for high in (*grid[8:], 1.1):
            kept = (scores < low) | (scores >= high)
            risk = expected_risk((~right[kept]).sum(), kept.sum(), (1 - confidence[kept]).sum())
            if kept.any() and risk <= 1 - wish - 1e-9:
                assert found.coverage is not None and found.coverage >= kept.mean() - 1e-12


@given(scored, st.floats(0.3, 0.95))
def test_with_several_classes_what_is_least_likely_is_left_out(
    pairs: list[tuple[bool, float]], wish: float
) -> None:
    right, scores = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    found = reject_band(right, scores, wish)
    if found.low is None or found.high is None:
        assert found.reason
        return
    kept = scores >= found.high
    assert found.low == 0 and kept.mean() == pytest.approx(found.coverage)
    assert right[kept].mean() == pytest.approx(found.accuracy)


def like_a_model(count: int, generator: Any, noise: float = 0.002) -> tuple[Any, Any]:
    """Right [N] and calibrated scores [N] of a model that is right 97 times of 100, some of whose
    pictures have a wrong label.
    """
    scores = expit(generator.choice([-1, 1], count) * generator.gamma(2.2, 2.6, count))
    positive = generator.random(count) < scores
    return (positive ^ (generator.random(count) < noise)) == (scores >= 0.5), scores


@pytest.mark.parametrize("count", [150, 600])
@pytest.mark.parametrize("wish", [0.97, 0.98, 0.99])
def test_the_wish_comes_true_on_unseen_pictures(count: int, wish: float) -> None:
    """The best band of few pictures would promise too much: here 200 are chosen, and tested.

    What is reached may fall short by one standard error of what so many pictures can tell, and by
    the wrong labels, of which no confidence knows.
    """
    generator = np.random.default_rng(0)
    unseen_right, unseen = like_a_model(100_000, generator)
    reached = []
    for _ in range(200):
        found = reject_band(*like_a_model(count, generator), wish, 0.5)
        if found.low is not None and found.high is not None:
            kept = (unseen < found.low) | (unseen >= found.high)
            reached.append(unseen_right[kept].mean())
    tolerated = (wish * (1 - wish) / (count + TRUST)) ** 0.5
    assert len(reached) > 150 and wish - tolerated - 0.0025 <= np.mean(reached) <= wish + 0.005


def test_more_pictures_bring_the_answers_nearer_to_the_wish() -> None:
    generator = np.random.default_rng(0)
    coverages = [
        np.mean([reject_band(*like_a_model(n, generator), 0.99, 0.5).coverage for _ in range(40)])
        for n in (200, 5000)
    ]
    assert coverages[1] < coverages[0], "of few pictures more is answered than the wish allows"


def test_a_perfect_model_needs_no_band() -> None:
    scores = np.repeat([0.001, 0.999], 200)
    found = reject_band(np.ones(400, bool), scores, 0.99, 0.5)
    assert (found.low, found.high, found.coverage, found.accuracy) == (None, None, 1.0, 1.0)
    assert "no band is needed" in (found.reason or "")


def test_what_cannot_be_reached_names_the_best() -> None:
    found = reject_band(np.arange(40) % 2 == 0, np.full(40, 0.9), 0.99, 0.5)
    assert found.low is None and found.coverage is None
    assert "no band gives an accuracy of 99.0%" in (found.reason or "")
    assert "with 40 of 40 answered" in (found.reason or "")


@pytest.mark.parametrize(("scores", "reason"), [([], "no pictures"), ([0.5, np.nan], "no numbers")])
def test_where_it_is_undefined_the_reason_is_told(scores: list[float], reason: str) -> None:
    found = reject_band(np.ones(len(scores), bool), np.array(scores), 0.9, 0.5)
    assert found == Band(0.9, reason=found.reason) and reason in (found.reason or "")
    assert found.to_dict()["reason"] == found.reason


def test_one_side_may_be_left_out_altogether() -> None:
    scores = np.concatenate([np.full(600, 0.0005), np.linspace(0.6, 1.0, 30)])
    right = np.concatenate([np.ones(600, bool), np.zeros(30, bool)])
    found = reject_band(right, scores, 0.999, 0.5)
    assert found.low == 0.5 and found.high is not None and found.high > 1
    assert found.coverage == pytest.approx(600 / 630)


def test_many_pictures_take_no_long_time() -> None:
    right, scores = like_a_model(50_000, np.random.default_rng(1))
    found = reject_band(right, scores, 0.99, 0.5)
    assert len(np.unique(scores)) > 10 * MOST_ENDS
    assert found.coverage is not None and found.coverage > 0.7


@given(scored)
def test_the_curve_of_risk_and_coverage_is_that_of_answering_the_surest(
    pairs: list[tuple[bool, float]],
) -> None:
    right, confidence = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    curve = risk_coverage_curve(right, confidence)
    assert curve[-1]["coverage"] == 1
    for point in curve:
        kept = confidence >= point["confidence"]
        assert kept.mean() == pytest.approx(point["coverage"])
        assert right[kept].mean() == pytest.approx(point["accuracy"])


def test_the_curve_is_thinned_and_empty_where_undefined() -> None:
    right, scores = like_a_model(5000, np.random.default_rng(2))
    assert 100 < len(risk_coverage_curve(right, scores)) <= 200
    assert risk_coverage_curve(np.ones(2, bool), np.array([0.5, np.nan])) == []
    assert risk_coverage_curve(np.ones(0, bool), np.zeros(0)) == []
