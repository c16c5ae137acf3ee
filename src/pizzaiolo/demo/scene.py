"""The stage of the rendered pictures: table, plate, light, and soft-edged shapes to paint.

A canvas is float32 [S, S, 3], 0 to 1. Shapes are painted through masks [S, S] of the same range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Canvas = NDArray[Any]
Mask = NDArray[Any]
Colour = tuple[float, float, float]
Random = np.random.Generator
TURN = 2048  # steps of a full turn, for what varies with the angle only


def noise(random: Random, side: int, cells: int, octaves: int = 4) -> Mask:
    """Fractal noise [side, side], 0 to 1: random grids of ever more cells, smoothly enlarged."""
    total = np.zeros((side, side), np.float32)
    weight = 0.0
    for octave in range(octaves):
        count = max(2, min(side, cells * 2**octave))
        grid = Image.fromarray(random.random((count, count), dtype=np.float32))
        share = 0.55**octave
        total += share * np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))
        weight += share
    result: Mask = np.clip(total / weight, 0, 1)
    return result


def ramp(values: Mask, width: float) -> Mask:
    """A soft step: 0 below -width, 1 above +width."""
    t = np.clip(values / (2 * width) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def blur(mask: Mask, radius: float) -> Mask:
    """A mask out of focus by `radius` pixels."""
    picture = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
    soft = picture.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(soft, np.float32) / 255


def paint(canvas: Canvas, mask: Mask, colour: Colour | Canvas, strength: float = 1.0) -> None:
    """Lay a colour (or a picture of colours) over the canvas through a mask, in place."""
    alpha = (strength * mask)[..., None]
    canvas += alpha * (np.asarray(colour, np.float32) - canvas)


def tint(random: Random, colour: Colour, spread: float = 0.05) -> Colour:
    """A colour a little off."""
    red, green, blue = np.clip(np.asarray(colour) + random.uniform(-spread, spread, 3), 0, 1)
    return float(red), float(green), float(blue)


@dataclass(frozen=True)
class Disc:
    """A flat round thing seen at a slant: centre and radius in pixels, squash 1 from above."""

    x: float
    y: float
    radius: float
    squash: float
    turn: float

    def polar(self, side: int) -> tuple[Mask, Mask]:
        """Distance from the centre in radii, and angle in radians, for every pixel."""
        rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
        u = (columns - self.x) / self.radius
        v = (rows - self.y) / (self.radius * self.squash)
        return np.hypot(u, v), (np.arctan2(v, u) + self.turn) % (2 * np.pi)

    def at(self, distance: float, angle: float) -> tuple[float, float]:
        """The pixel (x, y) of a place on the disc."""
        across = distance * self.radius
        return (
            self.x + across * np.cos(angle),
            self.y + across * np.sin(angle) * self.squash,
        )


def wobble(random: Random, angle: Mask, size: float, waves: int = 9) -> Mask:
    """A radius that varies smoothly around a disc, about 0."""
    steps = np.linspace(0, 2 * np.pi, TURN, dtype=np.float32)
    total = np.zeros_like(steps)
    for wave in range(2, 2 + waves):
        total += np.sin(wave * steps + random.uniform(0, 6.28)) / wave * random.uniform(0.3, 1)
    return size * total[(angle * (TURN / (2 * np.pi))).astype(np.int32) % TURN]


def dab(canvas: Canvas, x: float, y: float, size: float, look: tuple[Canvas, Mask]) -> None:
    """Lay a small picture (colours [k, k, 3], mask [k, k]) on the canvas, centred at (x, y)."""
    colours, mask = look
    side, k = len(canvas), len(mask)
    left, top = round(x - k / 2), round(y - k / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + k, side), min(top + k, side)
    if x0 >= x1 or y0 >= y1 or size <= 0:
        return
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    window = canvas[y0:y1, x0:x1]
    shade = np.roll(mask, (max(1, k // 16), max(1, k // 16)), (0, 1))[part]
    paint(window, shade, (0.15, 0.07, 0.03), 0.35)
    paint(window, mask[part], colours[part])


def table(random: Random, side: int) -> Canvas:
    """Wood, marble, cloth or steel."""
    kind = random.choice(["wood", "marble", "cloth", "steel"])
    rough = noise(random, side, 5)
    if kind == "wood":
        grain = noise(random, side, 3)
        lines = 0.5 + 0.5 * np.sin(
            np.linspace(0, random.uniform(20, 60), side)[:, None] + 14 * grain
        )
        shade = 0.75 + 0.25 * lines * rough
        base = tint(random, (0.5, 0.33, 0.2), 0.12)
    elif kind == "marble":
        veins = np.abs(noise(random, side, 4, 5) - 0.5)
        shade = 0.72 + 0.28 * ramp(veins - 0.03, 0.05)
        base = tint(random, (0.86, 0.85, 0.83), 0.06)
    elif kind == "cloth":
        shade, base = _checks(random, side), tint(random, (0.7, 0.6, 0.55), 0.25)
    else:
        shade = 0.8 + 0.2 * noise(random, side, 2, 2)
        base = tint(random, (0.45, 0.46, 0.48), 0.1)
    canvas = shade[..., None] * np.asarray(base, np.float32)
    if random.random() < 0.5:
        canvas = np.ascontiguousarray(canvas.transpose(1, 0, 2))
    result: Canvas = canvas.astype(np.float32)
    return result


def _checks(random: Random, side: int) -> Mask:
    step = random.uniform(side / 14, side / 7)
    rows, columns = np.mgrid[0:side, 0:side]
    stripes = (np.floor(rows / step) % 2 + np.floor(columns / step) % 2) / 2
    weave = 0.94 + 0.06 * ((rows + columns) % 2)
    result: Mask = ((0.65 + 0.35 * stripes) * weave).astype(np.float32)
    return result


def shadow(canvas: Canvas, mask: Mask, random: Random, depth: float = 0.55) -> None:
    """A soft shadow of a shape, a little to the side."""
    shift = int(len(canvas) * random.uniform(0.015, 0.03))
    paint(
        canvas, blur(np.roll(mask, (shift, shift), (0, 1)), len(canvas) * 0.025), (0, 0, 0), depth
    )


def plate(canvas: Canvas, disc: Disc, random: Random) -> None:
    """A plate, board or tray under the thing, somewhat larger than `disc`."""
    distance, _ = Disc(disc.x, disc.y, disc.radius * 1.2, disc.squash, 0).polar(len(canvas))
    mask = ramp(1 - distance, 0.012)
    shadow(canvas, mask, random)
    colours: list[Colour] = [
        (0.93, 0.92, 0.9),
        (0.35, 0.24, 0.16),
        (0.2, 0.22, 0.25),
        (0.75, 0.8, 0.86),
    ]
    colour = tint(random, colours[random.integers(len(colours))], 0.05)
    shade = 0.9 + 0.1 * ramp(np.abs(distance - 0.8) - 0.03, 0.03)
    paint(canvas, mask, np.asarray(colour, np.float32) * shade[..., None])


def light(canvas: Canvas, random: Random) -> Canvas:
    """Falloff, colour temperature, exposure, vignette and sensor noise."""
    side = len(canvas)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle = random.uniform(0, 2 * np.pi)
    slope = 1 + random.uniform(0.05, 0.28) * (rows * np.sin(angle) + columns * np.cos(angle))
    vignette = 1 - random.uniform(0, 0.3) * (rows**2 + columns**2) / 2
    warm = 1 + random.uniform(-0.08, 0.12) * np.array([1, 0.15, -1])
    exposure = random.choice([0.6, 0.85, 1.0, 1.0, 1.1, 1.2])
    lit = canvas * (slope * vignette * exposure)[..., None] * warm
    grain = random.normal(0, random.uniform(0.004, 0.025), canvas.shape)
    result: Canvas = np.clip(lit + grain, 0, 1).astype(np.float32)
    return result


def place(random: Random, side: int) -> Disc:
    """Where the thing lies: mostly whole, sometimes near the edge or cut by it."""
    spread = random.choice([0.03, 0.08, 0.16])
    x, y = side * (0.5 + random.uniform(-spread, spread, 2))
    radius = side * random.uniform(0.27, 0.46)
    return Disc(x, y, radius, random.uniform(0.6, 1.0), random.uniform(0, 2 * np.pi))
