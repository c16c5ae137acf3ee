"""How the error falls with more pictures: a + b n^-c, and what that means for larger n.

The power law of learning curves (Cortes et al. 1993, Hestness et al. 2017). Pure functions on
arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluate.figures import Figure

Reals = NDArray[np.float64]

EXPONENTS = np.geomspace(0.05, 2.0, 25)  # c; Hestness et al. find 0.07 to 0.5 mostly
# Few sizes can't tell a floor from a slow fall: an exponent must explain the more, in chi-squared,
# the further it is from the usual one. Chosen on learning curves of eight sets of photos.
USUAL, TETHER = 0.35, 3.0
FAR = 10.0  # times what was measured: a curve drawn further out is a guess
COMFORT = 0.5  # pictures; no error is surer than that of half a picture


@dataclass(frozen=True)
class Needed:
    """About how many pictures reach a wished accuracy; `low` and `high` bound it (95 %).

    `high` is None where some curves that fit as well never get there. `far`: more than `FAR` times
    as many as were measured, so no number can be told.
    """

    pictures: int
    low: int
    high: int | None
    far: bool


@dataclass(frozen=True)
class Forecast:
    """The curve error(n) = floor + factor n^-exponent, errors 0 to 1, n pictures learnt from.

    `draws` [B, 3] are the same three of curves that fit resampled pictures; `most` is the largest n
    that was measured.
    """

    floor: float
    factor: float
    exponent: float
    most: float
    draws: Reals = field(default_factory=lambda: np.empty((0, 3)), repr=False)

    def at(self, pictures: float) -> Figure:
        """The accuracy to expect with so many pictures, with a 95 % interval where there is one."""
        value = 1 - float(_curve(self.floor, self.factor, self.exponent, pictures))
        if not len(self.draws):
            return Figure(value)
        floor, factor, exponent = self.draws.T
        drawn = 1 - _curve(floor, factor, exponent, pictures)
        low, high = np.quantile(drawn, (0.025, 0.975))
        return Figure(value, min(float(low), value), max(float(high), value))

    def gain(self, times: float) -> Figure:
        """The accuracy to win with so many times the pictures, with its 95 % interval."""
        now, then = self.at(self.most).value, self.at(times * self.most).value
        assert now is not None and then is not None
        if not len(self.draws):
            return Figure(then - now)
        floor, factor, exponent = self.draws.T
        before, after = (_curve(floor, factor, exponent, n * self.most) for n in (1, times))
        low, high = np.quantile(before - after, (0.025, 0.975))
        return Figure(then - now, min(float(low), then - now), max(float(high), then - now))

    def needed(self, accuracy: float) -> Needed | None:
        """How many pictures reach this accuracy; None where the curve never gets there."""
        curves = np.vstack([[self.floor, self.factor, self.exponent], self.draws])
        found = _sizes(curves, 1 - accuracy)
        if not isfinite(found[0]):
            return None
        low, high = np.quantile(found, (0.025, 0.975), method="nearest")
        return Needed(
            _whole(found[0]),
            _whole(min(low, found[0])),
            _whole(max(high, found[0])) if isfinite(high) else None,
            bool(found[0] > FAR * self.most),
        )

    def to_json(self) -> dict[str, Any]:
        """The curve as JSON-ready values."""
        names = ("floor", "factor", "exponent", "most")
        return {name: getattr(self, name) for name in names}


def forecast(sizes: Reals, errors: Reals, count: int, resampled: Reals | None = None) -> Forecast:
    """Fit the curve to errors [S] (0 to 1) that were measured on `count` pictures.

    `sizes` [S] are the pictures learnt from, `resampled` [B, S] errors on resampled pictures, for
    the intervals. With two sizes the floor is 0, with one the curve is flat. Errors that don't fall
    give a flat curve, too.
    """
    sizes, errors = np.asarray(sizes, np.float64), np.asarray(errors, np.float64)
    order = np.argsort(sizes)
    sizes, errors = sizes[order], errors[order]
    floor, factor, exponent = _fit(sizes, errors[None], count)[0].tolist()
    draws = np.empty((0, 3))
    if resampled is not None and len(resampled):
        draws = _fit(sizes, np.asarray(resampled, np.float64)[:, order], count)
    return Forecast(floor, factor, exponent, float(sizes[-1]), draws)


def _curve(floor: Any, factor: Any, exponent: Any, pictures: float) -> Any:
    return np.minimum(1.0, floor + factor * float(pictures) ** -exponent)


def _sizes(curves: Reals, error: float) -> Reals:
    """The n [B] at which curves [B, 3] come down to an error; infinite where they never do."""
    floor, factor, exponent = curves.T
    room = np.maximum(error - floor, 0.0)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = (factor / room) ** (1 / exponent)
    found = np.where((room > 0) & ~np.isnan(found), found, inf)
    return np.asarray(np.where((factor == 0) & (floor <= error), 0.0, found))


def _whole(size: float) -> int:
    return max(1, ceil(min(size, 1e15) - 1e-9))


def _fit(sizes: Reals, errors: Reals, count: int) -> Reals:
    """The best floor, factor and exponent [B, 3] for each line of errors [B, S]."""
    if len(sizes) == 1:
        flat = errors[:, 0]
        return np.stack([flat, np.zeros_like(flat), np.full_like(flat, USUAL)], axis=1)
    sure = np.clip(errors.mean(axis=0), COMFORT / count, 1 - COMFORT / count)
    weights = count / (sure * (1 - sure))
    tries = [_line(sizes, errors, weights, c, len(sizes) > 2) for c in EXPONENTS]
    costs = np.stack([cost for _, cost in tries]) + _tether()[:, None]
    best = costs.argmin(axis=0)
    found = np.stack([line for line, _ in tries])[best, np.arange(len(errors))]
    return np.column_stack([found, EXPONENTS[best]])


def _tether() -> Reals:
    return np.asarray(TETHER * np.log(EXPONENTS / USUAL) ** 2)


def _line(
    sizes: Reals, errors: Reals, weights: Reals, exponent: float, floored: bool
) -> tuple[Reals, Reals]:
    """Least squares of errors [B, S] on n^-c: floor, factor [B, 2], at least 0, and costs [B]."""
    x = sizes**-exponent
    share = weights / weights.sum()
    mean_x, mean_y = x @ share, errors @ share
    spread = share @ (x - mean_x) ** 2
    factor = np.maximum(((errors - mean_y[:, None]) * share) @ (x - mean_x) / spread, 0.0)
    floor = mean_y - factor * mean_x
    through = (errors * share) @ x / (share @ x**2)
    low = floor < 0 if floored else factor > 0
    floor, factor = np.where(low, 0.0, floor), np.where(low, through, factor)
    left = errors - floor[:, None] - factor[:, None] * x
    return np.stack([floor, factor], axis=1), (left**2) @ weights
