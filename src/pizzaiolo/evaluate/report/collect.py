"""The facts that follow from the answers alone; others are added with `dataclasses.replace`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.card import Card
from ...core.manifest import Dataset, Row
from ...core.predictions import Predictions
from .. import metrics
from .facts import Bins, Facts, Shown
from .marks import Marks, read_marks, source_label

MAX_UNSURE = 12


def basic_facts(
    predictions: Predictions,
    result: dict[str, Any],
    card: Card,
    max_mistakes: int,
    dataset: Dataset | None = None,
) -> Facts:
    """The facts with mistakes, those that are right but unsure, reliability and ROC curve.

    With the `dataset`, mistakes can be marked for its `prepare`.
    """
    marks = read_marks(dataset) if dataset else Marks()
    rows = rows_of(predictions, dataset) if dataset else [None] * len(predictions)
    right = predictions.predicted == predictions.truth

    def shown_at(places: Sequence[int]) -> list[Shown]:
        return [shown(predictions, i, rows[i], marks) for i in places]

    return Facts(
        result=result,
        card=card,
        dataset=str(dataset.root) if dataset else "DATASET",
        mistakes=shown_at(mistakes(predictions)[:max_mistakes]),
        unsure=shown_at(unsure(predictions)),
        reliability=bins_of(right, predictions.confidence),
        roc=_roc(predictions),
        marks=marks,
    )


def rows_of(predictions: Predictions, dataset: Dataset) -> list[Row | None]:
    """The manifest's row of each answer, by path and label; None where the data set has none."""
    names = predictions.labels.names
    known = {(row.path, row.label): row for row in dataset.rows if row.kept}
    keys = zip(predictions.paths, (names[i] for i in predictions.truth), strict=True)
    return [known.get(key) for key in keys]


def mistakes(predictions: Predictions) -> list[int]:
    """Wrong answers, the most confident first."""
    wrong = np.flatnonzero(predictions.predicted != predictions.truth)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return [int(i) for i in wrong[order]]


def unsure(predictions: Predictions, most: int = MAX_UNSURE) -> list[int]:
    """Right answers, the least confident first."""
    right = np.flatnonzero(predictions.predicted == predictions.truth)
    order = np.argsort(predictions.confidence[right], kind="stable")
    return [int(i) for i in right[order][:most]]


def shown(
    predictions: Predictions, place: int, row: Row | None = None, marks: Marks = Marks()
) -> Shown:
    """One answer as the report shows it."""
    names, chances = predictions.labels.names, predictions.probabilities[place].tolist()
    return Shown(
        path=predictions.paths[place],
        truth=names[predictions.truth[place]],
        predicted=names[predictions.predicted[place]],
        probabilities=dict(zip(names, chances, strict=True)),
        picture=Path(predictions.files[place]) if predictions.files else None,
        verdict=predictions.decisions[place].verdict,
        source_label=source_label(row, marks) if row else None,
        sha256=(row.sha256 or "") if row else "",
    )


def bins_of(right: metrics.Bools, confidence: metrics.Reals) -> Bins:
    """The bins of the reliability diagram."""
    table = metrics.reliability(right, confidence)
    return [(float(said), float(share), float(n)) for said, share, n in table]


def _roc(predictions: Predictions) -> Sequence[tuple[float, float]]:
    """The ROC curve of two classes; empty for several, or where only one occurs."""
    positive = predictions.labels.binary_positive
    if positive is None or len(np.unique(predictions.truth)) < 2:
        return ()
    scores = predictions.probabilities[:, positive]
    return metrics.roc_points(predictions.truth, scores, positive)
