"""From the answers of an evaluation to all that its report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...config import EvaluateConfig
from ...core.heat import overlay
from ...core.labels import human
from ...core.manifest import Dataset
from ...core.predictions import Predictions
from ...predict import Predictor
from .. import metrics
from ..against import Against as Compared
from ..band import risk_coverage_curve
from ..calibrate import Calibration as Fitted
from ..calibrate import confidence_gap
from ..explain import Explainer
from ..infer import Known, Seen
from ..leaks import Leak as Found
from ..mistakes import Mistake, Training, find_mistakes
from ..robustness import Panel, robustness, spread
from ..settle import aim_of
from ..slices import slices
from ..threshold import Aim, cost_curve, precision_recall_curve
from .collect import basic_facts, bins_of, shown
from .facts import (
    Against,
    Bins,
    Calibration,
    Decision,
    Facts,
    Figure,
    Leak,
    Neighbour,
    Novelty,
    Shown,
)
from .words import percent

MOST_SPOILT = 100  # pictures
MOST_LEAKS = 24


@dataclass(frozen=True)
class Evidence:
    """What an evaluation has seen: the answers, and what the model learned from, if it is here."""

    predictor: Predictor
    data: Dataset
    seen: Seen
    trained: Known | None
    leaks: Sequence[Found]
    warnings: Sequence[str]
    against: Compared | None
    model: str
    out: str


def gather(evidence: Evidence, result: dict[str, Any], config: EvaluateConfig) -> Facts:
    """The facts of the report."""
    seen, card = evidence.seen, evidence.predictor.card
    predictions = seen.predictions
    basic = basic_facts(predictions, result, card, 0, evidence.data)
    right = predictions.predicted == predictions.truth
    return replace(
        basic,
        model=evidence.model,
        dataset=str(evidence.data.root),
        out=evidence.out,
        warnings=evidence.warnings,
        calibration=_calibration(evidence, result["ece"]),
        decision=_decision(predictions, result, config),
        novelty=_novelty(evidence),
        mistakes=_mistakes(evidence, basic, config),
        leaks=_leaks(evidence),
        against=_against(evidence, basic),
        slices=slices(seen.rows, right, predictions.groups),
        robustness=_robustness(evidence, config),
    )


def _calibration(evidence: Evidence, told: Figure) -> Calibration | None:
    """How well the confidence fits before and after; `told` is the ECE with its interval."""
    card, predictions = evidence.predictor.card, evidence.seen.predictions
    found = Fitted.from_dict(card.decision.get("calibration"))
    if found is None:
        return None
    truth, after = predictions.truth, predictions.probabilities
    gap = confidence_gap(truth, after)
    before = None if found.method == "none" else found.fit.undo(after)
    return Calibration(
        temperature=card.temperature,
        ece_before={"value": None if before is None else confidence_gap(truth, before)},
        ece_after=told if told["value"] == gap else {"value": gap},
        before=() if before is None else _bins(predictions, before),
        after=_bins(predictions, after),
        method=found.method,
        note=found.note or "",
    )


def _bins(predictions: Predictions, probabilities: metrics.Reals) -> Bins:
    return bins_of(probabilities.argmax(axis=1) == predictions.truth, probabilities.max(axis=1))


def _decision(predictions: Predictions, result: dict[str, Any], config: EvaluateConfig) -> Decision:
    labels, positive = predictions.labels, predictions.labels.binary_positive
    right = predictions.predicted == predictions.truth
    aim = aim_of(labels, config)
    found = Decision(
        threshold=labels.threshold,
        band=labels.reject_band,
        aim=_words(aim, config),
        risk_coverage=risk_coverage_curve(right, predictions.confidence),
        answered=result["answered"],
        coverage={"value": result["coverage"]},
    )
    if positive is None:
        return found
    asked, scores = predictions.truth == positive, predictions.probabilities[:, positive]
    return replace(
        found,
        precision_recall=precision_recall_curve(asked, scores),
        cost=cost_curve(asked, scores, aim) if aim and aim.kind == "cost" else (),
    )


def _words(aim: Aim | None, config: EvaluateConfig) -> str:
    kinds = {"f1": "the highest F1", "cost": f"the least cost ({config.cost})"}
    words = [] if aim is None else [kinds.get(aim.kind) or f"a {aim.kind} of {aim.wish:.0%}"]
    if config.answered is not None:
        words.append(f"{config.answered:.1%} right of what is answered")
    return " and ".join(words)


def _novelty(evidence: Evidence) -> Novelty | None:
    scores, cut = evidence.seen.predictions.novelty, evidence.predictor.labels.max_novelty
    if scores is None or cut is None:
        return None
    return Novelty(cut=cut, tested=scores.tolist(), method="distance to the training pictures")


def _mistakes(evidence: Evidence, basic: Facts, config: EvaluateConfig) -> list[Shown]:
    """The wrong answers, the most confident first, with what they are due to."""
    seen, trained = evidence.seen, evidence.trained
    known = None
    if trained is not None:
        known = Training(trained.embeddings, trained.truth, trained.groups)
    found = find_mistakes(seen.predictions, seen.embeddings, known)[: config.max_mistakes]
    explain = Explainer(evidence.predictor) if config.explain and found else None
    return [_mistake(evidence, basic, mistake, explain) for mistake in found]


def _mistake(
    evidence: Evidence, basic: Facts, mistake: Mistake, explain: Explainer | None
) -> Shown:
    seen = evidence.seen
    base = shown(seen.predictions, mistake.row, seen.rows[mistake.row], basic.marks)
    near = [_neighbour(evidence, place) for place in mistake.nearest]
    heat = _heat(evidence.predictor, base, mistake, explain) if explain else None
    return replace(base, heat=heat, near=near, bucket=mistake.bucket, why=mistake.why)


def _heat(
    predictor: Predictor, base: Shown, mistake: Mistake, explain: Explainer
) -> Image.Image | None:
    if not isinstance(base.picture, Path) or explain.reason is not None:
        return None
    pixels = predictor.card.preprocess.load(base.picture)
    heat = explain(pixels, predictor.labels.index(mistake.predicted)).heat
    return None if heat is None else overlay(Image.fromarray(pixels), heat)


def _neighbour(evidence: Evidence, place: int) -> Neighbour:
    assert evidence.trained is not None
    row, file = evidence.trained.rows[place], evidence.trained.files[place]
    return Neighbour(file, row.label, row.path)


def _leaks(evidence: Evidence) -> list[Leak]:
    if evidence.trained is None:
        return []
    seen, known = evidence.seen.predictions, evidence.trained
    return [
        Leak(
            path=seen.paths[leak.tested],
            trained=known.rows[leak.trained].path,
            picture=Path(seen.files[leak.tested]),
            copy=known.files[leak.trained],
            how=_how(leak),
        )
        for leak in evidence.leaks[:MOST_LEAKS]
    ]


def _against(evidence: Evidence, basic: Facts) -> Against | None:
    """The other model's answers where one of both is right, the surest of this one first."""
    found, predictions = evidence.against, evidence.seen.predictions
    if found is None:
        return None
    rows = {path: row for row, path in enumerate(predictions.paths)}
    there = dict(zip(found.predictions.paths, found.predictions.decisions, strict=True))

    def changed(paths: Sequence[str]) -> list[Shown]:
        order = sorted((rows[path] for path in paths), key=lambda i: -predictions.confidence[i])
        shown_here = (shown(predictions, i, evidence.seen.rows[i], basic.marks) for i in order)
        return [
            replace(s, why=f"the other says {human(d.label)}, {percent(d.confidence)}")
            for s in shown_here
            if (d := there[s.path])
        ]

    compared = found.comparison
    return Against(found.sentence, changed(compared.gained), changed(compared.lost))


def _how(leak: Found) -> str:
    return "by its embedding" if leak.bits is None else f"{leak.bits} of 64 bits of hash differ"


def _robustness(evidence: Evidence, config: EvaluateConfig) -> Panel | None:
    predictions, predictor = evidence.seen.predictions, evidence.predictor
    if not config.robustness_seconds:
        return None
    rows = np.sort(spread(predictions.truth, min(MOST_SPOILT, len(predictions)), config.seed))
    files = [Path(predictions.files[i]) for i in rows]
    pixels = np.stack([predictor.card.preprocess.load(file) for file in files])
    panel = robustness(
        predictor.run_many, predictor.labels, pixels, predictions.truth[rows],
        seconds=config.robustness_seconds, seed=config.seed,
    )  # fmt: skip
    return panel and replace(panel, of=len(predictions))
