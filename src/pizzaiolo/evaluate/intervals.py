"""95 % intervals: Wilson's for proportions, a bootstrap by group for everything else.

Near-duplicates are not independent pictures, so whole groups are drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054


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
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    generator = np.random.default_rng(seed)
    for _ in range(times):
        drawn = generator.integers(0, len(members), len(members))
        yield np.concatenate([members[i] for i in drawn])


def percentile_interval(values: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of bootstrap values."""
    low, high = np.percentile(np.asarray(values, dtype=np.float64), [2.5, 97.5])
    return float(low), float(high)


def bootstrap(
    measure: Callable[[NDArray[np.int64]], dict[str, float | None]],
    groups: Sequence[str],
    times: int,
    seed: int,
) -> dict[str, tuple[float, float] | None]:
    """Intervals of every figure of `measure(rows)`; None where it was never defined."""
    found: dict[str, list[float]] = {}
    for rows in resamples(groups, times, seed):
        for name, value in measure(rows).items():
            kept = found.setdefault(name, [])
            if value is not None:
                kept.append(value)
    return {name: percentile_interval(v) if v else None for name, v in found.items()}
