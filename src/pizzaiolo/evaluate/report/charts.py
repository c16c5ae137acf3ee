"""The report's charts: what each shows in a title, an SVG and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...core.plot import RULES, Frame, Line, Panel, Point, axis, svg
from ..robustness import CORRUPTIONS
from .facts import Bins, Curve, Decision, Facts, Novelty, number_of
from .words import about, percent, sentence

PLOT = Frame(width=258, height=180, left=52, right=18, top=36, bottom=50)
SMALL = Frame(width=130, height=80, left=42, right=10, top=12, bottom=26)
STYLE = RULES  # for the page that the charts stand in
MOST_POINTS = 200  # of a curve
BARS = 24  # of a histogram
CLEAR = 0.02  # what is shown beside the lowest value of an accuracy


@dataclass(frozen=True)
class Chart:
    """A picture with its title, and what it says in a sentence."""

    title: str
    picture: Markup
    caption: str


def charts_of(facts: Facts) -> dict[str, list[Chart]]:
    """The charts of each section, as many as there are figures for."""
    decision, novelty = facts.decision, facts.novelty
    return {
        "confidence": [*_reliability(facts), *(_risk(decision) if decision else ())],
        "decision": [*(_tradeoff(decision, facts) if decision else ()), *_roc(facts)],
        "novelty": list(_histogram(novelty, facts) if novelty else ()),
        "robustness": list(_robustness(facts)),
    }


def _drawn(alt: str, panel: Panel, frame: Frame = PLOT) -> Markup:
    return Markup(svg(alt, [panel], frame, style=None))


def _reliability(facts: Facts) -> Iterator[Chart]:
    calibration = facts.calibration
    after: Bins = (calibration.after if calibration else ()) or facts.reliability
    if not after:
        return
    before: Bins = calibration.before if calibration else ()
    name = "after" if before else ""
    lines = [Line("before", [(row[0], row[1]) for row in before], "first")] if before else []
    lines.append(Line(name, [(row[0], row[1]) for row in after]))
    values = [value for line in lines for point in line.points for value in point]
    low = min(values) if min(values) > 0.45 else 0.0
    x, y = (axis(name, (low, 1.0), unit=0.01) for name in ("confidence", "share right"))
    guide = Line("", ((x.low, x.low), (1.0, 1.0)), "guide")
    panel = Panel("", x, y, (guide, *lines))
    caption = (
        'On the dashed line "90 % sure" is right 90 times of 100; under it the model is too sure. '
        "Each dot is an equal part of the pictures."
    )
    yield Chart("Is it right as often as it says?", _drawn("Reliability diagram", panel), caption)


def _risk(decision: Decision) -> Iterator[Chart]:
    if not decision.risk_coverage:
        return
    points = thinned(decision.risk_coverage, "coverage", "accuracy")
    coverage, answered = number_of(decision.coverage), number_of(decision.answered)
    mark = None if coverage is None or answered is None else (coverage, answered)
    heights = [y for _, y in (*points, *([mark] if mark else []))]
    panel = Panel(
        "",
        axis("share that is answered", [x for x, _ in points], unit=0.01),
        axis("right of what is answered", [min(heights) - CLEAR / 2, 1.0], unit=0.01),
        (Line("", points),),
        mark,
    )
    ring = " The ring is the band in use." if mark else ""
    yield Chart(
        'What does "Not sure" buy?',
        _drawn("Accuracy against coverage", panel),
        f"The less it answers, the more of its answers are right.{ring}",
    )


def _tradeoff(decision: Decision, facts: Facts) -> Iterator[Chart]:
    asked = facts.card.labels.positive or "the class"
    if decision.precision_recall:
        points = thinned(decision.precision_recall, "recall", "precision")
        precision, recall = (number_of(facts.result.get(n)) for n in ("precision", "recall"))
        mark = None if precision is None or recall is None else (recall, precision)
        low = min(y for _, y in points)
        panel = Panel(
            "",
            axis("recall: found of all", (0.0, 1.0), unit=0.01),
            axis("precision: right of those found", (min(low, 0.9), 1.0), unit=0.01),
            (Line("", points),),
            mark,
        )
        yield Chart(
            f"How many {asked} are found, at what price?",
            _drawn("Precision against recall", panel),
            f"Each point is a threshold; the ring is the one in use, {decision.threshold:.2f}.",
        )
    if decision.cost:
        points = thinned(decision.cost, "threshold", "cost")
        here = float(np.interp(decision.threshold, *np.array(sorted(points)).T))
        panel = Panel(
            "",
            axis("threshold", (0.0, 1.0)),
            axis("cost per picture", [0.0, *(y for _, y in points)]),
            (Line("", points),),
            (decision.threshold, here),
        )
        yield Chart(
            "Which threshold is cheapest?",
            _drawn("Cost against threshold", panel),
            f"The ring is the threshold in use, {decision.threshold:.2f}.",
        )


def _roc(facts: Facts) -> Iterator[Chart]:
    if not facts.roc:
        return
    guide = Line("", ((0.0, 0.0), (1.0, 1.0)), "guide")
    panel = Panel(
        "",
        axis("false alarms: of all others", (0.0, 1.0), unit=0.01),
        axis("found: of all that are", (0.0, 1.0), unit=0.01),
        (guide, Line("", thinned(facts.roc, "fpr", "tpr"))),
    )
    caption = "ROC curve: the nearer to the upper left corner, the better; the dashed line guesses."
    yield Chart("Does it rank well?", _drawn("ROC curve", panel), caption)


def _histogram(novelty: Novelty, facts: Facts) -> Iterator[Chart]:
    named = [("validation", novelty.validation, "first"), ("test", novelty.tested, "second")]
    named = [(name, scores, colour) for name, scores, colour in named if len(scores)]
    if not named:
        return
    every = np.concatenate([np.asarray(scores, np.float64) for _, scores, _ in named])
    edges = np.histogram_bin_edges(np.append(every, novelty.cut), BARS)
    split = facts.result["split"]
    lines = tuple(
        Line(split if name == "test" else name, _steps(scores, edges), colour, area=True)
        for name, scores, colour in named
    )
    panel = Panel(
        "",
        axis("novelty", edges.tolist()),
        axis("share", [0.0, *(y for line in lines for _, y in line.points)], unit=0.01),
        lines,
        (novelty.cut, -1.0),
    )
    told = (
        f"{percent(novelty.flagged)} of the {split} pictures lie over the cut of {novelty.cut:.3g}"
    )
    yield Chart(
        "What is like nothing in training?",
        _drawn("Histogram of novelty", panel),
        f'{told} and get "Not sure". {sentence(novelty.method)}'.strip(),
    )


def _steps(scores: Sequence[float], edges: np.ndarray) -> list[Point]:
    """The outline of a histogram of shares."""
    shares = np.histogram(scores, edges)[0] / len(scores)
    xs, ys = np.repeat(edges, 2), np.concatenate([[0], np.repeat(shares, 2), [0]])
    return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]


def _robustness(facts: Facts) -> Iterator[Chart]:
    panel = facts.robustness
    if panel is None:
        return
    clean = panel.clean.accuracy
    low = min([clean, *(point.accuracy for points in panel.curves.values() for point in points)])
    y = axis("", (max(0.0, low - CLEAR), 1.0), unit=0.01, steps=3)
    x = axis("", (0, 5), whole=True)
    for name, points in panel.curves.items():
        places = [(0.0, clean), *((float(p.severity), p.accuracy) for p in points)]
        guide = Line("", ((0.0, clean), (5.0, clean)), "guide")
        drawn = _drawn(
            f"Accuracy under {name}", Panel("", x, y, (guide, Line(name, places))), SMALL
        )
        said = f"{about(clean)} → {about(points[2].accuracy)} → {about(points[-1].accuracy)}"
        if name in CORRUPTIONS:
            said += f" ({CORRUPTIONS[name].unit}: {points[0].amount:g} to {points[-1].amount:g})"
        yield Chart("JPEG" if name == "jpeg" else name, drawn, said)


def thinned(points: Curve, x: str, y: str) -> list[Point]:
    """At most about `MOST_POINTS` of a curve's points, with both ends; `x` and `y` are its keys."""
    count = min(len(points), MOST_POINTS)
    places = np.unique(np.linspace(0, len(points) - 1, count).round().astype(int))
    return [_point(points[i], x, y) for i in places]


def _point(given: Mapping[str, float] | Point, x: str, y: str) -> Point:
    pair = (given[x], given[y]) if isinstance(given, Mapping) else given
    return float(pair[0]), float(pair[1])
