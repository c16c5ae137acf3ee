"""95 % intervals: Wilson's for proportions, a bootstrap by group for everything else.

Near-duplicates are not independent pictures, so whole groups are drawn again. Where the bootstrap
is known to be wrong (figures that never vary, the calibration error) something else stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..console import track

Z95 = 1.959963984540054
ROUNDING = 1e-9


def wilson(right: float, count: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion `right` / `count` (Wilson 1927)."""
    if count <= 0:
        return 0.0, 1.0
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def resamples(groups: Sequence[str], times: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Row indices of `times` bootstrap samples; whole groups are drawn with replacement."""
    codes = _codes(groups)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    generator = np.random.default_rng(seed)
    for _ in range(times):
        drawn = generator.integers(0, len(members), len(members))
        yield np.concatenate([members[i] for i in drawn])


def luck(
    confidence: NDArray[np.float64], groups: Sequence[str], times: int, seed: int
) -> Iterator[NDArray[np.bool_]]:
    """Which answers a perfectly calibrated model gets right, `times` times; groups share luck."""
    codes, generator = _codes(groups), np.random.default_rng(seed)
    for _ in range(times):
        yield generator.random(codes.max() + 1)[codes] < confidence


def _codes(groups: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]


def percentile_interval(drawn: Sequence[float], groups: int) -> tuple[float, float] | None:
    """The middle 95 % of bootstrap values, None where there are none.

    Values that never vary say little: no mistake among few `groups` is no proof that there are
    none. Wilson's interval of that share of the groups stands in.
    """
    if not drawn:
        return None
    low, high = (float(v) for v in np.percentile(np.asarray(drawn, np.float64), [2.5, 97.5]))
    return wilson(low * groups, groups) if high - low < ROUNDING else (low, high)


def gap_interval(
    value: float, drawn: Sequence[float], by_luck: Sequence[float]
) -> tuple[float, float]:
    """The interval of a calibration error, which luck alone makes larger than zero.

    `by_luck` are the errors of a perfectly calibrated model: what they explain is taken off below
    (Broecker and Smith 2007). Above, the bootstrap's own excess is taken off. Simulated on 60 to
    600 pictures it holds the true error 94 % of the time or more; plain percentiles 0 to 83 %.
    """
    excess = float(np.percentile(drawn, 2.5)) - value
    return max(0.0, value - float(np.percentile(by_luck, 97.5))), max(value, value - excess)


def bootstrap(
    measure: Callable[[NDArray[np.int64]], dict[str, float | None]],
    groups: Sequence[str],
    times: int,
    seed: int,
) -> dict[str, list[float]]:
    """Every figure of `measure(rows)` on each resample, where it is defined."""
    found: dict[str, list[float]] = {}
    for rows in track(resamples(groups, times, seed), "intervals", times):
        for name, value in measure(rows).items():
            kept = found.setdefault(name, [])
            if value is not None:
                kept.append(value)
    return found
