"""Calibration finds the temperature that was applied, and stays sober where little is known."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from pizzaiolo.evaluate import metrics
from pizzaiolo.evaluate.calibrate import (
    BOUNDS,
    Calibration,
    Fit,
    calibrate,
    confidence_gap,
    fit_temperature,
    fit_vector,
    folds,
    logits_of,
)


def drawn(count: int, classes: int, seed: int, temperature: float = 1.0) -> tuple[Any, Any]:
    """Truth [N] that follows softmax(logits), and softmax(logits / temperature) [N, C]."""
    generator = np.random.default_rng(seed)
    logits = 3 * generator.normal(size=(count, classes))
    chances = softmax(logits, axis=1).cumsum(axis=1)
    truth = (generator.random((count, 1)) > chances).sum(axis=1).clip(max=classes - 1)
    return truth, softmax(logits / temperature, axis=1)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("applied", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(classes: int, applied: float) -> None:
    truth, probabilities = drawn(5000, classes, 0, applied)
    assert fit_temperature(truth, probabilities).temperature == pytest.approx(1 / applied, rel=0.06)


@pytest.mark.parametrize("applied", [0.3, 3.0])
def test_calibration_brings_confidence_to_the_share_right(applied: float) -> None:
    truth, probabilities = drawn(3000, 2, 1, applied)
    found = calibrate(truth, probabilities)
    assert found.method == "temperature" and found.note is None
    unseen, asked = drawn(3000, 2, 2, applied)
    before, after = (confidence_gap(unseen, p) or 0 for p in (asked, found.apply(asked)))
    assert after < 0.025 < 0.05 < before
    assert found.ece_before == pytest.approx(before, abs=0.02)
    assert found.ece_after == pytest.approx(after, abs=0.02)
    assert found.log_loss_after is not None and found.log_loss_before is not None
    assert found.log_loss_after < found.log_loss_before


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.sampled_from([2, 3, 5]), st.integers(20, 60))
def test_what_comes_out_are_probabilities_in_the_same_order(
    seed: int, classes: int, count: int
) -> None:
    truth, probabilities = drawn(count, classes, seed, 0.5)
    found = calibrate(truth, probabilities, seed=seed)
    changed = found.apply(probabilities)
    np.testing.assert_allclose(changed.sum(axis=1), 1)
    assert (changed >= 0).all()
    if found.method != "vector":
        np.testing.assert_array_equal(changed.argmax(axis=1), probabilities.argmax(axis=1))


@given(st.integers(20, 400), st.floats(0.6, 1.0))
def test_perfect_answers_are_not_made_certain(count: int, sure: float) -> None:
    truth = np.arange(count) % 2
    probabilities = np.where(np.eye(2)[truth] == 1, sure, 1 - sure)
    found = fit_temperature(truth, probabilities).temperature
    assert BOUNDS[0] < found < BOUNDS[1]
    changed = Fit(found).apply(probabilities)
    assert np.isfinite(changed).all()
    if sure < 0.99:
        assert changed.max() < 1 - 1e-6


@pytest.mark.parametrize("count", [50, 200])
def test_few_answers_that_are_all_right_do_not_make_the_next_one_certain(count: int) -> None:
    """Pain: a temperature under 1 that a few dozen pictures without a mistake seemed to ask for."""
    truth = np.arange(count) % 2
    probabilities = np.where(np.eye(2)[truth] == 1, 0.9, 0.1)
    sure = fit_temperature(truth, probabilities).temperature
    assert Fit(sure).apply(probabilities).max() == pytest.approx(
        (count + 1) / (count + 2), abs=2e-3
    )


def test_all_wrong_and_certain_is_made_unsure_and_stays_bounded() -> None:
    truth = np.arange(60) % 2
    probabilities = np.eye(2)[1 - truth]
    found = calibrate(truth, probabilities)
    assert np.isfinite(found.apply(probabilities)).all()
    assert 1 < found.fit.temperature <= BOUNDS[1]


def test_few_pictures_make_answers_less_sure_than_many_do() -> None:
    pairs = [drawn(5000, 2, 3, 3.0), drawn(20, 2, 3, 3.0)]
    many, few = (fit_temperature(*pair).temperature for pair in pairs)
    assert many < few < 1


@pytest.mark.parametrize(
    ("truth", "probabilities", "reason"),
    [
        ([0, 1] * 9, [[0.5, 0.5]] * 18, "too few"),
        ([1] * 30, [[0.5, 0.5]] * 30, "one class"),
        ([0, 1] * 15, [[np.nan, 0.5]] * 30, "no numbers"),
        ([], np.zeros((0, 2)), "no numbers"),
    ],
)
def test_where_nothing_can_be_learnt_nothing_is_changed(
    truth: Any, probabilities: Any, reason: str
) -> None:
    asked = np.asarray(probabilities)
    found = calibrate(np.asarray(truth, dtype=int), asked)
    assert found.method == "none" and found.fit == Fit() and reason in (found.note or "")
    assert found.apply(asked) is asked


def test_a_class_that_is_said_too_often_is_told_less_often() -> None:
    truth, probabilities = drawn(2000, 4, 4)
    skewed = softmax(logits_of(probabilities) + np.array([2.0, 0, 0, -2]), axis=1)
    found = calibrate(truth, skewed)
    assert found.method == "vector"
    offsets = np.array(found.fit.offsets)
    assert offsets[0] < offsets[1] < offsets[3]
    unseen, asked = drawn(2000, 4, 5)
    asked = softmax(logits_of(asked) + np.array([2.0, 0, 0, -2]), axis=1)
    best = metrics.log_loss(unseen, drawn(2000, 4, 5)[1])
    assert metrics.log_loss(unseen, found.apply(asked)) == pytest.approx(best, abs=0.02)


def test_without_such_a_class_a_temperature_is_enough() -> None:
    vectors = [calibrate(*drawn(300, 4, seed, 0.5)).method == "vector" for seed in range(20)]
    assert sum(vectors) <= 3


def test_of_two_classes_there_is_only_a_temperature() -> None:
    truth, probabilities = drawn(2000, 2, 6)
    skewed = softmax(logits_of(probabilities) + np.array([2.0, 0]), axis=1)
    assert calibrate(truth, skewed).method != "vector"


def test_the_slope_of_the_vector_fit_leads_to_its_minimum() -> None:
    truth, probabilities = drawn(400, 3, 7, 0.5)
    fit = fit_vector(truth, probabilities)
    least = metrics.log_loss(truth, fit.apply(probabilities)) or 9
    for place in range(3):
        for step in (-0.1, 0.1):
            offsets = np.array(fit.offsets)
            offsets[place] += step
            moved = Fit(fit.temperature, fit.scales, tuple(offsets.tolist()))
            assert (metrics.log_loss(truth, moved.apply(probabilities)) or 0) > least - 1e-4


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 99))
def test_folds_share_no_group_and_leave_none_out(groups: list[int], seed: int) -> None:
    codes = np.unique(groups, return_inverse=True)[1]
    masks = list(folds(codes, seed))
    assert (np.sum(masks, axis=0) == 1).all()
    for mask in masks:
        assert not set(codes[mask]) & set(codes[~mask])


def test_the_calibration_is_json_ready() -> None:
    values = calibrate(*drawn(300, 3, 8, 0.3)).to_dict()
    assert values["method"] == "temperature" and values["scales"] == []
    assert set(values) >= {"temperature", "offsets", "pictures", "ece_before", "ece_after", "note"}


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 8), st.booleans(), st.integers(0, 2**32 - 1))
def test_what_was_calibrated_can_be_taken_back(classes: int, vector: bool, seed: int) -> None:
    generator = np.random.default_rng(seed)
    before = softmax(generator.normal(size=(20, classes)), axis=1)
    each = (tuple(generator.uniform(0.3, 3, classes)), tuple(generator.normal(size=classes)))
    fit = Fit(float(generator.uniform(0.3, 3)), *(each if vector else ()))
    found = fit.undo(fit.apply(before))
    assert found is not None
    np.testing.assert_allclose(found, before, atol=1e-4)


def test_a_scale_of_nothing_cannot_be_taken_back() -> None:
    assert Fit(1.0, (0.0, 1.0), (0.0, 0.0)).undo(np.full((1, 2), 0.5)) is None


def test_a_card_tells_of_a_calibration_without_loss() -> None:
    truth, probabilities = drawn(300, 3, 4, 2.0)
    for found in (calibrate(truth, probabilities), calibrate(truth[:5], probabilities[:5])):
        assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.method == "none"


@pytest.mark.parametrize("damage", [{}, {"scales": 1}, {"method": "none", "new": 2}])
def test_a_damaged_word_on_calibration_is_none(damage: Any) -> None:
    assert Calibration.from_dict({"temperature": 1.0, "offsets": (), **damage}) is None
