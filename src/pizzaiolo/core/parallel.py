"""Parallel coordinates as SVG: a line for each thing, an upright axis for each of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from .bars import shortened
from .layers import LETTER
from .plot import Axis, Drawing

WIDTH, HEIGHT = 780, 250  # from the first axis to the last, and how long they are, pixels
NARROW, BROAD = 112, 172  # of the gap between axes
LEFT, RIGHT, TOP, BOTTOM = 64, 78, 46, 22
SPREAD = 0.62  # of a choice's share of the axis that its lines are spread over
RULES = """
.curves .thread { fill: none; stroke: var(--soft); stroke-opacity: .22; stroke-width: 1.1; }
.curves .thread.good { stroke: var(--good); stroke-opacity: .6; stroke-width: 1.6; }
.curves .thread.second { stroke: var(--second); stroke-opacity: 1; stroke-width: 2.6; }
.curves .thread.ink { stroke: var(--ink); stroke-opacity: 1; stroke-width: 2; stroke-dasharray: 5 4; }
"""  # noqa: E501


@dataclass(frozen=True)
class Scale:
    """An upright axis: numbers by an `axis` (no ticks of its label), or `choices` by name."""

    name: str
    axis: Axis | None = None
    choices: tuple[str, ...] = ()

    def share(self, value: float | str, spread: float) -> float:
        """Where a value lies, 0 at the bottom; `spread` (0 to 1) parts the lines of a choice."""
        if self.axis is not None:
            return min(1.0, max(0.0, self.axis.share(float(value))))
        middle = (self.choices.index(str(value)) + 0.5) / len(self.choices)
        return middle + SPREAD * (spread - 0.5) / len(self.choices)


@dataclass(frozen=True)
class Thread:
    """A line: a value for each scale, None where it has none; `kind` good, second, ink or empty."""

    values: tuple[float | str | None, ...]
    kind: str = ""
    said: str = ""


def parallel(alt: str, scales: Sequence[Scale], threads: Sequence[Thread]) -> Drawing:
    """The threads in their order, the last on top."""
    spreads = np.random.default_rng(0).permutation(np.arange(len(threads)) + 0.5) / len(threads)
    gap = min(BROAD, max(NARROW, WIDTH // max(1, len(scales) - 1)))
    lines = [_thread(scales, *pair, gap) for pair in zip(threads, spreads.tolist(), strict=True)]
    axes = [_axis(scale, LEFT + gap * i, gap) for i, scale in enumerate(scales)]
    width = LEFT + gap * (len(scales) - 1) + RIGHT
    return Drawing(alt, width, TOP + HEIGHT + BOTTOM, "\n".join([*lines, *axes]))


def _thread(scales: Sequence[Scale], thread: Thread, spread: float, gap: int) -> str:
    path, pen = [], "M"
    for i, (scale, value) in enumerate(zip(scales, thread.values, strict=True)):
        if value is None:
            pen = "M"
            continue
        y = round(TOP + HEIGHT * (1 - scale.share(value, spread)), 1)
        path.append(f"{pen}{LEFT + gap * i},{y}")
        pen = "L"
    said = f"<title>{escape(thread.said)}</title>" if thread.said else ""
    kind = f"thread {thread.kind}".strip()
    return f'<path class="{kind}" d="{"".join(path)}">{said}</path>'


def _axis(scale: Scale, x: int, gap: int) -> str:
    parts = [f'<line class="axis" x1="{x}" y1="{TOP}" x2="{x}" y2="{TOP + HEIGHT}"/>']
    name = shortened(scale.name, gap / LETTER)
    parts.append(
        f'<text class="name" x="{x}" y="{TOP - 22}" text-anchor="middle">{escape(name)}</text>'
    )
    for share, text in _ticks(scale):
        y = round(TOP + HEIGHT * (1 - share) + 4, 1)
        said = escape(shortened(text, (gap - 14) / LETTER))
        parts.append(f'<text class="halo" x="{x + 7}" y="{y}">{said}</text>')
    return "".join(parts)


def _ticks(scale: Scale) -> list[tuple[float, str]]:
    if scale.axis is not None:
        axis = scale.axis
        return [(axis.share(tick), axis.write(tick)) for tick in axis.ticks]
    return [(scale.share(choice, 0.5), choice) for choice in scale.choices]
