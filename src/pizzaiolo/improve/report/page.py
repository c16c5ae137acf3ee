"""The report of a search as one HTML page, and its pictures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ... import __version__
from ...core.bundle import write_text
from ...core.labels import human
from ...core.page import write_page
from ...evaluate.report.advice import Advice
from ...evaluate.report.page import along, isolated, stylesheet
from ...evaluate.report.words import sentence
from ...evaluate.slices import Slice
from ..diagnose.weak import Hard, Weak
from ..leaderboard import Leaderboard, Row
from ..scale import Scale, chance, many, megabytes, milliseconds
from ..trial import FAILED
from ..words import setting
from . import answers, charts, findings, recipe, sentences
from .charts import Plot
from .facts import Facts
from .findings import SHARES
from .gallery import Gallery

HERE = Path(__file__).parent
SHOWN, MORE = 12, 200  # rows of the leaderboard at once, and in the page at all
MOST_FAILED, MOST_SLICES, MOST_HARD, MOST_SUSPECTS = 50, 40, 24, 12
SECTIONS = {
    "leaderboard": "Leaderboard", "cost": "Cost", "test": "Test", "recipe": "Recipe",
    "effects": "Settings", "data": "Photos", "weak": "Weak places", "search": "Search",
    "failed": "Failed", "how": "How judged",
}  # fmt: skip


def write_report(folder: Path, facts: Facts) -> Path:
    """Write report.html and report/*.svg into a folder; returns the page.

    The page is self-contained, and each part that is not known is left out.
    """
    plots = _plots(facts)
    for plot in (p for group in plots.values() for p in group):
        (folder / "report").mkdir(parents=True, exist_ok=True)
        write_text(folder / "report" / f"{plot.file}.svg", plot.svg)
    page = folder / "report.html"
    write_page(page, HERE / "page.html", _values(facts, plots))
    return page


def _plots(facts: Facts) -> dict[str, list[Plot]]:
    study = facts.study
    found: dict[str, list[Plot | None]] = {
        "cost": [*charts.pareto(study, facts.board)],
        "search": [charts.history(study), charts.what_matters(study)],
        "together": [charts.together(study)],
        "data": [findings.learning_curve(facts), findings.fits(facts)],
        "effects": [findings.effects(facts)],
    }
    return {name: [p for p in group if p is not None] for name, group in found.items()}


def _values(facts: Facts, plots: Mapping[str, Sequence[Plot]]) -> dict[str, Any]:
    study, board = facts.study, facts.board
    positive, best = study.folds.labels.positive, board.best
    style = stylesheet() + (HERE / "style.css").read_text(encoding="utf-8") + charts.OWN
    values = {
        "title": f"Improvement report: {human(positive) if positive else 'all classes'}",
        "subtitle": answers.subtitle(facts),
        "version": __version__,
        "style": Markup(style),
        "facts": facts,
        "board": board,
        "scale": Scale.of(study.aim),
        "better": answers.better(facts),
        "span": answers.span(facts),
        "cost": answers.cost(facts),
        "tested": sentences.tested(facts.test, Scale.of(study.aim), study.aim.name),
        "test_rows": sentences.test_rows(facts.test),
        "advice": [_advice(given) for given in facts.advice],
        "weak": facts.diagnosis.weak if facts.diagnosis else None,
        "plots": plots,
        "rows": _rows(board),
        "floor": _floor(board),
        "judged": answers.judged(study, board),
        "too_few": sentences.too_few(study, plots["search"]),
        "toml": recipe.as_toml(best.trial.config) if best else "",
        "command_of": recipe.as_command(best.trial.config, facts.dataset) if best else "",
        **_failed(facts),
        **_pictures(facts),
        **FORMS,
    }
    return {**values, "sections": _sections(values)}


def _advice(given: Mapping[str, Any]) -> Advice:
    """What is to be done, as the pieces of the page take it."""
    what, why = str(given["what"]).rstrip("."), sentence(str(given["why"]))
    return Advice(what, why, given.get("command") or "")


def _failed(facts: Facts) -> dict[str, Any]:
    study = facts.study
    failed = [t for t in study.trials if t.state == FAILED]
    told = [(t, setting(t.config, study.default.config)) for t in failed[:MOST_FAILED]]
    left_out = [e for e in facts.ablation if e.gain is None]
    names = [(findings.effect_name(e), e.reason or "not known") for e in left_out]
    return {"failed": told, "failures": len(failed), "not_measured": names}


def _pictures(facts: Facts) -> dict[str, Any]:
    """What the diagnosis says of labels, classes and pictures."""
    folds, found, gallery = facts.study.folds, facts.diagnosis, Gallery()
    files = dict(zip(folds.paths, folds.pictures.files, strict=True))
    noise, hardest = (found.noise, found.weak.hardest) if found else (None, ())
    hard = [(h.path, files.get(h.path), _hard(h)) for h in hardest]
    suspects = [
        (s.path, files.get(s.path), f"{human(s.label)}? Rather {human(s.suggested)}")
        for s in (noise.suspects if noise else ())
    ]
    return {
        "noise": sentences.noise(noise),
        "balance": sentences.balance(found.balance if found else None),
        "suspects": gallery.cards(suspects, MOST_SUSPECTS),
        "suspected": len(suspects),
        "hardest": gallery.cards(hard, MOST_HARD),
        "slices": _slices(found.weak) if found else [],
    }


def _hard(found: Hard) -> str:
    if found.truth == found.predicted:
        return f"{human(found.truth)}, only {SHARES.value(found.p_truth)} sure"
    answer = f"{human(found.predicted)}, {SHARES.value(found.p_predicted)} sure"
    return f"{human(found.truth)}? Answered {answer}"


def _slices(weak: Weak) -> list[Slice]:
    """Those that are worse first, then the others from the lowest accuracy."""
    others = (part for part in weak.slices if not part.worse)
    ranked = [*weak.worse, *sorted(others, key=lambda part: part.accuracy)]
    return ranked[:MOST_SLICES]


def _sections(values: Mapping[str, Any]) -> dict[str, str]:
    plots = values["plots"]
    there = {
        "cost": plots["cost"], "test": values["test_rows"], "recipe": values["toml"],
        "effects": plots["effects"] or values["not_measured"],
        "data": plots["data"] or values["noise"] or values["balance"],
        "weak": values["weak"],
         "failed": values["failed"],
    }  # fmt: skip
    return {key: name for key, name in SECTIONS.items() if there.get(key, True)}


def _rows(board: Leaderboard) -> tuple[Sequence[Row], Sequence[Row]]:
    """The rows that are shown at once, with the chosen and the default one, and the others."""
    named = (board.best, board.default)
    first = [r for r in board.rows if r.rank <= SHOWN or any(r is other for other in named)]
    ranks = {row.rank for row in first}
    return first, [r for r in board.rows if r.rank not in ranks][: MORE - len(first)]


def _floor(board: Leaderboard) -> tuple[float, float]:
    """The ends of the scale that the intervals of the shown rows lie on."""
    shown = _rows(board)[0]
    lows = [row.low if row.low is not None else row.value for row in shown]
    highs = [row.high if row.high is not None else row.value for row in shown]
    low, high = min(lows, default=0.0), max(highs, default=1.0)
    return (low, high) if high > low else (low - 0.01, high + 0.01)


FORMS = {
    "along": along,
    "human": human,
    "isolated": isolated,
    "chance": chance,
    "many": many,
    "ms": milliseconds,
    "mb": megabytes,
    "sentence": sentence,
    "shares": SHARES,
}
