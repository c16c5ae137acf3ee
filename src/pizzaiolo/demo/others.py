"""Other round, red or cheesy things: hard to tell from a pizza by one glance at the colours."""

from __future__ import annotations

from collections.abc import Callable

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


def other(canvas: Canvas, random: Random, kind: str) -> None:
    """Paint one thing that is no pizza."""
    disc = place(random, len(canvas))
    if kind not in ("clock", "record") and random.random() < 0.75:
        plate(canvas, disc, random)
    KINDS[kind](canvas, disc, random)


def _round(
    canvas: Canvas, disc: Disc, random: Random, colour: Colour, rough: float = 0.3
) -> tuple[Mask, Mask, Mask]:
    """A round body with a shadow, lit from one side; gives mask, distance and angle."""
    distance, angle = disc.polar(len(canvas))
    distance = distance + wobble(random, angle, 0.02 * rough * 3)
    mask = ramp(1 - distance, 0.015)
    shadow(canvas, mask, random)
    grain = noise(random, len(canvas), 10)
    dome = 1.08 - 0.3 * distance**2 + rough * (grain - 0.5)
    body = np.asarray(tint(random, colour, 0.05), np.float32) * dome[..., None]
    paint(canvas, mask, np.clip(body, 0, 1).astype(np.float32))
    return mask, distance, angle


def _blobs(
    canvas: Canvas, disc: Disc, random: Random, colours: list[Colour], count: int, size: float
) -> None:
    """Many small soft pieces strewn over a disc; `size` is a share of its radius."""
    for _ in range(count):
        k = max(4, round(disc.radius * size * random.uniform(0.6, 1.3)))
        v, u = np.mgrid[-1.0 : 1.0 : k * 1j, -1.0 : 1.0 : k * 1j].astype(np.float32)
        turn, flat = random.uniform(0, np.pi), random.uniform(0.5, 1)
        a, b = u * np.cos(turn) + v * np.sin(turn), (v * np.cos(turn) - u * np.sin(turn)) / flat
        r = np.hypot(a, b)
        tone = (1.1 - 0.35 * r - 0.2 * (u + v) / 2)[..., None]
        colour = np.asarray(tint(random, colours[random.integers(len(colours))], 0.06)) * tone
        x, y = disc.at(0.8 * np.sqrt(random.random()), random.uniform(0, 2 * np.pi))
        dab(canvas, x, y, k, (np.clip(colour, 0, 1).astype(np.float32), ramp(0.9 - r, 0.1)))


def _burger(canvas: Canvas, disc: Disc, random: Random) -> None:
    low = Disc(disc.x, disc.y + disc.radius * 0.12, disc.radius * 0.98, disc.squash, 0)
    _round(canvas, low, random, (0.35, 0.55, 0.18), 0.8)
    _round(canvas, Disc(low.x, low.y, low.radius * 0.95, low.squash, 0), random, (0.32, 0.17, 0.1))
    top = Disc(disc.x, disc.y - disc.radius * 0.05, disc.radius * 0.93, disc.squash, 0)
    _round(canvas, top, random, (0.78, 0.48, 0.2), 0.15)
    _blobs(canvas, top, random, [(0.95, 0.88, 0.7)], 60, 0.07)


def _salad(canvas: Canvas, disc: Disc, random: Random) -> None:
    _round(canvas, disc, random, (0.9, 0.88, 0.84), 0.1)
    inner = Disc(disc.x, disc.y, disc.radius * 0.88, disc.squash, 0)
    _round(canvas, inner, random, (0.25, 0.42, 0.14), 0.9)
    _blobs(canvas, inner, random, [(0.35, 0.58, 0.2), (0.5, 0.7, 0.3), (0.2, 0.4, 0.12)], 70, 0.4)
    _blobs(canvas, inner, random, [(0.83, 0.18, 0.12), (0.93, 0.9, 0.8)], 16, 0.26)


def _spaghetti(canvas: Canvas, disc: Disc, random: Random) -> None:
    mask, distance, angle = _round(canvas, disc, random, (0.88, 0.7, 0.38), 0.2)
    swirl = noise(random, len(canvas), 4, 3)
    strands = np.sin(70 * distance + 9 * swirl + 2 * np.sin(3 * angle + 12 * swirl))
    paint(canvas, mask * ramp(strands - 0.2, 0.4), (0.6, 0.4, 0.16), 0.7)
    sauce = ramp(0.62 - distance + 0.5 * (noise(random, len(canvas), 8) - 0.5), 0.05)
    paint(canvas, mask * sauce, tint(random, (0.68, 0.15, 0.06), 0.05), 0.85)
    _blobs(canvas, Disc(disc.x, disc.y, disc.radius * 0.5, disc.squash, 0), random,
           [(0.4, 0.2, 0.1), (0.2, 0.42, 0.14)], 14, 0.3)  # fmt: skip


def _soup(canvas: Canvas, disc: Disc, random: Random) -> None:
    _round(canvas, disc, random, (0.92, 0.9, 0.87), 0.05)
    inner = Disc(disc.x, disc.y, disc.radius * 0.84, disc.squash, disc.turn)
    mask, distance, angle = _round(canvas, inner, random, (0.8, 0.28, 0.08), 0.08)
    cream = np.sin(angle * 2 + 9 * distance + random.uniform(0, 6))
    paint(canvas, mask * ramp(cream - 0.9, 0.08) * ramp(0.75 - distance, 0.05), (0.97, 0.9, 0.8))
    _blobs(canvas, inner, random, [(0.22, 0.45, 0.15)], 8, 0.16)


def _cheese(canvas: Canvas, disc: Disc, random: Random) -> None:
    mask, distance, angle = _round(canvas, disc, random, (0.93, 0.76, 0.35), 0.12)
    paint(canvas, mask * ramp(distance - 0.93, 0.01), tint(random, (0.7, 0.25, 0.1), 0.1))
    wedge = ramp((0.35 - np.abs(angle - np.pi)) * distance, 0.012) * mask
    paint(canvas, wedge, (0.75, 0.55, 0.2))
    _blobs(canvas, disc, random, [(0.8, 0.6, 0.22)], 12, 0.16)


def _pancakes(canvas: Canvas, disc: Disc, random: Random) -> None:
    for step in range(4):
        low = disc.radius * (0.12 - 0.07 * step)
        layer = Disc(disc.x, disc.y + low, disc.radius * 0.95, disc.squash, step)
        mask, distance, _ = _round(canvas, layer, random, (0.78, 0.52, 0.24), 0.3)
        paint(canvas, mask * ramp(distance - 0.9, 0.05), (0.93, 0.78, 0.5), 0.8)
    top = Disc(disc.x, disc.y - disc.radius * 0.1, disc.radius * 0.5, disc.squash, 0)
    _blobs(canvas, top, random, [(0.75, 0.1, 0.15), (0.2, 0.2, 0.42), (0.5, 0.1, 0.3)], 20, 0.45)


def _tomato(canvas: Canvas, disc: Disc, random: Random) -> None:
    mask, distance, angle = _round(canvas, disc, random, (0.8, 0.15, 0.08), 0.12)
    star = ramp(0.28 + 0.18 * np.cos(5 * angle) - distance, 0.02)
    paint(canvas, mask * star, (0.25, 0.45, 0.15))
    shine = ramp(0.16 - np.hypot(distance - 0.55, (angle - 4) * 0.3), 0.1)
    paint(canvas, mask * shine, (1, 0.9, 0.85), 0.6)


def _egg(canvas: Canvas, disc: Disc, random: Random) -> None:
    distance, angle = disc.polar(len(canvas))
    mask = ramp(0.95 - distance - wobble(random, angle, 0.14, 5), 0.03)
    shadow(canvas, mask, random, 0.3)
    paint(canvas, mask, tint(random, (0.96, 0.94, 0.89), 0.03))
    paint(canvas, mask * ramp(distance - 0.8, 0.1), (0.75, 0.5, 0.25), 0.4)
    yolk = Disc(disc.x, disc.y, disc.radius * random.uniform(0.35, 0.45), disc.squash, 0)
    _round(canvas, yolk, random, (0.97, 0.68, 0.1), 0.03)


def _doughnut(canvas: Canvas, disc: Disc, random: Random) -> None:
    under = canvas.copy()
    _round(canvas, disc, random, (0.72, 0.46, 0.2), 0.15)
    distance, angle = disc.polar(len(canvas))
    icing: list[Colour] = [(0.9, 0.5, 0.6), (0.35, 0.18, 0.1), (0.95, 0.92, 0.88), (0.8, 0.2, 0.15)]
    drip = 0.88 + wobble(random, angle, 0.05)
    glaze = ramp(drip - distance, 0.02)
    paint(canvas, glaze, tint(random, icing[random.integers(4)], 0.04))
    _blobs(canvas, disc, random, [(0.95, 0.8, 0.2), (0.2, 0.6, 0.7), (0.9, 0.3, 0.3)], 45, 0.08)
    paint(canvas, ramp(0.3 - distance, 0.02), under * 0.75)


def _naan(canvas: Canvas, disc: Disc, random: Random) -> None:
    mask, _, _ = _round(canvas, disc, random, (0.88, 0.74, 0.5), 0.45)
    char = ramp(noise(random, len(canvas), 9) - 0.6, 0.06)
    paint(canvas, mask * char, (0.38, 0.2, 0.08), 0.8)
    _blobs(canvas, disc, random, [(0.25, 0.42, 0.15)], 12, 0.07)


def _cake(canvas: Canvas, disc: Disc, random: Random) -> None:
    body: list[Colour] = [(0.93, 0.87, 0.8), (0.4, 0.22, 0.14), (0.85, 0.5, 0.5)]
    _round(canvas, disc, random, body[random.integers(3)], 0.08)
    for turn in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        x, y = disc.at(0.8, float(turn))
        berry = Disc(x, y, disc.radius * 0.11, disc.squash, 0)
        _round(canvas, berry, random, (0.78, 0.1, 0.12), 0.1)


def _empty(canvas: Canvas, disc: Disc, random: Random) -> None:
    _, distance, _ = _round(canvas, disc, random, (0.9, 0.89, 0.87), 0.03)
    paint(canvas, ramp(0.03 - np.abs(distance - 0.72), 0.02), (0.6, 0.6, 0.6), 0.5)
    _blobs(canvas, disc, random, [(0.6, 0.4, 0.2), (0.7, 0.2, 0.1)], 10, 0.05)


def _coffee(canvas: Canvas, disc: Disc, random: Random) -> None:
    cup = Disc(disc.x, disc.y, disc.radius * 0.8, disc.squash, disc.turn)
    _round(canvas, cup, random, (0.92, 0.9, 0.86), 0.04)
    inner = Disc(disc.x, disc.y, disc.radius * 0.68, disc.squash, disc.turn)
    mask, distance, angle = _round(canvas, inner, random, (0.42, 0.24, 0.12), 0.06)
    milk = ramp(0.55 + 0.2 * np.sin(angle * 2) - distance, 0.1)
    paint(canvas, mask * milk, (0.85, 0.7, 0.5), 0.8)


def _clock(canvas: Canvas, disc: Disc, random: Random) -> None:
    mask, distance, angle = _round(canvas, disc, random, (0.93, 0.92, 0.88), 0.03)
    paint(canvas, mask * ramp(distance - 0.9, 0.01), tint(random, (0.6, 0.2, 0.12), 0.2))
    ticks = ramp(np.cos(12 * angle) - 0.9, 0.05) * ramp(0.04 - np.abs(distance - 0.8), 0.02)
    paint(canvas, mask * ticks, (0.1, 0.1, 0.1))
    for length, at in ((0.5, random.uniform(0, 6)), (0.72, random.uniform(0, 6))):
        away = np.abs((angle - at + np.pi) % (2 * np.pi) - np.pi) * distance
        hand = ramp(0.025 - away, 0.01) * ramp(length - distance, 0.02)
        paint(canvas, mask * hand, (0.1, 0.1, 0.1))


def _record(canvas: Canvas, disc: Disc, random: Random) -> None:
    mask, distance, angle = _round(canvas, disc, random, (0.1, 0.1, 0.11), 0.05)
    shine = 0.5 + 0.5 * np.cos(2 * angle)
    grooves = 0.5 + 0.5 * np.sin(160 * distance)
    paint(canvas, mask * (shine**6) * grooves, (0.6, 0.6, 0.62), 0.5)
    paint(canvas, ramp(0.35 - distance, 0.01), tint(random, (0.8, 0.25, 0.12), 0.15))
    paint(canvas, ramp(0.04 - distance, 0.01), (0.9, 0.9, 0.9))


KINDS: dict[str, Callable[[Canvas, Disc, Random], None]] = {
    "burger": _burger, "salad": _salad, "spaghetti": _spaghetti, "soup": _soup,
    "cheese": _cheese, "pancakes": _pancakes, "tomato": _tomato, "egg": _egg,
    "doughnut": _doughnut, "naan": _naan, "cake": _cake, "plate": _empty,
    "coffee": _coffee, "clock": _clock, "record": _record,
}  # fmt: skip
