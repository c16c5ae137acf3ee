"""Where a picture speaks for a class, drawn over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Heat = NDArray[np.float32]

STRONG = 0.5  # of the strongest place: the overlay draws a line around it
# viridis of matplotlib at 17 even steps
COLOURS = (
    (68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141),
    (44, 114, 142), (38, 130, 142), (33, 145, 140), (31, 159, 136), (39, 173, 129), (61, 188, 116),
    (92, 200, 99), (129, 211, 77), (170, 220, 50), (213, 226, 26), (253, 231, 37),
)  # fmt: skip


def unit(heat: NDArray[Any]) -> Heat:
    """A map with what speaks against the class left out and the strongest place at 1."""
    positive = np.maximum(heat, 0).astype(np.float32)
    strongest = float(positive.max(initial=0))
    found: Heat = positive / np.float32(strongest or 1)
    return found


def overlay(picture: Image.Image, heat: Heat, strength: float = 0.7) -> Image.Image:
    """The picture in grey, with the heat [H, W] over it: dark blue, green and yellow by strength.

    The scale (viridis) rises in lightness, and a line runs around half of the strongest place, so
    that nothing hangs on telling red from green.
    """
    values = Image.fromarray(heat).resize(picture.size, Image.Resampling.BILINEAR)
    warm = np.asarray(values).clip(0, 1)
    grey = np.asarray(picture.convert("L"), np.float32)[..., None].repeat(3, 2)
    share = strength * warm[..., None] ** 0.5
    blended = (1 - share) * grey + share * _coloured(warm)
    blended[_outline(warm >= STRONG, max(1, min(picture.size) // 128))] = 255
    return Image.fromarray(blended.round().astype(np.uint8))


def _coloured(warm: NDArray[Any]) -> NDArray[Any]:
    steps = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(warm, steps, values) for values in zip(*COLOURS, strict=True)]
    return np.stack(channels, axis=-1)


def _outline(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The rim [H, W] of a region, `width` pixels wide, outside of it."""
    mask = Image.fromarray(inside)
    wider = np.asarray(mask.convert("L").filter(ImageFilter.MaxFilter(2 * width + 1))) > 0
    rim: NDArray[np.bool_] = wider & ~inside
    return rim
