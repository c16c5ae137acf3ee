"""Laying one small grey picture over another: an affine alignment, and how well they then agree.

Vectorised over many pairs; every blur of a whole picture is two small matrix products.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Reals = NDArray[np.float32]

FINE = 1.5  # pixels: coarser detail is mostly the rim of the plate, which all plates share
MOST_DETAIL, MOST_VALUES = 0.6, 0.7  # the rest may be hidden by a caption, a mark or a frame
NOTICEABLE = 0.02  # variance of detail below which agreement means little
LEAST_SEEN, LEAST_AREA = 0.5, 0.3  # share of the one and of the other that must be in sight
MOST_SKEWED, MOST_STRETCHED = 0.15, 2.0  # a turn by 8 degrees; a square cut out of 2 : 1
FITS = 8  # of brightness and contrast, each with less weight for what is off


@cache
def _blur_rows(side: int, sigma: float) -> Reals:
    """The Gaussian blur of a line of `side` pixels as a matrix [side, side]."""
    return np.asarray(gaussian_filter1d(np.eye(side, dtype=np.float32), sigma, 0, mode="nearest"))


def _blur(pictures: Reals, sigma: float) -> Reals:
    rows = _blur_rows(pictures.shape[-1], sigma)
    return np.asarray(rows @ pictures @ rows.T)


def detail(pictures: Reals, sigma: float, floor: float = 4) -> Reals:
    """What stands out from its surroundings of `sigma` pixels, in units of the local contrast.

    Detail weaker than `floor` grey values fades out.
    """
    high = pictures - _blur(pictures, sigma)
    return np.asarray(high / (np.sqrt(np.maximum(_blur(high * high, sigma), 0)) + floor))


@cache
def _grid(side: int) -> tuple[Reals, Reals]:
    """Where the pixels' centres lie, x and y, both [side * side], from -1 to 1."""
    centres = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    return np.tile(centres, side), np.repeat(centres, side)


def warp(pictures: Reals, maps: Reals) -> tuple[Reals, Reals]:
    """Pictures [P, S, S] seen through affine maps [P, 2, 3]; and 1 where inside, 0 elsewhere."""
    count, side, _ = pictures.shape
    x, y = _grid(side)
    places = maps[:, :, :1] * x + maps[:, :, 1:2] * y + maps[:, :, 2:]
    places = (places + 1) * (side / 2) - 0.5
    inside = ((places >= -0.5) & (places <= side - 0.5)).all(1)
    np.clip(places, 0, side - 1.001, out=places)
    corner = places.astype(np.int32)
    right, down = (places - corner).astype(np.float32).transpose(1, 0, 2)
    first = corner[:, 1] * side + corner[:, 0]
    first += np.arange(count, dtype=np.int32)[:, None] * (side * side)
    flat = pictures.ravel()
    above, below = (
        left + (flat.take(place + 1) - left) * right
        for place in (first, first + side) for left in (flat.take(place),)
    )  # fmt: skip
    seen = above + (below - above) * down
    return seen.reshape(pictures.shape), inside.reshape(pictures.shape).astype(np.float32)


def _slopes(template: Reals) -> Reals:
    """How each pixel answers to each of the six numbers of its map, [P, S * S, 6]."""
    side = template.shape[-1]
    x, y = _grid(side)
    down, right = (
        slope.reshape(len(template), -1) * (side / 2)
        for slope in np.gradient(template, axis=(1, 2))
    )
    return np.stack([right * x, right * y, right, down * x, down * y, down], 2)


def _square(maps: Reals) -> Reals:
    full = np.zeros((len(maps), 3, 3), np.float32)
    full[:, :2], full[:, 2, 2] = maps, 1
    return full


def refine(source: Reals, template: Reals, maps: Reals, steps: int) -> Reals:
    """Better maps [P, 2, 3] by inverse-compositional Lucas-Kanade (Baker and Matthews 2004).

    The maps take places in the templates [P, S, S] to places in the sources [P, S, S]. Pixels
    that disagree, as captions do, weigh little.
    """
    count, sigma = len(template), 2 + template.shape[-1] / 16
    wanted = detail(template, sigma)
    slopes, whole = _slopes(wanted), np.eye(6, dtype=np.float32)
    for _ in range(steps):
        seen, inside = warp(source, maps)
        rest = (detail(seen, sigma) - wanted).reshape(count, -1)
        weight = inside.reshape(count, -1) / (1 + (rest / 0.5) ** 2)
        weighted = (slopes * weight[:, :, None]).transpose(0, 2, 1)
        normal = weighted @ slopes
        damping = 1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 6 + 1e-3
        step = np.linalg.solve(normal + damping * whole, weighted @ rest[:, :, None])
        change = np.clip(step, -0.1, 0.1).reshape(count, 2, 3) + whole[:2, :3]
        maps = np.asarray((_square(maps) @ np.linalg.inv(_square(change)))[:, :2])
    return maps


class Match(NamedTuple):
    """How well P pairs agree. `agreed` is the local correlation that most of the detail in sight
    reaches, 0 to 1; 0 where the map is not what happens to copies. `off` is how far most of the
    grey values are off, in standard deviations, after the best change of brightness and contrast.
    """

    agreed: Reals
    off: Reals


def compare(source: Reals, template: Reals, maps: Reals) -> Match:
    """How well pictures [P, S, S] agree when the sources are seen through the maps [P, 2, 3]."""
    count = len(template)
    seen, inside = warp(source, maps)
    local, weight = _local_correlation(detail(seen, FINE, 1), detail(template, FINE, 1), inside)
    agreed = _reached_by_most(local.reshape(count, -1), weight.reshape(count, -1))
    agreed = np.where(_plausible(maps, inside), np.clip(agreed, 0, 1), 0)
    parts = (_blur(seen, 1), _blur(template, 1), inside, local)
    x, y, sight, local = (part.reshape(count, -1) for part in parts)
    off = np.minimum(_misfit(x, y, sight, local), _misfit(y, x, sight, local))
    return Match(np.asarray(agreed, np.float32), off)


def _reached_by_most(values: Reals, weight: Reals) -> Reals:
    order = np.argsort(values, axis=1)
    share = np.cumsum(np.take_along_axis(weight, order, 1), axis=1)
    place = np.argmax(share >= share[:, -1:] * (1 - MOST_DETAIL), axis=1)
    rows = np.arange(len(values))
    return np.asarray(values[rows, order[rows, place]])


def _plausible(maps: Reals, inside: Reals) -> NDArray[np.bool_]:
    """Whether enough of both pictures is in sight, and little turned, skewed and stretched."""
    seen = inside.mean((1, 2))
    area = seen * np.abs(np.linalg.det(maps[:, :, :2]))
    skewed = np.maximum(np.abs(maps[:, 0, 1]), np.abs(maps[:, 1, 0]))
    stretched = np.abs(np.log(np.maximum(maps[:, 0, 0], 0.1) / np.maximum(maps[:, 1, 1], 0.1)))
    shaped = (skewed <= MOST_SKEWED) & (stretched <= np.log(MOST_STRETCHED))
    return np.asarray((seen >= LEAST_SEEN) & (area >= LEAST_AREA) & shaped)


def _misfit(seen: Reals, wanted: Reals, inside: Reals, local: Reals) -> Reals:
    """How far most of the values inside are off, [P]; the fit begins where details agree."""
    weight = inside * np.clip(local, 0.01, 1)
    for step in range(FITS):
        total = weight.sum(1, keepdims=True) + 1e-6
        x, y = (values - (weight * values).sum(1, keepdims=True) / total
                for values in (seen, wanted))  # fmt: skip
        power = (weight * x * x).sum(1, keepdims=True)
        slope = (weight * x * y).sum(1, keepdims=True) / (power + 1e-3)
        if not step:
            spread = np.sqrt((weight * y * y).sum(1, keepdims=True) / total) + 1
        off = np.abs(y - slope * x) / spread
        weight = inside / (1 + (off / 0.25) ** 2)
    ranked = np.sort(np.where(inside > 0, off, np.inf), axis=1)
    place = (inside.sum(1) * MOST_VALUES).astype(np.int64)
    return np.asarray(ranked[np.arange(len(ranked)), np.minimum(place, ranked.shape[1] - 1)])


def _local_correlation(a: Reals, b: Reals, inside: Reals) -> tuple[Reals, Reals]:
    """Correlation around every pixel, and how much detail there is to correlate, [P, S, S]."""
    sigma = a.shape[-1] / 16
    total = _blur(inside, sigma) + 1e-6

    def mean(values: Reals) -> Reals:
        return np.asarray(_blur(values * inside, sigma) / total)

    mean_a, mean_b = mean(a), mean(b)
    power_a = np.maximum(mean(a * a) - mean_a**2, 0)
    power_b = np.maximum(mean(b * b) - mean_b**2, 0)
    local = (mean(a * b) - mean_a * mean_b) / np.sqrt(power_a * power_b + NOTICEABLE**2)
    return np.asarray(local), np.asarray(inside * (power_a + power_b))
