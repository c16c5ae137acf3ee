"""The texts and colours of one pixel on the page; `pixel.js` makes the same for another one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .pixel import Pixel
from .way import Way

REACH = 2  # pixels on each side of the chosen one in the enlarged patch
RUN = 4  # pixels in the strips that show the memory

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Slots:
    """What stands in each slot of the page by its key, and the colour under it."""

    texts: dict[str, str] = field(default_factory=dict)
    colours: dict[str, Colour] = field(default_factory=dict)

    def put(self, key: str, text: str, colour: Colour | None = None) -> None:
        """Fill one slot."""
        self.texts[key] = text
        if colour is not None:
            self.colours[key] = colour


def slots_of(way: Way, pixel: Pixel) -> Slots:
    """All that the page says of one pixel."""
    found = Slots()
    _numbers(found, way, pixel)
    _patch(found, way, pixel)
    _memory(found, way, pixel)
    return found


def _numbers(found: Slots, way: Way, pixel: Pixel) -> None:
    side = way.card.preprocess.size
    x, y = pixel.x, pixel.y
    found.put("at", f"[{y}, {x}]")
    found.put("picture", "padding" if pixel.picture is None else _row_first(pixel.picture))
    found.put("stored", "padding" if pixel.stored is None else _row_first(pixel.stored))
    red, green, blue = pixel.input
    found.put("swatch", "", (red, green, blue))
    for c in range(3):
        found.put(f"decoded{c}", "-" if pixel.decoded is None else str(pixel.decoded[c]))
        found.put(f"input{c}", str(pixel.input[c]))
        found.put(f"unit{c}", f"{pixel.unit[c]:.4f}")
        found.put(f"centred{c}", f"{pixel.centred[c]:.4f}")
        found.put(f"tensor{c}", f"{pixel.tensor[c]:.4f}")
        found.put(f"index{c}", f"[0, {c}, {y}, {x}]")
        found.put(f"plane{c}", f"{c * side * side + y * side + x:,}")
    found.put("packed", f"{3 * (y * side + x):,}")


def _row_first(place: tuple[int, int]) -> str:
    return f"[{place[1]}, {place[0]}]"


def _patch(found: Slots, way: Way, pixel: Pixel) -> None:
    side, around = way.card.preprocess.size, range(-REACH, REACH + 1)
    for down in around:
        for right in around:
            x, y = pixel.x + right, pixel.y + down
            cell = f"{down + REACH}{right + REACH}"
            if not (0 <= x < side and 0 <= y < side):
                for name in ("patch", "sheet0", "sheet1", "sheet2"):
                    found.put(f"{name}-{cell}", "")
                continue
            red, green, blue = way.pixels[y, x].tolist()
            found.put(f"patch-{cell}", f"{red}\n{green}\n{blue}", (red, green, blue))
            for c, value in enumerate((red, green, blue)):
                text = f"{way.tensor[0, c, y, x]:.2f}"
                found.put(f"sheet{c}-{cell}", text, tint(c, value))


def _memory(found: Slots, way: Way, pixel: Pixel) -> None:
    side = way.card.preprocess.size
    first, count = pixel.y * side + pixel.x, side * side
    packed, planes = way.pixels.reshape(-1, 3), way.tensor.reshape(3, -1)
    for k in range(RUN):
        for c in range(3):
            inside = first + k < count
            number = str(packed[first + k, c]) if inside else ""
            value = f"{planes[c, first + k]:.2f}" if inside else ""
            found.put(f"packed-{k}{c}", number)
            found.put(f"planar-{k}{c}", value)


def tint(channel: int, value: int) -> Colour:
    """The colour of one number of a channel: black at 0, red, green or blue at 255."""
    rest = value * TINTS[channel] // 100
    colour = [rest, rest, rest]
    colour[channel] = value
    return colour[0], colour[1], colour[2]


TINTS = (24, 24, 50)  # of the other channels, per cent: so that all three look equally clear


def ink_on(colour: Colour) -> str:
    """Black or white, whichever is read better on a colour (WCAG 2.2: at least 4.5 to 1)."""
    parts = np.asarray(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return "#000" if float(linear @ (0.2126, 0.7152, 0.0722)) > 0.179 else "#fff"
