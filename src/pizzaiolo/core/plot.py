"""Plots as SVG text: axes with round numbers, curves, one point marked; light and dark.

Without matplotlib: its import takes longer than a short training, and its pictures don't follow
the reader's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

Point = tuple[float, float]

MOST_DOTS = 40  # with more points only the line is drawn
HUGE = 1e90  # what is larger is off every axis
TINY = 1e-300  # less of a difference has no place on an axis
STEPS = 5  # about so many ticks on an axis
HEADING = 36  # pixels that a picture's heading takes
PALETTE = """
.curves { color-scheme: light dark; --ink: #22201d;
  --soft: #655f57; --line: #e4ded4; --paper: #fbf9f5; --good: #2f7d4f; --first: #b07400;
  --second: #b3361d; }
@media (prefers-color-scheme: dark) { .curves { --ink: #f0ece5; --soft: #a9a196;
  --line: #3a352f; --paper: #191714; --good: #7fcf9b; --first: #f0c169; --second: #ff8a6b; } }
.curves .paper { fill: var(--paper); }
"""
RULES = """
.curves { font: 13px system-ui, sans-serif; } .curves text { fill: var(--soft); }
.curves .grid { stroke: var(--line); } .curves .axis { stroke: var(--soft); }
.curves .title, .curves .said { fill: var(--ink); } .curves .title { font-size: 15px; font-weight: 600; }
.curves .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.curves .first { stroke: var(--first); } .curves .second { stroke: var(--second); }
.curves .dot.first { fill: var(--first); } .curves .dot.second { fill: var(--second); }
.curves .mark { stroke: var(--ink); stroke-dasharray: 3 4; }
.curves .ring { fill: var(--paper); stroke: var(--ink); stroke-width: 2; }
.curves .guide { stroke: var(--soft); stroke-dasharray: 4 4; stroke-width: 1.5; }
.curves .area { stroke: none; fill-opacity: .22; } .curves .area.first { fill: var(--first); } .curves .area.second { fill: var(--second); }
"""  # noqa: E501
STYLE = PALETTE + RULES  # a page that has the palette's colours needs the rules only


@dataclass(frozen=True)
class Frame:
    """Sizes of a plot, pixels: of what lies between the axes, and the margins around it."""

    width: int = 330
    height: int = 200
    left: int = 66
    right: int = 26
    top: int = 70
    bottom: int = 58

    @property
    def full(self) -> tuple[int, int]:
        """Width and height with the margins."""
        return self.left + self.width + self.right, self.top + self.height + self.bottom


@dataclass(frozen=True)
class Axis:
    """What an axis shows: from `low` to `high`, with a number at each tick."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    write: Callable[[float], str]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Line:
    """One curve: its name for the legend and its points, in order.

    `colour` is first, second or guide (dashed, without dots); `area` fills what lies under it.
    """

    name: str
    points: Sequence[Point]
    colour: str = "second"
    area: bool = False


class Layer(Protocol):
    """What a plot shows besides curves (`core.layers` has some)."""

    def draw(self, place: Callable[[Point], Point]) -> str:
        """Its SVG; `place` gives the pixels of a point, from the upper left corner of the plot."""


@dataclass(frozen=True)
class Panel:
    """One plot: its curves, and a point to mark with what is to be said of it.

    `below` lies under the curves, `above` over them.
    """

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...] = ()
    mark: Point | None = None
    said: str = ""
    below: tuple[Layer, ...] = ()
    above: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """A picture of `width` x `height` pixels: what it shows in words, and its SVG."""

    alt: str
    width: int
    height: int
    body: str

    def svg(self, style: str | None = STYLE, heading: str = "") -> str:
        """The self-contained picture, under a heading where it has one.

        `style` None leaves the style to the page that the picture becomes a part of.
        """
        top = HEADING if heading else 0
        width, height = self.width, self.height + top
        ground = (
            f'<style>{style}</style>\n<rect class="paper" width="{width}" height="{height}"/>\n'
        )
        head = f'<text class="title" x="16" y="26">{escape(heading)}</text>\n'
        body = f'{head}<g transform="translate(0 {top})">\n{self.body}\n</g>' if top else self.body
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="curves" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
            f"<title>{escape(self.alt)}</title>\n{ground if style else ''}{body}\n</svg>\n"
        )


def axis(
    label: str,
    values: Iterable[float],
    *,
    whole: bool = False,
    unit: float = 1.0,
    steps: int = STEPS,
) -> Axis:
    """An axis that shows all values but absurd ones, from one round number to another.

    `whole` has ticks at whole numbers only; `unit` 0.01 writes per cent; about `steps` ticks.
    """
    finite = [value / unit for value in values if abs(value) < HUGE] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low <= max(TINY, 1e-9 * max(abs(low), abs(high))):
        margin = max(1e-3, abs(low) / 20)
        low, high = low - margin, high + margin
    step = _step(high - low, whole, steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    numbers = [i * step for i in range(first, last + 1)]
    if whole:
        low, high = math.floor(low), math.ceil(high)
        numbers = [n for n in numbers if low <= n <= high]
    else:
        numbers = [n for n in numbers if unit != 0.01 or 0 <= n <= 100]
        low, high = numbers[0], numbers[-1]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    form = f",.{decimals}f" if decimals < 6 and abs(last * step) < 1e6 else ".3g"
    sign = " %" if unit == 0.01 else ""
    return Axis(
        label, low * unit, high * unit, tuple(n * unit for n in numbers),
        lambda value: f"{value / unit:{form}}{sign}",
    )  # fmt: skip


def _step(span: float, whole: bool, steps: int) -> float:
    """A round number (1, 2 or 5 times a power of ten) that goes about `steps` times into a span."""
    rough = span / steps
    power: float = 10 ** math.floor(math.log10(rough))
    step = next(n for n in (1, 2, 5, 10) if n * power >= 0.75 * rough) * power
    return max(1.0, step) if whole else step


def log_axis(label: str, values: Iterable[float]) -> Axis:
    """An axis of positive values with ticks at powers of ten, or closer where there is only one."""
    positive = [value for value in values if 1 / HUGE < value < HUGE] or [0.1, 1.0]
    low, high = min(positive), max(positive)
    if high < 1.001 * low:
        low, high = low / 2, high * 2
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: tuple[float, ...] = (low, high)
    for numbers in ((1, 2, 5), (1,)):
        found = [n * 10.0**p for p in powers for n in numbers]
        found = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(found) > 1:
            ticks = tuple(found[:: max(1, round(len(found) / 8))])
    return Axis(label, low, high, ticks, short, log=True)


def short(value: float) -> str:
    """A number as it is typed: 0.000316 -> 3.2e-4, 0.001 -> 1e-3."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def svg(
    title: str, panels: Sequence[Panel], frame: Frame = Frame(), style: str | None = STYLE
) -> str:
    """The panels side by side as a self-contained SVG picture.

    `style` None leaves the style to the page that the picture becomes a part of.
    """
    return drawing(title, panels, frame).svg(style)


def drawing(alt: str, panels: Sequence[Panel], frame: Frame = Frame()) -> Drawing:
    """The panels side by side."""
    (full, height), count = frame.full, len(panels)
    drawn = "\n".join(
        f'<g transform="translate({number * full + frame.left} {frame.top})">\n'
        f"{_panel(panel, frame)}\n</g>"
        for number, panel in enumerate(panels)
    )
    return Drawing(alt, full * count, height, drawn)


def _panel(panel: Panel, frame: Frame) -> str:
    parts = [*_axes(panel.x, panel.y, frame), *_heading(panel, frame)]
    places = [[_place(panel, point, frame) for point in line.points] for line in panel.lines]
    if panel.mark:
        x, _ = _place(panel, panel.mark, frame)
        parts.append(f'<line class="mark" x1="{x}" y1="0" x2="{x}" y2="{frame.height}"/>')
    parts.append(_layers(panel, panel.below, frame))
    # An svg inside an svg cuts off what runs out of its frame.
    curves = "".join(_curve(line, at, frame) for line, at in zip(panel.lines, places, strict=True))
    parts.append(f'<svg width="{frame.width}" height="{frame.height}">{curves}</svg>')
    for line, at in zip(panel.lines, places, strict=True):
        if len(at) <= MOST_DOTS and line.colour != "guide" and not line.area:
            parts += [
                _dot(panel, line, *both)
                for both in zip(line.points, at, strict=True)
                if _inside(both[1], frame)
            ]
    if panel.mark and _inside(place := _place(panel, panel.mark, frame), frame):
        parts.append(f'<circle class="ring" cx="{place[0]}" cy="{place[1]}" r="5"/>')
    parts.append(_layers(panel, panel.above, frame))
    return "\n".join(part for part in parts if part)


def _layers(panel: Panel, layers: Iterable[Layer], frame: Frame) -> str:
    return "".join(layer.draw(lambda point: _place(panel, point, frame)) for layer in layers)


def _curve(line: Line, at: Sequence[Point], frame: Frame) -> str:
    points = " ".join(f"{x},{y}" for x, y in at)
    drawn = f'<polyline class="curve {line.colour}" points="{points}"/>'
    if not (line.area and at):
        return drawn
    ends = f"{at[0][0]},{frame.height} {points} {at[-1][0]},{frame.height}"
    return f'<polygon class="area {line.colour}" points="{ends}"/>{drawn}'


def _place(panel: Panel, point: Point, frame: Frame) -> Point:
    """Pixels from the upper left corner of the plot."""
    x, y = frame.width * panel.x.share(point[0]), frame.height * (1 - panel.y.share(point[1]))
    return round(x, 1), round(y, 1)


def _inside(place: Point, frame: Frame) -> bool:
    return -1 <= place[0] <= frame.width + 1 and -1 <= place[1] <= frame.height + 1


def _dot(panel: Panel, line: Line, point: Point, place: Point) -> str:
    at, value = panel.x.write(point[0]), f"{point[1]:.4g}"
    said = escape(f"{line.name}, {panel.x.label} {at}: {value}")
    return (
        f'<circle class="dot {line.colour}" cx="{place[0]}" cy="{place[1]}" r="3">'
        f"<title>{said}</title></circle>"
    )


def _axes(x: Axis, y: Axis, frame: Frame) -> list[str]:
    parts, (width, height) = [], (frame.width, frame.height)
    for tick in y.ticks:
        at = round(height * (1 - y.share(tick)), 1)
        parts.append(f'<line class="grid" x1="0" y1="{at}" x2="{width}" y2="{at}"/>')
        parts.append(f'<text x="-10" y="{at + 4}" text-anchor="end">{y.write(tick)}</text>')
    parts.append(f'<line class="axis" x1="0" y1="{height}" x2="{width}" y2="{height}"/>')
    for tick in x.ticks:
        at = round(width * x.share(tick), 1)
        parts.append(f'<line class="axis" x1="{at}" y1="{height}" x2="{at}" y2="{height + 5}"/>')
        parts.append(
            f'<text x="{at}" y="{height + 20}" text-anchor="middle">{x.write(tick)}</text>'
        )
    if x.label:
        label = f'<text x="{width / 2}" y="{height + 42}" text-anchor="middle">'
        parts.append(f"{label}{escape(x.label)}</text>")
    return parts


def _heading(panel: Panel, frame: Frame) -> list[str]:
    """The title, what is said of the mark, the unit of the upright axis and the legend."""
    parts = []
    if panel.title:
        parts.append(f'<text class="title" x="0" y="-44">{escape(panel.title)}</text>')
    if panel.said:
        said = escape(panel.said)
        parts.append(
            f'<text class="said" x="{frame.width}" y="-44" text-anchor="end">{said}</text>'
        )
    if panel.y.label:
        parts.append(f'<text x="0" y="-20">{escape(panel.y.label)}</text>')
    left, named = frame.width, [line for line in panel.lines if line.name]
    for line in reversed(named) if len(named) > 1 else ():
        left -= 7 * len(line.name)  # about as wide as its letters
        parts.append(f'<text x="{left}" y="-20">{escape(line.name)}</text>')
        ends = f'x1="{left - 24}" y1="-24" x2="{left - 7}" y2="-24"'
        parts.append(f'<line class="curve {line.colour}" {ends}/>')
        left -= 42
    return parts
