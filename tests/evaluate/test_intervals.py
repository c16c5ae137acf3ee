"""Intervals: Wilson's against a table, and what share of them holds the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pizzaiolo.evaluate import metrics
from pizzaiolo.evaluate.intervals import (
    bootstrap,
    gap_interval,
    luck,
    percentile_interval,
    resamples,
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


groups_of = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=30)


@given(groups_of, st.integers(0, 99))
def test_resamples_draw_whole_groups(groups: list[str], seed: int) -> None:
    names = np.array(groups)
    for rows in resamples(groups, 5, seed):
        drawn = {name: int((names[rows] == name).sum()) for name in set(groups)}
        assert sum(drawn.values()) == len(rows)
        for name, count in drawn.items():
            assert count % groups.count(name) == 0, "a part of a group was drawn"
        assert sum(c // groups.count(n) for n, c in drawn.items()) == len(set(groups))


def test_the_same_seed_draws_the_same() -> None:
    groups = list("aabbbcd")
    first, second, other = ([r.tolist() for r in resamples(groups, 9, s)] for s in (1, 1, 2))
    assert first == second != other


def test_bootstrap_keeps_what_is_defined() -> None:
    def measure(rows: np.ndarray) -> dict[str, float | None]:
        return {"always": 1.0, "never": None, "mean": float(rows.mean())}

    drawn = bootstrap(measure, list("abcdef"), 50, 0)
    assert len(drawn["always"]) == len(drawn["mean"]) == 50 and drawn["never"] == []
    assert percentile_interval(drawn["never"], 6) is None


@given(st.lists(st.floats(0, 1), min_size=1), st.integers(1, 200))
def test_an_interval_has_its_ends_in_order(drawn: list[float], groups: int) -> None:
    low, high = percentile_interval(drawn, groups) or (9, 9)
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize("groups", [10, 50, 500])
def test_no_mistake_among_few_is_no_proof(groups: int) -> None:
    low, high = percentile_interval([1.0] * 100, groups) or (9, 9)
    assert (low, high) == wilson(groups, groups) and 1 - 4 / groups < low < 1


def covered(share: float, count: int, copies: int, times: int = 200) -> float:
    """How often the interval holds the true share, with `copies` near-copies of each picture."""
    generator = np.random.default_rng(5)
    groups = [str(i) for i in range(count) for _ in range(copies)]
    held = 0
    for seed in range(times):
        right = np.repeat(generator.random(count) < share, copies)
        drawn = bootstrap(lambda rows: {"a": float(right[rows].mean())}, groups, 200, seed)  # noqa: B023
        low, high = percentile_interval(drawn["a"], count) or (9, 9)
        held += low <= share <= high
    return held / times


@pytest.mark.parametrize(("share", "copies"), [(0.7, 1), (0.7, 3), (0.97, 3)])
def test_nearly_all_intervals_hold_the_truth(share: float, copies: int) -> None:
    """Near-copies are not independent: drawn one by one, a third of the intervals would miss."""
    assert covered(share, 60, copies) > 0.85


def gap_coverage(slope: float, times: int = 80) -> float:
    """How often the interval holds the true calibration error; slope 1 is perfectly calibrated."""
    generator, held, count = np.random.default_rng(7), 0, 80
    truth = float(np.abs((1 - slope) * (np.linspace(0.5, 1, 10_001) - 0.5)).mean())
    groups = [str(i) for i in range(count)]
    for seed in range(times):
        confidence = generator.uniform(0.5, 1, count)
        right = generator.random(count) < 0.5 + slope * (confidence - 0.5)
        gaps = [metrics.ece(right[r], confidence[r]) for r in resamples(groups, 100, seed)]
        by_luck = [metrics.ece(hits, confidence) for hits in luck(confidence, groups, 100, seed)]
        low, high = gap_interval(metrics.ece(right, confidence), gaps, by_luck)
        held += low <= truth <= high
    return held / times


@pytest.mark.parametrize("slope", [1.0, 0.5])
def test_the_calibration_error_of_a_good_model_may_be_zero(slope: float) -> None:
    assert gap_coverage(slope) > 0.88


@given(
    st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(0, 1), min_size=1)
)
def test_the_gap_lies_in_its_own_interval(
    value: float, drawn: list[float], by_luck: list[float]
) -> None:
    low, high = gap_interval(value, drawn, by_luck)
    assert 0 <= low <= value <= high


def test_luck_is_shared_by_a_group_and_as_large_as_the_confidence() -> None:
    confidence = np.repeat([0.2, 0.9], 500)
    hits = np.mean(list(luck(confidence, [str(i) for i in range(1000)], 40, 0)), axis=1)
    assert hits.mean() == pytest.approx(0.55, abs=0.02)
    for drawn in luck(np.full(6, 0.5), list("aaabbb"), 20, 0):
        assert len(set(drawn[:3])) == len(set(drawn[3:])) == 1


def test_values_that_vary_by_rounding_alone_do_not_vary() -> None:
    rounded = [1.0, np.nextafter(1.0, 0.0)] * 20
    assert percentile_interval(rounded, 23) == pytest.approx(wilson(23, 23))
