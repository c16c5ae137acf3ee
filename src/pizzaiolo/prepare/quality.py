"""What the pixels suffer from: pure measures of a small grey picture, and what they amount to.

Grey values are 0 to 1. The thresholds were chosen on 2,080 photos by looking at the extremes; they
flag about one photo in two hundred there, so that what is flagged is worth a look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import PrepareConfig

_LEVELS = np.arange(256)
EDGE = 40  # grey levels of 255 between two pixels


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of one picture with its short side at 256 pixels or less.

    `brightness` and `contrast` are mean and standard deviation, `dark_end` and `bright_end` the
    5 % and 95 % quantiles, all of grey values 0 to 1; `entropy` is of their histogram, bits.
    `sharpness` is the variance of the Laplacian of grey values 0 to 255, `lines` what
    `straight_lines` says.
    """

    brightness: float
    contrast: float
    dark_end: float
    bright_end: float
    entropy: float
    sharpness: float
    lines: float

    def flags(self, config: PrepareConfig) -> list[str]:
        """What a person may want to look at; nothing is rejected for it."""
        found = {
            "blurry": self.sharpness < config.blur_below * (255 * self.contrast) ** 2,
            "dark": self.bright_end < config.dark_below,
            "over_exposed": self.dark_end > config.bright_above,
            "low_information": self.entropy < config.information_below,
        }
        return [name for name, yes in found.items() if yes]


def measure(grey: NDArray[np.uint8], histogram: NDArray[np.int64]) -> Quality:
    """Quality of a grey picture [H, W] and the histogram [256] of its values."""
    share = histogram / max(1, histogram.sum())
    mean = _dot(share, _LEVELS)
    spread = _dot(share, (_LEVELS - mean) ** 2) ** 0.5
    low, high = np.searchsorted(share.cumsum(), (0.05, 0.95)) / 255
    held = share[share > 0]
    entropy = -_dot(held, np.log2(held))
    return Quality(
        mean / 255, spread / 255, float(low), float(high), entropy,
        _sharpness(grey), straight_lines(grey),
    )  # fmt: skip


def _sharpness(grey: NDArray[np.uint8]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    values = grey.astype(np.int16)
    edges = values[1:-1, 1:-1] * np.int16(4)
    for near in (values[:-2, 1:-1], values[2:, 1:-1], values[1:-1, :-2], values[1:-1, 2:]):
        edges -= near
    reals = edges.ravel().astype(np.float32)
    return max(0.0, _dot(reals, reals) / reals.size - float(reals.mean()) ** 2)


def straight_lines(grey: NDArray[np.uint8]) -> float:
    """How much of a row and of a column is one hard edge, 0 to 2: frames, panels, lines of text.

    `grey` [H, W] has a short side of about 256 pixels.
    """
    if min(grey.shape) < 2:
        return 0.0
    rows, columns = _edges(grey[1:], grey[:-1]), _edges(grey[:, 1:], grey[:, :-1])
    most = np.bitwise_count(np.packbits(rows, axis=1)).sum(axis=1, dtype=np.int64).max()
    tallest = np.add.reduce(columns, axis=0, dtype=np.uint16).max()
    return float(most) / len(rows[0]) + float(tallest) / len(columns)


def _edges(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where two pictures differ by `EDGE` or more, 0 elsewhere."""
    differ: NDArray[np.bool_] = (np.maximum(a, b) - np.minimum(a, b)) >= EDGE
    return differ.view(np.uint8)


def _dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Not by BLAS: in each of several processes its threads would wait for one another."""
    return float(np.einsum("i,i->", a, b))


def channel_moments(histogram: NDArray[np.int64]) -> tuple[float, ...]:
    """Means of the three channels and of their squares, of values 0 to 1, from Pillow's histogram
    [768] of an RGB picture."""
    share = histogram.reshape(3, 256) / max(1, histogram[:256].sum())
    values = _LEVELS / 255
    return tuple(_dot(channel, power) for power in (values, values**2) for channel in share)


def mean_and_std(moments: NDArray[np.float64]) -> dict[str, list[float]]:
    """Channel mean and standard deviation over pictures, each counted once: moments [N, 6]."""
    mean, square = moments.mean(axis=0).reshape(2, 3)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return {"mean": mean.round(4).tolist(), "std": std.round(4).tolist()}
