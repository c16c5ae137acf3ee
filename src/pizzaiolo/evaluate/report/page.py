"""The report as one HTML page: how good, how sure, where wrong, what next; then all the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ... import __version__
from ...core.labels import human
from ...core.page import DECISIONS, page_script, write_page
from ..mistakes import HARD, UNLIKE, WRONG_LABEL
from . import charts, words
from .advice import advise
from .facts import Facts, Shown, number_of
from .gallery import BUCKETS, BUDGET, Album, album, by_bucket
from .marks import COLUMNS, replay_command

HERE = Path(__file__).parent
LIKELIEST = 3  # classes whose probability stands under a picture
MIXED = 12  # pairs of classes
BUCKET_WORDS = {
    WRONG_LABEL: ("perhaps a wrong label", "perhaps wrong labels"),
    UNLIKE: ("unlike training", "unlike training"),
    HARD: ("hard", "hard"),
}
SECTIONS = {
    "mistakes": "Mistakes", "against": "Compared", "unsure": "Only just right",
    "measures": "Measures", "classes": "Classes", "confidence": "Confidence",
    "decision": "Threshold", "novelty": "Novelty", "slices": "Kinds", "robustness": "Robustness",
    "leaks": "Leaks", "tested": "Tested",
}  # fmt: skip


def write_html(path: Path, facts: Facts, budget: int = BUDGET) -> None:
    """Write report.html: self-contained, light and dark, its pictures within `budget` bytes."""
    found, drawn = album(facts, budget), charts.charts_of(facts)
    style = stylesheet() + charts.STYLE
    values = {
        "title": words.title(facts),
        "subtitle": words.subtitle(facts),
        "version": __version__,
        "style": Markup(style),
        **page_script(DECISIONS, HERE / "marks.js"),
        "data": _data(facts),
        "facts": facts,
        "r": facts.result,
        "matrix": facts.result["confusion_matrix"],
        "warnings": words.warnings(facts),
        "album": found,
        "budget": budget,
        "charts": drawn,
        "advice": advise(facts),
        "sections": _sections(facts, found, drawn),
        **_answers(facts),
        **_sentences(facts),
        **FORMS,
    }
    write_page(path, HERE / "page.html", values)


def stylesheet() -> str:
    """The style that reports share, without that of charts."""
    return (HERE / "style.css").read_text(encoding="utf-8")


def _data(facts: Facts) -> dict[str, Any]:
    """What marking needs; `label` is the source's, `now` the data set's."""
    marks = facts.marks
    items = [
        {
            "path": shown.path,
            "label": shown.source_label or shown.truth,
            "now": shown.truth,
            "predicted": shown.predicted,
            "sha256": shown.sha256,
        }
        for shown in by_bucket(facts.mistakes)
    ]
    return {
        "items": items,
        "classes": list(facts.classes),
        "columns": list(COLUMNS),
        "lines": [list(line) for line in marks.lines],
        "fingerprint": marks.fingerprint,
        "command": marks.command or replay_command(facts.dataset),
    }


def _answers(facts: Facts) -> dict[str, Any]:
    """The first screen."""
    result, counts = facts.result, Counter(shown.bucket for shown in facts.mistakes)
    guess = max(c["support"] for c in result["per_class"].values()) / max(1, result["n"])
    accuracy = dict(result["accuracy"])
    low = accuracy.get("low")
    floor = guess if low is None or low > guess else 0.0
    return {
        "good": {
            "low": None,
            "high": None,
            **accuracy,
            "guess": guess,
            "floor": floor,
            "more": [m for m in words.measures(facts) if m.key in ("precision", "recall")],
        },
        "sure": _sure(facts),
        "mixed": words.mix_ups(facts)[:MIXED],
        "buckets": [
            {"name": name, "n": counts[name], "words": BUCKET_WORDS[name][counts[name] > 1]}
            for name in BUCKETS
            if name in BUCKET_WORDS and counts[name]
        ],
    }


def _sure(facts: Facts) -> dict[str, float | None]:
    decision, calibration = facts.decision, facts.calibration
    answered = number_of(decision.answered) if decision else None
    coverage = number_of(decision.coverage) if decision else None
    changed = calibration if calibration and calibration.method != "none" else None
    ece = calibration.ece_after if calibration else facts.result.get("ece")
    found: dict[str, float | None] = {
        "answered": None,
        "ece": number_of(ece),
        "ece_before": number_of(changed.ece_before) if changed else None,
    }
    if answered is not None and coverage is not None:
        right = answered * coverage
        found |= {"answered": answered, "coverage": coverage, "right": right,
                  "wrong": coverage - right, "unsure": 1 - coverage}  # fmt: skip
    return found


def _sentences(facts: Facts) -> dict[str, Any]:
    slices = facts.slices
    return {
        "measures": words.measures(facts),
        "class_rows": words.class_rows(facts),
        "calibrated": words.calibrated(facts),
        "decided": words.decided(facts),
        "tested": words.tested(facts),
        "slice_floor": max(0.0, min((s.low for s in slices), default=0.0) - 0.02),
    }


def _sections(facts: Facts, found: Album, drawn: Mapping[str, Any]) -> dict[str, str]:
    there = {
        "against": facts.against, "unsure": found.unsure, "confidence": drawn["confidence"],
        "decision": facts.decision or drawn["decision"], "novelty": drawn["novelty"],
        "slices": facts.slices, "robustness": drawn["robustness"], "leaks": found.leaks,
    }  # fmt: skip
    return {name: text for name, text in SECTIONS.items() if there.get(name, True)}


# --- how values are written ---------------------------------------------------------------------


def along(value: float, low: float, high: float) -> float:
    """How far a value lies from `low` to `high`, per cent, kept inside."""
    return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)


def isolated(text: str) -> Markup:
    """A name whose direction marks turn nothing around it."""
    return Markup('<bdi dir="auto">{}</bdi>').format(text)


def likeliest(shown: Shown) -> list[tuple[str, float]]:
    """The likeliest classes of a picture, and its label."""
    order = sorted(shown.probabilities.items(), key=lambda pair: -pair[1])
    found = order[:LIKELIEST]
    return found + [pair for pair in order[LIKELIEST:] if pair[0] == shown.truth]


def cell(value: Any) -> str:
    """A figure or a number with three digits, with its interval where it has one."""
    number = number_of(value)
    if number is None:
        return words.UNDEFINED
    ends = words.interval(value) if isinstance(value, Mapping) else ""
    ends = Markup(f' <span class="ends">({ends})</span>') if ends else ""
    return Markup(f"{number:.3f}{ends}")


FORMS = {
    "share": lambda value: f"{100 * value:.1f}\u00a0%",
    "human": human,
    "named": lambda name: isolated(human(name)),
    "isolated": isolated,
    "along": along,
    "points": lambda value: f"{100 * value:.1f}\u00a0points",
    "cell": cell,
    "sentence": words.sentence,
    "likeliest": likeliest,
}
