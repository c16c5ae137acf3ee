"""Line plots as SVG text: axes with round numbers, curves, one point marked; light and dark.

Without matplotlib: its import takes longer than a short training, and its pictures don't follow
the reader's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 330, 200  # of what lies between the axes, pixels
LEFT, RIGHT, TOP, BOTTOM = 66, 26, 70, 58  # around it
MOST_DOTS = 40  # with more points only the line is drawn
HUGE = 1e90  # what is larger is off every axis
STEPS = 5  # about so many ticks on an axis
STYLE = """
.curves { color-scheme: light dark; font: 13px system-ui, sans-serif; --ink: #22201d;
  --soft: #655f57; --line: #e4ded4; --paper: #fbf9f5; --first: #b07400; --second: #b3361d; }
@media (prefers-color-scheme: dark) { .curves { --ink: #f0ece5; --soft: #a9a196;
  --line: #3a352f; --paper: #191714; --first: #f0c169; --second: #ff8a6b; } }
.curves .paper { fill: var(--paper); } .curves text { fill: var(--soft); }
.curves .grid { stroke: var(--line); } .curves .axis { stroke: var(--soft); }
.curves .title, .curves .said { fill: var(--ink); } .curves .title { font-size: 15px; font-weight: 600; }
.curves .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.curves .first { stroke: var(--first); } .curves .second { stroke: var(--second); }
.curves .dot.first { fill: var(--first); } .curves .dot.second { fill: var(--second); }
.curves .mark { stroke: var(--ink); stroke-dasharray: 3 4; }
.curves .ring { fill: var(--paper); stroke: var(--ink); stroke-width: 2; }
"""  # noqa: E501


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
    """One curve: its name for the legend and its points, in order."""

    name: str
    points: Sequence[Point]
    colour: str = "second"  # or "first"


@dataclass(frozen=True)
class Panel:
    """One plot: its curves, and a point to mark with what is to be said of it."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    mark: Point | None = None
    said: str = ""


def axis(label: str, values: Iterable[float], *, whole: bool = False, unit: float = 1.0) -> Axis:
    """An axis that shows all values but absurd ones, from one round number to another.

    `whole` has ticks at whole numbers only; `unit` 0.01 writes per cent.
    """
    finite = [value / unit for value in values if abs(value) < HUGE] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = max(1e-3, abs(low) / 20)
        low, high = low - margin, high + margin
    step = _step(high - low, whole)
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


def _step(span: float, whole: bool) -> float:
    """A round number (1, 2 or 5 times a power of ten) that goes about `STEPS` times into a span."""
    rough = span / STEPS
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


def svg(title: str, panels: Sequence[Panel]) -> str:
    """The panels side by side as a self-contained SVG picture."""
    full, height = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    width = full * len(panels)
    drawn = "\n".join(
        f'<g transform="translate({number * full + LEFT} {TOP})">\n{_panel(panel)}\n</g>'
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="curves" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{width}" height="{height}"/>\n{drawn}\n</svg>\n'
    )


def _panel(panel: Panel) -> str:
    parts = [*_axes(panel.x, panel.y), *_heading(panel)]
    places = [[_place(panel, point) for point in line.points] for line in panel.lines]
    if panel.mark:
        x, _ = _place(panel, panel.mark)
        parts.append(f'<line class="mark" x1="{x}" y1="0" x2="{x}" y2="{HEIGHT}"/>')
    # An svg inside an svg cuts off what runs out of its frame.
    curves = "".join(
        f'<polyline class="curve {line.colour}" points="{" ".join(f"{x},{y}" for x, y in at)}"/>'
        for line, at in zip(panel.lines, places, strict=True)
    )
    parts.append(f'<svg width="{WIDTH}" height="{HEIGHT}">{curves}</svg>')
    for line, at in zip(panel.lines, places, strict=True):
        if len(at) <= MOST_DOTS:
            parts += [_dot(panel, line, *both) for both in zip(line.points, at, strict=True)]
    if panel.mark and _inside(place := _place(panel, panel.mark)):
        parts.append(f'<circle class="ring" cx="{place[0]}" cy="{place[1]}" r="5"/>')
    return "\n".join(part for part in parts if part)


def _place(panel: Panel, point: Point) -> Point:
    """Pixels from the upper left corner of the plot."""
    x, y = WIDTH * panel.x.share(point[0]), HEIGHT * (1 - panel.y.share(point[1]))
    return round(x, 1), round(y, 1)


def _inside(place: Point) -> bool:
    return -1 <= place[0] <= WIDTH + 1 and -1 <= place[1] <= HEIGHT + 1


def _dot(panel: Panel, line: Line, point: Point, place: Point) -> str:
    if not _inside(place):
        return ""
    at, value = panel.x.write(point[0]), f"{point[1]:.4g}"
    said = escape(f"{line.name}, {panel.x.label} {at}: {value}")
    return (
        f'<circle class="dot {line.colour}" cx="{place[0]}" cy="{place[1]}" r="3">'
        f"<title>{said}</title></circle>"
    )


def _axes(x: Axis, y: Axis) -> list[str]:
    parts = []
    for tick in y.ticks:
        at = round(HEIGHT * (1 - y.share(tick)), 1)
        parts.append(f'<line class="grid" x1="0" y1="{at}" x2="{WIDTH}" y2="{at}"/>')
        parts.append(f'<text x="-10" y="{at + 4}" text-anchor="end">{y.write(tick)}</text>')
    parts.append(f'<line class="axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>')
    for tick in x.ticks:
        at = round(WIDTH * x.share(tick), 1)
        parts.append(f'<line class="axis" x1="{at}" y1="{HEIGHT}" x2="{at}" y2="{HEIGHT + 5}"/>')
        parts.append(
            f'<text x="{at}" y="{HEIGHT + 20}" text-anchor="middle">{x.write(tick)}</text>'
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT + 42}" text-anchor="middle">{escape(x.label)}</text>'
    )
    return parts


def _heading(panel: Panel) -> list[str]:
    """The title, what is said of the mark, the unit of the upright axis and the legend."""
    parts = [f'<text class="title" x="0" y="-44">{escape(panel.title)}</text>']
    if panel.said:
        said = escape(panel.said)
        parts.append(f'<text class="said" x="{WIDTH}" y="-44" text-anchor="end">{said}</text>')
    if panel.y.label:
        parts.append(f'<text x="0" y="-20">{escape(panel.y.label)}</text>')
    left = WIDTH
    for line in reversed(panel.lines) if len(panel.lines) > 1 else ():
        left -= 7 * len(line.name)  # about as wide as its letters
        parts.append(f'<text x="{left}" y="-20">{escape(line.name)}</text>')
        ends = f'x1="{left - 24}" y1="-24" x2="{left - 7}" y2="-24"'
        parts.append(f'<line class="curve {line.colour}" {ends}/>')
        left -= 42
    return parts
