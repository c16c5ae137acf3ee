"""How a model decides: chosen on the validation split and kept in the model's file.

Confidence, threshold, "Not sure" and the cut of novelty are no part of training, and may be chosen
anew for another aim. The test split takes no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import EvaluateConfig
from ..console import log
from ..core.bundle import load_pt, save_pt
from ..core.card import Card
from ..core.drift import Reference
from ..core.labels import Labels
from ..core.novelty import Novelty
from ..core.predictions import Predictions
from ..errors import StorageError, UsageError
from .band import Band, reject_band
from .calibrate import Calibration, Fit, calibrate
from .infer import Known, Seen
from .metrics import Reals
from .novelty import with_novelty
from .threshold import Aim, Choice, choose, cost_aim, parse_aim, parse_costs


@dataclass(frozen=True)
class Settled:
    """The card that decides as was chosen, and what was chosen; None for what was not asked for."""

    card: Card
    calibration: Calibration
    threshold: Choice | None = None
    band: Band | None = None

    def to_dict(self) -> dict[str, Any]:
        """The choices as JSON-ready values."""
        labels = self.card.labels
        return {
            "pictures": self.calibration.pictures,
            "temperature": self.card.temperature,
            "calibration": self.calibration.to_dict(),
            "threshold": labels.threshold,
            "threshold_choice": self.threshold.to_dict() if self.threshold else None,
            "reject_band": list(labels.reject_band) if labels.reject_band else None,
            "band_choice": self.band.to_dict() if self.band else None,
            "novelty": self.card.novelty is not None,
        }


def aim_of(labels: Labels, config: EvaluateConfig) -> Aim | None:
    """What the threshold is for; raises `UsageError` where there is none to choose."""
    if config.aim is None and config.cost is None:
        return None
    if config.aim is not None and config.cost is not None:
        raise UsageError("aim and cost are two aims, expected one", hint="leave one of them out")
    positive = labels.binary_positive
    if positive is None:
        raise UsageError(
            f"a threshold is for two classes of which one is asked for, these are {labels.names}",
            hint="leave --aim and --cost out",
        )
    if config.cost is not None:
        return cost_aim(parse_costs(config.cost, labels.names), positive)
    return parse_aim(config.aim or "")


def settle(
    card: Card, validation: Seen, training: Known, fingerprint: str, config: EvaluateConfig
) -> Settled:
    """Choose how the model decides from its answers on the validation and the training split.

    What was calibrated on the same data before stays; threshold and band follow the settings.
    """
    predictions = validation.predictions
    earlier = _earlier(card, fingerprint, len(predictions))
    calibration = earlier or calibrate(
        predictions.truth, predictions.probabilities, predictions.groups, config.seed
    )
    fit = Fit() if earlier else calibration.fit
    card = _calibrated(card, fit)
    probabilities = fit.apply(predictions.probabilities)
    labels, choice = _with_threshold(card.labels, predictions, probabilities, config)
    answered = replace(predictions, labels=labels, probabilities=probabilities)
    labels, band = _with_band(labels, answered, config)
    card = with_novelty(
        card.with_(labels=labels),
        training.embeddings,
        training.truth,
        validation.embeddings,
    )
    settled = Settled(card, calibration, choice, band)
    told = reference(card, probabilities, validation.embeddings)
    facts = {"dataset": fingerprint, **settled.to_dict(), "reference": told.to_dict()}
    return replace(settled, card=card.with_(decision=facts))


def reference(card: Card, probabilities: Reals, embeddings: NDArray[np.float32]) -> Reference:
    """What the settled model says of the validation pictures: probabilities [N, C], embeddings
    [N, D]. A service tells by it whether its own pictures are alike."""
    novelty = Novelty.from_facts(card.novelty).scores(embeddings) if card.novelty else None
    scores = [None] * len(probabilities) if novelty is None else novelty.tolist()
    rows = zip(probabilities.tolist(), scores, strict=True)
    decided = [card.labels.decide(row, score) for row, score in rows]
    confidence = np.asarray([decision.confidence for decision in decided])
    return Reference.of([decision.verdict for decision in decided], confidence, novelty)


def _earlier(card: Card, fingerprint: str, pictures: int) -> Calibration | None:
    """How the card was calibrated on the same data before, or without a word on how."""
    if card.decision.get("dataset") == fingerprint:
        told = Calibration.from_dict(card.decision.get("calibration"))
    elif card.scales:
        told = None
    else:
        return None
    return told or Calibration("none", Fit(), pictures, note="it is calibrated already")


def _calibrated(card: Card, fit: Fit) -> Card:
    return card.with_(
        temperature=card.temperature * fit.temperature, scales=fit.scales or card.scales,
        offsets=fit.offsets or card.offsets,
    )  # fmt: skip


def _with_threshold(
    labels: Labels, predictions: Predictions, probabilities: Reals, config: EvaluateConfig
) -> tuple[Labels, Choice | None]:
    aim, positive = aim_of(labels, config), labels.binary_positive
    if aim is None or positive is None:
        return labels, None
    choice = choose(aim, predictions.truth == positive, probabilities[:, positive])
    if choice.threshold is None:
        log.warning("the threshold stays at %.3g: %s", labels.threshold, choice.reason)
        return labels, choice
    band = labels.reject_band
    if band is not None and band[0] == labels.threshold:  # up to where a yes is sure
        band = (choice.threshold, band[1]) if band[1] > choice.threshold else None
    return replace(labels, threshold=choice.threshold, reject_band=band), choice


def _with_band(
    labels: Labels, predictions: Predictions, config: EvaluateConfig
) -> tuple[Labels, Band | None]:
    if config.answered is None:
        return labels, None
    positive = labels.binary_positive
    right = predictions.predicted == predictions.truth
    if positive is None:
        band = reject_band(right, predictions.probabilities.max(axis=1), config.answered)
    else:
        scores = predictions.probabilities[:, positive]
        band = reject_band(right, scores, config.answered, labels.threshold)
    if band.coverage is None:
        log.warning("the answers that are not sure stay as they are: %s", band.reason)
        return labels, band
    ends = None if band.low is None or band.high is None else (band.low, band.high)
    return replace(labels, reject_band=ends), band


def keep(path: Path, card: Card) -> bool:
    """Write the card into the `.pt` model file; False, and a warning, where that can't be done."""
    try:
        save_pt(path, card, load_pt(path)[1])
    except (StorageError, OSError) as error:
        log.warning("how the model decides is not kept in it: %s", error)
        return False
    return True
