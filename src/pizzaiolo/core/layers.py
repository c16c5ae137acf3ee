"""What a plot shows besides curves: dots of several kinds, intervals, bands, limits, a legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from .plot import Frame, Point

Place = Callable[[Point], Point]

LETTER = 7.0  # about how wide a letter of the legend is, pixels
ROW = 18  # pixels from one row of the legend to the next
RULES = """
.curves .dot.faint { fill: var(--soft); fill-opacity: .45; }
.curves .dot.good { fill: var(--good); }
.curves .dot.hollow { fill: var(--paper); stroke: var(--soft); stroke-width: 1.3; }
.curves .dot.ring { fill: var(--paper); stroke: var(--ink); stroke-width: 2.2; }
.curves .cross { fill: none; stroke: var(--second); stroke-width: 1.8; }
.curves .whisker { stroke-width: 1.6; } .curves .band { stroke: none; fill-opacity: .2; }
.curves .band.first { fill: var(--first); } .curves .band.second { fill: var(--second); }
.curves .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4; stroke-linejoin: round; }
.curves .limit { stroke: var(--ink); stroke-dasharray: 2 4; } .curves .note { fill: var(--ink); }
"""  # noqa: E501
SIZES = {"faint": 2.6, "hollow": 2.6, "ring": 5.0}  # of dots, pixels; 3.2 else


@dataclass(frozen=True)
class Dot:
    """A point, and what is said where a pointer rests on it."""

    x: float
    y: float
    said: str = ""


@dataclass(frozen=True)
class Dots:
    """Points of a kind: first, second, good, faint, hollow, ring or cross."""

    points: Sequence[Dot]
    kind: str = "second"

    def draw(self, place: Place) -> str:
        """A circle, or a cross, at each point."""
        return "".join(_mark(self.kind, place((dot.x, dot.y)), dot.said) for dot in self.points)


@dataclass(frozen=True)
class Whiskers:
    """Upright intervals: x, low, high."""

    spans: Sequence[tuple[float, float, float]]
    colour: str = "second"

    def draw(self, place: Place) -> str:
        """A line for each interval."""
        found = []
        for x, low, high in self.spans:
            (left, bottom), (_, top) = place((x, low)), place((x, high))
            ends = f'x1="{left}" y1="{bottom}" x2="{left}" y2="{top}"'
            found.append(f'<line class="whisker {self.colour}" {ends}/>')
        return "".join(found)


@dataclass(frozen=True)
class Band:
    """The area between two curves: x, low, high, in order."""

    spans: Sequence[tuple[float, float, float]]
    colour: str = "second"

    def draw(self, place: Place) -> str:
        """One polygon."""
        upper = [place((x, high)) for x, _, high in self.spans]
        lower = [place((x, low)) for x, low, _ in reversed(self.spans)]
        points = " ".join(f"{x},{y}" for x, y in (*upper, *lower))
        return f'<polygon class="band {self.colour}" points="{points}"/>'


@dataclass(frozen=True)
class Limit:
    """An upright line from `low` to `high` at x, with a word at its upper end."""

    x: float
    low: float
    high: float
    word: str = ""

    def draw(self, place: Place) -> str:
        """The line and the word, on the side where there is room."""
        (x, bottom), (_, top) = place((self.x, self.low)), place((self.x, self.high))
        line = f'<line class="limit" x1="{x}" y1="{bottom}" x2="{x}" y2="{top}"/>'
        room = x > 8 + LETTER * len(self.word)
        at = f'x="{x - 6}" text-anchor="end"' if room else f'x="{x + 6}"'
        return f'{line}<text class="note" {at} y="{top + 12}">{escape(self.word)}</text>'


@dataclass(frozen=True)
class Note:
    """A word beside a point, on the side where there is room in a plot so wide, pixels."""

    x: float
    y: float
    word: str
    width: int

    def draw(self, place: Place) -> str:
        """The word, with a halo over what lies under it."""
        x, y = place((self.x, self.y))
        room = x + 10 + LETTER * len(self.word) < self.width + 20
        at = f'x="{x + 9}"' if room else f'x="{x - 9}" text-anchor="end"'
        return f'<text class="note halo" {at} y="{y - 6}">{escape(self.word)}</text>'


@dataclass(frozen=True)
class Legend:
    """Names with the kind of what they stand for, in rows over the plot."""

    entries: Sequence[tuple[str, str]]  # name, kind: of dots, or `line second`, `band first`
    frame: Frame

    @property
    def rows(self) -> list[list[tuple[float, str, str]]]:
        """The entries with their place from the left, pixels, row by row."""
        rows: list[list[tuple[float, str, str]]] = [[]]
        left, most = 0.0, self.frame.left + self.frame.width
        for name, kind in self.entries:
            wide = 24 + LETTER * len(name) + 14
            if rows[-1] and left + wide - 14 > most:
                rows.append([])
                left = 0.0
            rows[-1].append((left, name, kind))
            left += wide
        return rows

    def draw(self, place: Place) -> str:
        """The rows, the last one over the unit of the upright axis."""
        rows, found = self.rows, []
        for number, row in enumerate(rows):
            y = -40 - ROW * (len(rows) - 1 - number)
            for left, name, kind in row:
                x = left - self.frame.left + 8
                found.append(_key(kind, x, y - 4))
                found.append(f'<text x="{x + 22}" y="{y}">{escape(name)}</text>')
        return "".join(found)


def legend_space(entries: Sequence[tuple[str, str]], frame: Frame) -> int:
    """The pixels that a legend takes over the plot, with the unit of the upright axis."""
    return 38 + ROW * len(Legend(entries, frame).rows)


def _mark(kind: str, at: Point, said: str) -> str:
    title = f"<title>{escape(said)}</title>" if said else ""
    x, y = at
    if kind == "cross":
        path = f"M{x - 3.5},{y - 3.5}l7,7m0,-7l-7,7"
        return f'<path class="cross" d="{path}">{title}</path>'
    size = SIZES.get(kind, 3.2)
    return f'<circle class="dot {kind}" cx="{x}" cy="{y}" r="{size}">{title}</circle>'


def _key(kind: str, x: float, y: float) -> str:
    """What stands for an entry of the legend, 16 pixels wide."""
    shape, _, colour = kind.partition(" ")
    if shape == "line":
        return f'<line class="curve {colour}" x1="{x}" y1="{y}" x2="{x + 16}" y2="{y}"/>'
    if shape == "band":
        return f'<rect class="band {colour}" x="{x}" y="{y - 6}" width="16" height="12"/>'
    if shape == "limit":
        return f'<line class="limit" x1="{x}" y1="{y}" x2="{x + 16}" y2="{y}"/>'
    return _mark(kind, (x + 8, y), "")
