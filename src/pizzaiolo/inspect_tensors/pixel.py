"""One pixel of the model's input: where it comes from, and its numbers at every stage."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.preprocess import MAX_ASPECT, PAD_COLOUR, Preprocess
from ..errors import UsageError
from .way import Way

Place = tuple[int, int]  # x, y: pixels from the left and from the top
Turn = tuple[int, int, int, int, int, int]
# Where x, y of an upright picture were stored: factors of x and y, and whether the last column W
# or row H is added; by EXIF orientation (tag 0x0112).
_TURNS = {
    1: ("+x", "+y"), 2: ("-x", "+y"), 3: ("-x", "-y"), 4: ("+x", "-y"),
    5: ("+y", "+x"), 6: ("+y", "-x"), 7: ("-y", "-x"), 8: ("-y", "+x"),
}  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """How the input lies on the upright picture.

    `step` are the picture's pixels for one of the input, along x and y; `corner` is where the
    input's upper left corner lies in the picture; `size` is the picture's width and height.
    """

    step: tuple[float, float]
    corner: tuple[float, float]
    size: tuple[int, int]

    def place(self, x: int, y: int) -> Place | None:
        """The picture's pixel under the middle of an input pixel; None in what was padded."""
        found = (self._along(0, x), self._along(1, y))
        inside = all(0 <= at < side for at, side in zip(found, self.size, strict=True))
        return found if inside else None

    def _along(self, axis: int, at: int) -> int:
        return math.floor(self.corner[axis] + (at + 0.5) * self.step[axis])

    def sampled(self, picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """The picture's pixels [side, side, 3] that lie under those of the input."""
        columns, rows = (np.array([self._along(axis, at) for at in range(side)]) for axis in (0, 1))
        width, height = self.size
        found: NDArray[np.uint8] = picture[
            np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
        ]
        found[(rows < 0) | (rows >= height)] = PAD_COLOUR
        found[:, (columns < 0) | (columns >= width)] = PAD_COLOUR
        return found


@dataclass(frozen=True)
class Pixel:
    """One pixel of the input and its numbers, red, green and blue.

    `picture` is the pixel of the upright picture under its middle, `stored` where that lies in
    the file's own picture; `decoded` its bytes there. All three are None where the input was
    padded. `unit` is input / 255, `centred` that less the mean, `tensor` that over std.
    """

    x: int
    y: int
    picture: Place | None
    stored: Place | None
    decoded: tuple[int, ...] | None
    input: tuple[int, ...]
    unit: tuple[float, ...]
    centred: tuple[float, ...]
    tensor: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The pixel as JSON-ready values."""
        return asdict(self)


def read_place(text: str | None) -> Place | None:
    """X and Y of "X,Y"; raises `UsageError` for another text."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(
            f"--pixel is {text!r}, expected X,Y: two whole numbers, counted from the upper left",
            hint="--pixel 0,0 is the first; leave it out for the middle",
        )
    return int(parts[0][:9]), int(parts[1][:9])


def pixel_at(way: Way, place: Place | None = None) -> Pixel:
    """The pixel of the input at x, y, by default in the middle; `UsageError` outside of it."""
    side = way.card.preprocess.size
    x, y = place or (side // 2, side // 2)
    if not (0 <= x < side and 0 <= y < side):
        raise UsageError(
            f"the pixel {x},{y} is outside of the model's input, "
            f"expected 0,0 to {side - 1},{side - 1}",
            hint="--pixel counts in what the model sees; leave it out for the middle",
        )
    at = fit_of(way).place(x, y)
    stored = at and turned_back(at, turn_of(way.header.orientation, way.picture.size))
    decoded = at and tuple(way.picture.getpixel(at))  # type: ignore[arg-type]
    unit = way.pixels[y, x].astype(np.float32) / np.float32(255)
    centred = unit - np.asarray(way.card.preprocess.mean, np.float32)
    return Pixel(
        x, y, at, stored, decoded, tuple(way.pixels[y, x].tolist()),
        *(tuple(values.tolist()) for values in (unit, centred, way.tensor[0, :, y, x])),
    )  # fmt: skip


def fit_of(way: Way) -> Fit:
    """How the input of a picture that was followed lies on it."""
    return fit(way.card.preprocess, way.picture.size, way.resized.size)


def fit(preprocess: Preprocess, size: Place, resized: Place) -> Fit:
    """How the input lies on a picture of width and height `size`, resized to `resized`."""
    cut = (0, 0)
    if preprocess.mode == "crop":  # of a very long picture only the middle is resized
        most = MAX_ASPECT * min(size)
        cut = (max(0, size[0] - most) // 2, max(0, size[1] - most) // 2)
    step = tuple((size[i] - 2 * cut[i]) / resized[i] for i in (0, 1))
    outside = tuple(_before(resized[i], preprocess.size) for i in (0, 1))
    corner = tuple(cut[i] + outside[i] * step[i] for i in (0, 1))
    return Fit((step[0], step[1]), (corner[0], corner[1]), size)


def _before(resized: int, side: int) -> int:
    """How many resized pixels lie before the input; below 0 where it was padded."""
    return (resized - side) // 2 if resized >= side else -((side - resized) // 2)


def turn_of(orientation: int, size: Place) -> Turn:
    """a, b, c, d, e, f: the pixel x, y of an upright picture of width and height `size` was stored
    at a x + b y + c, d x + e y + f."""
    last = {"x": size[0] - 1, "y": size[1] - 1}
    numbers: list[int] = []
    for signed in _TURNS[orientation]:
        factor, axis = (-1 if signed[0] == "-" else 1), signed[1]
        numbers += [factor * (axis == "x"), factor * (axis == "y"), last[axis] * (factor < 0)]
    a, b, c, d, e, f = numbers
    return a, b, c, d, e, f


def turned_back(place: Place, turn: Turn) -> Place:
    """Where a pixel of the upright picture was stored."""
    (x, y), (a, b, c, d, e, f) = place, turn
    return a * x + b * y + c, d * x + e * y + f
