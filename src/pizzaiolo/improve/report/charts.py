"""The pictures of a search: history, cost, what matters, and how settings go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from markupsafe import Markup

from ...core import bars, layers, parallel
from ...core.bars import Bar
from ...core.layers import Dot, Dots, Legend, Limit, Note, legend_space
from ...core.parallel import Scale as Upright
from ...core.parallel import Thread
from ...core.plot import PALETTE, RULES, Axis, Drawing, Frame, Layer, Line, Panel, axis, drawing
from ..leaderboard import Leaderboard, Row
from ..scale import Scale, megabytes, milliseconds, time
from ..trial import DONE, FAILED, STOPPED, Study, Trial
from ..words import short_model, spoken, trial_setting, written
from .importance import importances, numeric, varied

PLOT = Frame(width=254, height=190, left=54, right=24, top=36, bottom=52)
OWN = RULES + layers.RULES + bars.RULES + parallel.RULES
STYLE = PALETTE + OWN
WORST = 3.0  # of an axis: so many times the span from the best to the median is shown
MOST_SCALES, MOST_THREADS, MOST_BARS = 7, 400, 12
VALUE = ""  # the key of the aim among the parameters
GOOD = 0.1  # share of the settings that stand out


@dataclass(frozen=True)
class Plot:
    """A picture with its file's name, title, and what it says in a sentence."""

    file: str
    title: str
    drawing: Drawing
    caption: str

    @property
    def picture(self) -> Markup:
        """The picture as a part of the page."""
        return Markup(self.drawing.svg(style=None))

    @property
    def svg(self) -> str:
        """The picture as a file of its own."""
        return self.drawing.svg(STYLE, self.title)


def plot(file: str, title: str, alt: str, panel: Panel, legend: Sequence[tuple[str, str]]) -> Plot:
    """A panel with a legend over it, the caption still empty."""
    frame = replace(PLOT, top=legend_space(legend, PLOT) if legend else PLOT.top)
    if legend:
        panel = replace(panel, above=(*panel.above, Legend(legend, frame)))
    return Plot(file, title, drawing(alt, [panel], frame), "")


def value_axis(scale: Scale, values: Sequence[float], higher: bool, label: str = "") -> Axis:
    """An axis of the aim's values; the worst of all don't press the others together."""
    best = max(values) if higher else min(values)
    reach = WORST * abs(best - float(np.median(values)))
    kept = [v for v in values if abs(v - best) <= reach] if reach else list(values)
    return axis(label or scale.name, kept, unit=scale.unit)


def clipped(value: float, scale: Axis) -> float:
    """The value, or the end of the axis that it lies beyond."""
    return min(scale.high, max(scale.low, value))


def history(study: Study) -> Plot | None:
    """The value of each trial in order, and the best so far."""
    higher, scale = study.aim.higher_is_better, Scale.of(study.aim)
    told = [(t, t.value) for t in study.trials if t.value is not None and isfinite(t.value)]
    if len(study.trials) < 2 or not told:
        return None
    y = value_axis(scale, [value for _, value in told], higher)
    x = axis("trial", [0, study.trials[-1].number], whole=True)
    edge = y.low if higher else y.high
    points: dict[str, list[Dot]] = {DONE: [], STOPPED: [], FAILED: []}
    for trial in study.trials:
        value = edge if trial.value is None or not isfinite(trial.value) else trial.value
        points[trial.state].append(Dot(trial.number, clipped(value, y), _said(trial, study, scale)))
    kinds = {DONE: "faint", STOPPED: "hollow", FAILED: "cross"}
    below = tuple(Dots(points[state], kind) for state, kind in kinds.items())
    default = study.default.value
    guide = () if default is None else (Line("", [(x.low, default), (x.high, default)], "guide"),)
    best = Line("", _best_so_far(study, y), "second")
    legend = [("best so far", "line second"), ("finished", "faint")]
    legend += [("default", "line guide")] if default is not None else []
    legend += [("stopped early", "hollow")] if points[STOPPED] else []
    legend += [("failed", "cross")] if points[FAILED] else []
    panel = Panel("", x, y, (*guide, replace(best, area=False)), below=below)
    found = plot("history", "How the search went", "Value of each trial", panel, legend)
    out = sum(clipped(value, y) != value for _, value in told)
    return replace(found, caption=_told(study, out))


def _said(trial: Trial, study: Study, scale: Scale) -> str:
    what = scale.value(trial.value) if trial.value is not None else trial.reason or "no value"
    said = trial_setting(trial, study.default)
    return f"trial {trial.number}, {trial.state}: {what}, {said}"


def _best_so_far(study: Study, y: Axis) -> list[tuple[float, float]]:
    """A step at each trial that was better than all before."""
    best: float | None = None
    points: list[tuple[float, float]] = []
    for trial in study.done:
        value = trial.value
        if value is None or not (best is None or study.aim.better(best, value)):
            continue
        if best is not None:
            points.append((trial.number, clipped(best, y)))
        points.append((trial.number, clipped(value, y)))
        best = value
    if best is not None:
        points.append((study.trials[-1].number, clipped(best, y)))
    return points


def _told(study: Study, out: int) -> str:
    done = study.done
    values = [t.value for t in done if t.value is not None]
    if not values:
        return "No trial was finished."
    best = max(values) if study.aim.higher_is_better else min(values)
    first = next(t for t in done if t.value == best)
    spent = time(sum(t.seconds for t in study.trials))
    text = f"The best came with trial {first.number} of {study.trials[-1].number}; all took {spent}"
    if out:
        text += f". {out} far worse {'lies' if out == 1 else 'lie'} on the edge"
    return text + "."


def pareto(study: Study, board: Leaderboard) -> Iterator[Plot]:
    """Value against latency, and against size."""
    costs = (
        ("pareto", "latency", "milliseconds a picture", "latency_ms", board.limits.latency_ms),
        ("pareto_size", "size", "megabytes of the model file", "megabytes", board.limits.megabytes),
    )
    for file, name, unit, field, limit in costs:
        rows = [row for row in board.rows if getattr(row.trial, field) is not None]
        if len({getattr(row.trial, field) for row in rows}) < 2:
            continue
        yield _against(file, name, unit, [(getattr(r.trial, field), r) for r in rows],
                       (study, board, limit))  # fmt: skip


def _against(
    file: str, name: str, unit: str, pairs: Sequence[tuple[float, Row]],
    of: tuple[Study, Leaderboard, float | None],
) -> Plot:  # fmt: skip
    study, board, limit = of
    scale, higher = Scale.of(study.aim), study.aim.higher_is_better
    y = value_axis(scale, [row.value for _, row in pairs], higher)
    x = axis(unit, [0.0, *(cost for cost, _ in pairs), *([limit] if limit else [])])
    front = _steps(pairs, higher)
    below = [Dots([_dot(c, r, y, scale) for c, r in pairs if r not in front.values()], "faint")]
    above: list[Layer] = [Dots([_dot(c, r, y, scale) for c, r in front.items()], "second")]
    legend = [("nothing is both cheaper and better", "line second")]
    above += [Limit(limit, y.low, y.high, "limit")] if limit is not None else []
    for word, row in (("default", board.default), ("best", board.best)):
        places = [cost for cost, other in pairs if other is row]
        if row is not None and places:
            dot = _dot(places[0], row, y, scale)
            word = "best, the default" if row is board.default is board.best else word
            above += [Dots([dot], "ring"), Note(dot.x, dot.y, word, PLOT.width)]
        if board.default is board.best:
            break
    stairs = Line("", _stairs(front, y), "second")
    panel = Panel("", x, y, (stairs,), below=tuple(below), above=tuple(above))
    found = plot(file, f"{scale.name.capitalize()} against {name}",
                 f"{scale.name} against {name}", panel, legend)  # fmt: skip
    told = "Each dot is a setting; settings of one architecture cost the same."
    return replace(found, caption=told)


def _steps(pairs: Sequence[tuple[float, Row]], higher: bool) -> dict[float, Row]:
    """The best row at each cost that beats all that are cheaper."""
    front: dict[float, Row] = {}
    for cost, row in sorted(pairs, key=lambda pair: (pair[0], pair[1].rank)):
        best = next(reversed(front.values()), None)
        if best is None or (row.value > best.value if higher else row.value < best.value):
            front.setdefault(cost, row)
    return front


def _stairs(front: dict[float, Row], y: Axis) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for cost, row in front.items():
        if points:
            points.append((cost, points[-1][1]))
        points.append((cost, clipped(row.value, y)))
    return points


def _dot(cost: float, row: Row, y: Axis, scale: Scale) -> Dot:
    trial = row.trial
    costs = f"{milliseconds(trial.latency_ms)}, {megabytes(trial.megabytes)}"
    said = f"rank {row.rank}: {scale.value(row.value)}, {costs}, {row.setting}"
    return Dot(cost, clipped(row.value, y), said)


def what_matters(study: Study) -> Plot | None:
    """The importance of each parameter."""
    found = importances(study)
    if not found:
        return None
    entries = [
        Bar(spoken(name), share, f"{100 * share:.0f} %")
        for name, share in list(found.items())[:MOST_BARS]
    ]
    x = axis("share of the differences", [0.0, max(found.values())], unit=0.01)
    drawn = bars.bars("Importance of each parameter", entries, x)
    caption = (
        "How much of what the finished settings differ in each parameter accounts for, by a random "
        "forest. It says what mattered in this space, not what is good."
    )
    return Plot("importances", "What matters", drawn, caption)


def together(study: Study) -> Plot | None:
    """Parallel coordinates of the parameters that matter most, and the value."""
    trials = [t for t in study.done if t.value is not None and isfinite(t.value)]
    names = (list(importances(study)) or varied(trials))[:MOST_SCALES]
    if len(trials) < 2 or not names:
        return None
    higher, scale = study.aim.higher_is_better, Scale.of(study.aim)
    ranked = sorted(trials, key=lambda t: (t.value or 0.0) if higher else -(t.value or 0.0))
    cut = ranked[:-MOST_THREADS]
    shown = [t for t in cut if t.number == study.default.number] + ranked[-MOST_THREADS:]
    y = value_axis(scale, [t.value for t in shown if t.value is not None], higher)
    scales = {name: _upright(name, [t.params[name] for t in shown]) for name in names}
    scales[VALUE] = Upright(scale.name, y)
    good = shown[-max(1, round(GOOD * len(shown))) :]
    best = {t.number for t in good}
    kinds = {t.number: "good" if t.number in best else "" for t in shown}
    kinds |= {t.number: "ink" for t in shown if t.number == study.default.number}
    kinds[shown[-1].number] = "second"
    order = sorted(shown, key=lambda t: ("", "good", "ink", "second").index(kinds[t.number]))
    threads = [_thread(t, scales, kinds[t.number], (study, scale)) for t in order]
    drawn = parallel.parallel("Settings and their value", list(scales.values()), threads)
    left_out = f" The best {MOST_THREADS} of {len(trials):,} are shown." if cut else ""
    caption = (
        "Each line is a setting: red the best, green the best tenth, dashed the default. Where the "
        f"green lines meet, a choice pays.{left_out}"
    )
    return Plot("parallel", "What goes together", drawn, caption)


def _upright(name: str, values: Sequence[Any]) -> Upright:
    if numeric(values):
        return Upright(spoken(name), axis("", [float(v) for v in values]))
    said = {_choice(name, v) for v in values}
    return Upright(spoken(name), choices=tuple(sorted(said, key=lambda s: (len(s), s))))


def _choice(name: str, value: Any) -> str:
    if name == "model":
        return short_model(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return written(value).replace("_", " ")


def _thread(
    trial: Trial, scales: Mapping[str, Upright], kind: str, of: tuple[Study, Scale]
) -> Thread:
    study, scale = of
    values: list[float | str | None] = []
    for name, upright in scales.items():
        value = trial.value if name == VALUE else trial.params[name]
        numbers = upright.axis
        values.append(clipped(float(value or 0), numbers) if numbers else _choice(name, value))
    return Thread(tuple(values), kind, _said(trial, study, scale))
