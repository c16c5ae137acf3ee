"""Intervals: Wilson's against a table, and what the others have in common with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from pizzaiolo.evaluate import metrics
from pizzaiolo.evaluate.intervals import (
    Z95,
    gaps_by_luck,
    quantile,
    ratio_interval,
    score_interval,
    wilson,
)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_the_published_table(right: int, count: int, low: float, high: float) -> None:
    assert wilson(right, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipys(case: tuple[int, int]) -> None:
    expected = binomtest(*case).proportion_ci(method="wilson")
    assert wilson(*case) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_seen_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


counts = st.integers(2, 300).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n)))


@given(counts)
def test_of_a_share_of_independent_pictures_it_is_wilsons(case: tuple[int, int]) -> None:
    right, count = case
    pulls = ((np.arange(count) < right) - right / count) / count
    assert score_interval(right / count, pulls) == pytest.approx(wilson(right, count))


@given(counts, st.integers(2, 5))
def test_copies_that_share_a_group_make_it_no_narrower(case: tuple[int, int], copies: int) -> None:
    right, count = case
    hits = np.arange(count) < right
    pulls = (np.repeat(hits, copies) - right / count) / (count * copies)
    together = np.bincount(np.repeat(np.arange(count), copies), weights=pulls)
    assert score_interval(right / count, together) == pytest.approx(wilson(right, count))


@given(st.integers(2, 400), st.floats(0.5, 3))
def test_equal_pulls_have_a_degree_of_freedom_each(count: int, share: float) -> None:
    pulls = np.where(np.arange(count) % 2, 1.0, -1.0) / count
    assert quantile(pulls, share) == pytest.approx(t.ppf(0.975, share * count))
    assert quantile(pulls) == Z95


def test_a_variance_that_few_pictures_bring_makes_the_interval_wider() -> None:
    even, uneven = np.full(100, 0.01), np.append(np.full(99, 1e-5), 0.1)
    assert quantile(even, 1.0) < 2 < 10 < quantile(uneven, 1.0)
    assert np.isfinite(ratio_interval(0.1, uneven, 1.0)).all()


@given(st.floats(1e-3, 10), st.floats(1e-4, 1))
def test_a_figure_without_an_upper_end_lies_in_the_middle_by_ratio(
    value: float, error: float
) -> None:
    low, high = ratio_interval(value, np.array([error, -error]) / 2, np.inf)
    assert 0 <= low < value < high and low * high == pytest.approx(value**2)


def test_luck_is_shared_by_a_group_and_as_large_as_the_confidence() -> None:
    confidence = np.repeat([0.6, 0.9], 500)
    bins = metrics.equal_mass(confidence)
    alone = gaps_by_luck(confidence, np.arange(1000), bins, 300, 0)
    spread = np.sqrt(2 / np.pi) * (np.sqrt(0.24 / 100) + np.sqrt(0.09 / 100)) / 2
    assert alone.mean() == pytest.approx(spread, rel=0.1)
    together = gaps_by_luck(confidence, np.arange(1000) // 10, bins, 300, 0)
    assert together.mean() > 2.5 * alone.mean()


def test_luck_gives_the_calibration_error_that_metrics_gives() -> None:
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.5, 1, 60)
    bins = metrics.equal_mass(confidence)
    order = np.concatenate(bins)
    found = gaps_by_luck(confidence, np.arange(60), bins, 5, 7)
    draws = np.random.default_rng(7)
    for gap in found:
        right = np.empty(60, dtype=bool)
        right[order] = draws.random(60)[order] < confidence[order]
        assert gap == pytest.approx(metrics.ece(right, confidence))
