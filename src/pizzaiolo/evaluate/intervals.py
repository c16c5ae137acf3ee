"""95 % intervals: Wilson's for proportions, and for every figure that is made of proportions.

Near-duplicates are not independent pictures: the standard errors and the resamples that come in
here are those of whole groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

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


def quantile(pulls: NDArray[np.float64], share: float = inf) -> float:
    """What a standard error is multiplied by, from the influences [G] of independent groups.

    A few groups may bring most of the variance, and then it is known badly: Student's t with as
    many degrees of freedom as groups that would bring it in equal parts (Kish 1965), times `share`.
    """
    return Z95 if share == inf else float(student.ppf(0.975, _freedom(pulls, share)))


def _freedom(pulls: NDArray[np.float64], share: float) -> float:
    return share * float((pulls**2).sum()) ** 2 / float((pulls**4).sum())


def interval_and_p_value(
    value: float, pulls: NDArray[np.float64], share: float
) -> tuple[float, float, float]:
    """Low and high end of any figure, a difference say, and the p-value of its being 0.

    `pulls` are the influences [G] of independent groups. Where nothing moves it, it is certain.
    """
    error = float((pulls**2).sum()) ** 0.5
    if error < ROUNDING:
        return value, value, float(abs(value) < ROUNDING)
    half = quantile(pulls, share) * error
    p_value = 2 * float(student.sf(abs(value) / error, _freedom(pulls, share)))
    return value - half, value + half, p_value


def score_interval(
    value: float, pulls: NDArray[np.float64], share: float = inf
) -> tuple[float, float]:
    """Wilson's interval for any figure from 0 to 1, from the influences [G] of independent groups.

    It is that of a proportion of as many independent pictures as would have the same standard error
    (Korn and Graubard 1998, Newcombe 2006).
    """
    count = value * (1 - value) / float((pulls**2).sum())
    return wilson(value * count, count, quantile(pulls, share))


def ratio_interval(value: float, pulls: NDArray[np.float64], share: float) -> tuple[float, float]:
    """The interval of a figure over 0 without an upper end, by the error of its logarithm."""
    error = float((pulls**2).sum()) ** 0.5
    factor = exp(min(quantile(pulls, share) * error / value, 700.0))
    return value / factor, value * factor


def gaps_by_luck(
    confidence: NDArray[np.float64],
    codes: NDArray[np.int64],
    bins: Sequence[NDArray[np.int64]],
    times: int,
    seed: int,
) -> NDArray[np.float64]:
    """The calibration errors [times] that a perfectly calibrated model would show.

    `bins` hold the rows of each bin; the pictures of a group, numbered by `codes` [N], share luck.
    """
    order = np.concatenate(bins)
    starts = np.cumsum([0, *map(len, bins[:-1])])
    sure, code, groups = confidence[order], codes[order], int(codes.max()) + 1
    expected, generator = np.add.reduceat(sure, starts), np.random.default_rng(seed)
    draws = (generator.random(groups)[code] < sure for _ in range(times))
    gaps = [np.abs(expected - np.add.reduceat(hits, starts, dtype=float)).sum() for hits in draws]
    return np.asarray(gaps) / len(sure)
