"""Pizzas and slices of many kinds, painted in layers as a pizzaiolo would lay them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene import (
    Canvas,
    Colour,
    Disc,
    Mask,
    Random,
    dab,
    noise,
    paint,
    place,
    plate,
    ramp,
    shadow,
    tint,
    wobble,
)

KINDS = ("margherita", "pepperoni", "mushroom", "olive", "peppers", "white", "everything")
TOPPINGS = {
    "margherita": ("basil", "tomato"),
    "pepperoni": ("pepperoni",),
    "mushroom": ("mushroom",),
    "olive": ("olive", "tomato"),
    "peppers": ("pepper", "olive"),
    "white": ("mushroom", "basil"),
    "everything": ("pepperoni", "mushroom", "olive", "pepper"),
}


@dataclass(frozen=True)
class _Shape:
    disc: Disc
    distance: Mask  # from the centre, in radii, with the crust's irregularity
    angle: Mask
    keep: Mask  # 1 where there is pizza in this direction (a slice, or one slice missing)


def pizza(canvas: Canvas, random: Random) -> None:
    """Paint one pizza, whole, cut, with a slice missing, or a single slice."""
    form = random.choice(["whole", "cut", "missing", "slice"], p=[0.35, 0.35, 0.15, 0.15])
    disc = place(random, len(canvas))
    if form == "slice":
        disc = _slice_place(disc, random)
    elif random.random() < 0.75:
        plate(canvas, disc, random)
    shape = _shape(canvas, disc, random, form)
    kind = str(random.choice(KINDS))
    _dough(canvas, shape, random)
    _filling(canvas, shape, random, white=kind == "white")
    _toppings(canvas, shape, random, kind, form)
    if form in ("cut", "missing"):
        _cuts(canvas, shape)


def _slice_place(disc: Disc, random: Random) -> Disc:
    """A slice is a sector of a larger pizza, moved so that the sector is in the picture."""
    radius = disc.radius * 1.7
    direction = random.uniform(0, 2 * np.pi)
    x, y = disc.x - 0.55 * radius * np.cos(direction), disc.y - 0.55 * radius * np.sin(direction)
    return Disc(x, y, radius, 1.0, (-direction) % (2 * np.pi))


def _shape(canvas: Canvas, disc: Disc, random: Random, form: str) -> _Shape:
    distance, angle = disc.polar(len(canvas))
    distance = distance + wobble(random, angle, random.uniform(0.012, 0.035))
    keep = np.ones_like(distance)
    around = np.minimum(angle, 2 * np.pi - angle)  # from the sector's middle
    if form == "slice":
        half = random.uniform(0.3, 0.42)
        keep = ramp((half - around) * distance, 0.012)
    elif form == "missing":
        keep = ramp((around - np.pi / 8) * distance, 0.012)
    return _Shape(disc, distance, angle, keep)


def _dough(canvas: Canvas, shape: _Shape, random: Random) -> None:
    side = len(canvas)
    mask = ramp(1 - shape.distance, 0.012) * shape.keep
    shadow(canvas, mask, random)
    bubbles = noise(random, side, 9)
    height = np.exp(-(((shape.distance - 0.93) / 0.07) ** 2))  # the rim stands up
    base = np.asarray(tint(random, (0.85, 0.63, 0.36), 0.05), np.float32)
    colour = base * (0.68 + 0.3 * height + 0.25 * (bubbles - 0.5))[..., None]
    paint(canvas, mask, np.clip(colour, 0, 1))
    burnt = ramp(noise(random, side, 12) - random.uniform(0.56, 0.68), 0.06) * height
    paint(canvas, mask * burnt, (0.22, 0.12, 0.06), 0.85)


def _filling(canvas: Canvas, shape: _Shape, random: Random, white: bool) -> None:
    side = len(canvas)
    inner = random.uniform(0.8, 0.87)
    edge = noise(random, side, 7)
    sauce = ramp(inner - shape.distance + 0.06 * (edge - 0.5), 0.02) * shape.keep
    colour: Colour = (0.93, 0.87, 0.7) if white else (0.74, 0.17, 0.06)
    lumps = 0.75 + 0.5 * (noise(random, side, 16, 3) - 0.5)
    paint(canvas, sauce, np.asarray(tint(random, colour, 0.05), np.float32) * lumps[..., None])
    cover = noise(random, side, int(random.integers(4, 9)))
    cheese = ramp(cover - random.uniform(0.3, 0.5), 0.07) * sauce
    cheese = cheese * ramp(inner - 0.05 - shape.distance, 0.03)
    relief = noise(random, side, 14)
    light_side = np.clip(1 + 4 * (relief - np.roll(relief, (2, 2), (0, 1))), 0.7, 1.25)
    tone = np.asarray(tint(random, (0.95, 0.78, 0.42), 0.05), np.float32)
    paint(canvas, cheese, np.clip(tone * light_side[..., None], 0, 1), 0.92)
    browned = ramp(noise(random, side, 13) - random.uniform(0.58, 0.68), 0.05) * cheese
    paint(canvas, browned, (0.66, 0.34, 0.1), 0.7)


def _toppings(canvas: Canvas, shape: _Shape, random: Random, kind: str, form: str) -> None:
    disc = shape.disc
    looks = {"pepperoni": _pepperoni, "mushroom": _mushroom, "olive": _olive,
             "basil": _basil, "pepper": _pepper, "tomato": _tomato}  # fmt: skip
    for name in TOPPINGS[kind]:
        count = int(random.integers(7, 16) * (2.2 if form == "slice" else 1))
        for _ in range(count):
            x, y = disc.at(0.76 * np.sqrt(random.random()), random.uniform(0, 2 * np.pi))
            column, row = int(x), int(y)
            inside = 0 <= column < len(canvas) and 0 <= row < len(canvas)
            if not inside or shape.keep[row, column] < 0.9 or shape.distance[row, column] > 0.78:
                continue
            size = disc.radius * random.uniform(0.85, 1.15)
            dab(canvas, x, y, size, looks[name](random, size))


def _local(size: float) -> tuple[Mask, Mask]:
    """Coordinates -1 to 1 of a small picture about `size` pixels wide."""
    k = max(5, round(size))
    v, u = np.mgrid[-1.0 : 1.0 : k * 1j, -1.0 : 1.0 : k * 1j].astype(np.float32)
    return u, v


def _pepperoni(random: Random, size: float) -> tuple[Canvas, Mask]:
    u, v = _local(size * 0.3)
    r = np.hypot(u, v) * (1 + 0.05 * np.sin(3 * np.arctan2(v, u) + random.uniform(0, 6)))
    spots = noise(random, len(u), 6, 2)
    tone = 0.85 + 0.3 * (spots - 0.5) - 0.25 * ramp(r - 0.72, 0.1) + 0.12 * (-(u + v)) * 0.5
    colour = np.asarray(tint(random, (0.72, 0.17, 0.1), 0.04), np.float32) * tone[..., None]
    return np.clip(colour, 0, 1), ramp(0.9 - r, 0.06)


def _mushroom(random: Random, size: float) -> tuple[Canvas, Mask]:
    u, v = _turned(random, *_local(size * 0.28))
    cap = ramp(0.62 - np.hypot(u, (v + 0.2) * 1.5), 0.07)
    stem = ramp(0.2 - np.abs(u), 0.05) * ramp(0.75 - np.abs(v - 0.05), 0.06) * (v > -0.3)
    gills = 0.82 + 0.18 * ramp(np.abs(np.hypot(u, v + 0.05) - 0.35) - 0.06, 0.05)
    colour = np.asarray(tint(random, (0.82, 0.72, 0.56), 0.05), np.float32) * gills[..., None]
    return colour, np.maximum(cap, stem)


def _olive(random: Random, size: float) -> tuple[Canvas, Mask]:
    u, v = _local(size * 0.15)
    r = np.hypot(u, v)
    dark = tint(random, (0.13, 0.12, 0.1) if random.random() < 0.6 else (0.33, 0.36, 0.12), 0.03)
    shine = 1 + 1.6 * np.exp(-(((u + 0.35) ** 2 + (v + 0.35) ** 2) / 0.05))
    return np.clip(np.asarray(dark) * shine[..., None], 0, 1).astype(np.float32), (
        ramp(0.88 - r, 0.08) * ramp(r - 0.36, 0.08)
    )


def _basil(random: Random, size: float) -> tuple[Canvas, Mask]:
    u, v = _turned(random, *_local(size * random.uniform(0.25, 0.4)))
    leaf = ramp(0.42 * np.sqrt(np.clip(1 - u**2, 0, 1)) * (1 - 0.35 * u) - np.abs(v), 0.05)
    vein = 1 + 0.35 * np.exp(-((v / 0.05) ** 2)) - 0.25 * (v > 0)
    colour = np.asarray(tint(random, (0.17, 0.4, 0.12), 0.05), np.float32) * vein[..., None]
    return np.clip(colour, 0, 1).astype(np.float32), leaf


def _pepper(random: Random, size: float) -> tuple[Canvas, Mask]:
    u, v = _turned(random, *_local(size * 0.34))
    r = np.hypot(u, v)
    arc = ramp(0.11 - np.abs(r - 0.7), 0.04) * (v < random.uniform(-0.2, 0.3))
    colours: list[Colour] = [(0.2, 0.5, 0.15), (0.82, 0.2, 0.1), (0.9, 0.65, 0.1)]
    colour = np.asarray(tint(random, colours[random.integers(3)], 0.04), np.float32)
    return np.clip(colour * (1 + 0.5 * (r - 0.7))[..., None], 0, 1), arc.astype(np.float32)


def _tomato(random: Random, size: float) -> tuple[Canvas, Mask]:
    u, v = _local(size * 0.24)
    r, angle = np.hypot(u, v), np.arctan2(v, u)
    seeds = ramp(np.sin(3 * angle + random.uniform(0, 6)) - 0.2, 0.3) * ramp(0.62 - r, 0.08)
    base = np.asarray(tint(random, (0.82, 0.2, 0.1), 0.04), np.float32)
    colour = base + seeds[..., None] * np.asarray([0.1, 0.22, 0.08], np.float32)
    return np.clip(colour, 0, 1), ramp(0.9 - r, 0.07)


def _turned(random: Random, u: Mask, v: Mask) -> tuple[Mask, Mask]:
    angle = random.uniform(0, 2 * np.pi)
    return u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)


def _cuts(canvas: Canvas, shape: _Shape) -> None:
    """Eight slices: dark lines from the middle to the crust."""
    off = np.abs((shape.angle + np.pi / 8) % (np.pi / 4))
    off = np.minimum(off, np.pi / 4 - off) * shape.distance
    line = ramp(0.012 - off, 0.01) * ramp(0.99 - shape.distance, 0.01) * shape.keep
    paint(canvas, line, (0.25, 0.12, 0.05), 0.75)
