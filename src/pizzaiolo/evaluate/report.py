"""The test report: how good, how sure, where wrong, what next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..config import EvaluateConfig
from ..core.card import Card
from ..core.labels import human
from ..core.page import thumbnail, write_page
from ..core.predictions import Predictions
from . import metrics

TEMPLATE = Path(__file__).with_name("report.html")
SIDE, MAX_UNSURE, PLOT = 168, 12, 200
MEASURES = {
    "accuracy": "share of right answers",
    "balanced_accuracy": "mean recall over the classes",
    "precision": "of those called {0}, how many are",
    "recall": "of all {0}, how many are found",
    "f1": "harmonic mean of precision and recall",
    "auroc": "chance that a {0} scores above a picture that is none",
    "ece": "mean gap between confidence and share right (0 is best)",
}


def write_report(
    path: Path, predictions: Predictions, result: dict[str, Any], card: Card, config: EvaluateConfig
) -> None:
    """Write report.html: self-contained, every picture embedded, light and dark."""
    labels = predictions.labels
    asked = human(labels.positive or "class").lower()
    values = {
        "title": f"Test report: {human(labels.positive) if labels.positive else 'all classes'}",
        "subtitle": f"{result['n']:,} pictures of the {result['split']} split, "
        f"{card.architecture.get('name', 'a model')}",
        "version": __version__,
        "r": result,
        "measures": {name: text.format(asked) for name, text in MEASURES.items()},
        "card": card,
        "matrix": result["confusion_matrix"],
        "reliability": _reliability(predictions),
        "roc": _roc(predictions),
        "mistakes": _gallery(predictions, _mistakes(predictions)[: config.max_mistakes]),
        "unsure": _gallery(predictions, _unsure(predictions)),
        "advice": _advice(result),
    }
    write_page(path, TEMPLATE, values)


def _mistakes(predictions: Predictions) -> list[int]:
    """Wrong answers, the most confident first."""
    wrong = np.flatnonzero(predictions.predicted != predictions.truth)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return [int(i) for i in wrong[order]]


def _unsure(predictions: Predictions) -> list[int]:
    """Right answers, the least confident first."""
    right = np.flatnonzero(predictions.predicted == predictions.truth)
    order = np.argsort(predictions.confidence[right], kind="stable")
    return [int(i) for i in right[order][:MAX_UNSURE]]


def _gallery(predictions: Predictions, rows: list[int]) -> list[dict[str, Any]]:
    names, predicted = predictions.labels.names, predictions.predicted
    return [
        {
            "path": predictions.paths[i],
            "picture": thumbnail(Path(predictions.files[i]), SIDE),
            "truth": names[predictions.truth[i]],
            "p_truth": float(predictions.probabilities[i, predictions.truth[i]]),
            "predicted": names[predicted[i]],
            "p_predicted": float(predictions.probabilities[i, predicted[i]]),
        }
        for i in rows
    ]


def _reliability(predictions: Predictions) -> list[dict[str, float]]:
    """Points of the reliability diagram in a plot of PLOT x PLOT, y downwards."""
    right = predictions.predicted == predictions.truth
    table = metrics.reliability(right, predictions.confidence)
    return [{"x": PLOT * x, "y": PLOT * (1 - y), "n": int(n)} for x, y, n in table]


def _roc(predictions: Predictions) -> str | None:
    """The ROC curve as the points of an SVG polyline, or None for several classes."""
    positive = predictions.labels.binary_positive
    if positive is None or len(np.unique(predictions.truth)) < 2:
        return None
    scores = predictions.probabilities[:, positive]
    points = metrics.roc_points(predictions.truth, scores, positive)
    return " ".join(f"{PLOT * x:.1f},{PLOT * (1 - y):.1f}" for x, y in points)


def _advice(result: dict[str, Any]) -> list[str]:
    """What to do next, from the figures alone."""
    advice = []
    accuracy = result["accuracy"]
    if result["leaks"]:
        advice.append("Near-copies of test pictures were trained on: the figures are too good.")
    if result["split"] != "test":
        advice.append("Chosen on these pictures: only the test split tells how good the model is.")
    if accuracy["low"] is not None and accuracy["high"] - accuracy["low"] > 0.06:
        advice.append(
            f"With {result['n']} pictures the accuracy is known only to within "
            f"{100 * (accuracy['high'] - accuracy['low']) / 2:.0f} points: test on more."
        )
    worst = min(result["per_class"], key=lambda name: result["per_class"][name]["recall"])
    recall = result["per_class"][worst]["recall"]
    if recall < 0.95:
        advice.append(f"Most misses are of {worst!r} (recall {recall:.0%}): add such pictures.")
    if result["ece"]["low"] is not None and result["ece"]["low"] > 0.05:
        advice.append("Confidence and share right differ: read the percentages with care.")
    if result["mistakes"]:
        advice.append("Look at the most confident mistakes first: some may be wrong labels.")
    return advice
