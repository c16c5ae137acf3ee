"""Horizontal bars and intervals as SVG: each under its name, so that long names have room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from .plot import Axis, Drawing

WIDTH, SIDE = 330, 24  # of the picture and its margins, pixels
ROW, BAR = 44, 12  # of an entry, and of its bar
LINE, LETTER = 18, 6.6  # of a line of text, and about how wide its letters are
FOOT = 44  # of the axis
RULES = """
.curves .bar { fill: var(--first); } .curves .bar.faint { fill: var(--soft); fill-opacity: .55; }
.curves .zero { stroke: var(--soft); } .curves .name { fill: var(--ink); }
.curves .track { fill: var(--line); } .curves .faint.whisker { stroke: var(--soft); }
.curves .good.whisker { stroke: var(--good); }
"""


@dataclass(frozen=True)
class Bar:
    """A name, its value, what is written of it, and the ends of its interval.

    `colour` is that of the kinds of dots: first, second, good or faint.
    """

    name: str
    value: float
    said: str
    low: float | None = None
    high: float | None = None
    colour: str = "first"


def bars(alt: str, entries: Sequence[Bar], axis: Axis, filled: bool = True) -> Drawing:
    """The entries from the top; `filled` draws bars from zero, else only dots and intervals."""
    tops = list(accumulate((ROW + LINE * _wraps(bar) for bar in entries), initial=6))
    height = tops.pop()
    grid = [_upright(axis, tick, height) for tick in axis.ticks]
    rows = [_row(bar, top, axis, filled) for bar, top in zip(entries, tops, strict=True)]
    zero = _upright(axis, 0.0, height, "zero") if axis.low <= 0 <= axis.high else ""
    numbers = [
        f'<text x="{_x(axis, tick)}" y="{height + 18}" text-anchor="middle">'
        f"{escape(axis.write(tick))}</text>"
        for tick in axis.ticks
    ]
    label = f'<text x="{WIDTH / 2}" y="{height + 37}" text-anchor="middle">{escape(axis.label)}'
    body = "\n".join([*grid, zero, *rows, *numbers, f"{label}</text>"])
    return Drawing(alt, WIDTH, height + FOOT, body)


def shortened(text: str, letters: float) -> str:
    """A text of at most so many letters, the end left out."""
    return text if len(text) <= letters else text[: max(1, int(letters) - 1)].rstrip() + "…"


def _x(axis: Axis, value: float) -> float:
    share = min(1.0, max(0.0, axis.share(value)))
    return round(SIDE + (WIDTH - 2 * SIDE) * share, 1)


def _upright(axis: Axis, value: float, height: int, kind: str = "grid") -> str:
    x = _x(axis, value)
    return f'<line class="{kind}" x1="{x}" y1="0" x2="{x}" y2="{height}"/>'


def _wraps(bar: Bar) -> bool:
    """Whether the name and what is said of it need a line each."""
    return LETTER * (len(bar.name) + len(bar.said) + 2) > WIDTH - 2 * SIDE


def _row(bar: Bar, top: int, axis: Axis, filled: bool) -> str:
    lines, at = top + LINE * _wraps(bar), _x(axis, bar.value)
    name, middle = escape(shortened(bar.name, (WIDTH - 2 * SIDE) / LETTER)), lines + 29
    end = f'x="{WIDTH - SIDE - 5}" y="{lines + 14}" text-anchor="end"'
    parts = [
        f"<title>{escape(f'{bar.name}: {bar.said}')}</title>",
        f'<text class="name halo" x="{SIDE + 5}" y="{top + 14}">{name}</text>',
        f'<text class="halo" {end}>{escape(bar.said)}</text>',
    ]
    if filled:
        zero = _x(axis, 0.0)
        span = f'x="{min(zero, at)}" width="{max(1.0, round(abs(at - zero), 1))}"'
        parts.append(
            f'<rect class="bar {bar.colour}" {span} y="{middle - BAR / 2}" height="{BAR}" rx="2"/>'
        )
    if bar.low is not None and bar.high is not None:
        low, high = _x(axis, bar.low), _x(axis, bar.high)
        ends = f'x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"'
        parts.append(f'<line class="whisker {bar.colour}" {ends} stroke-width="3"/>')
    if not filled:
        parts.append(f'<circle class="dot {bar.colour}" cx="{at}" cy="{middle}" r="4.5"/>')
    return f"<g>{''.join(parts)}</g>"
