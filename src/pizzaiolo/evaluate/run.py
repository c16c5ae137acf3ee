"""`pizzaiolo evaluate`: how good a model is on pictures that it has never seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import EvaluateConfig
from ..console import log
from ..core.bundle import result_folder, write_text
from ..core.labels import NOT_SURE
from ..core.manifest import Dataset
from ..core.predictions import Predictions
from ..predict import load_file
from . import metrics
from .infer import infer
from .intervals import bootstrap, gap_interval, luck, percentile_interval, wilson
from .report import write_report


def evaluate(
    model: Path | str,
    dataset: Path | str,
    out: Path | str,
    config: EvaluateConfig = EvaluateConfig(),
    *,
    code: str | None = None,
) -> dict[str, Any]:
    """Measure a model on one split, with 95 % intervals and the mistakes as pictures.

    Writes metrics.json, predictions.parquet and report.html into `out` and returns what
    `evaluate --json` prints. Raises `ModelFileError`, `DatasetError` or `InputError`.
    """
    predictor, data = load_file(Path(model), code), Dataset.open(dataset)
    with result_folder(Path(out), "evaluation", "metrics.json") as folder:
        predictions = infer(predictor, data, config.split)
        result = measure(predictions, config)
        result["leaks"] = _leaks(data, config.split)
        result["same_data"] = predictor.card.data.get("fingerprint") == data.fingerprint
        result["report"] = str(Path(out) / "report.html")
        _warn(result)
        predictions.write(folder / "predictions.parquet")
        write_report(folder / "report.html", predictions, result, predictor.card, config)
        write_text(folder / "metrics.json", json.dumps(result, indent=2, ensure_ascii=False))
    return result


def _warn(result: dict[str, Any]) -> None:
    if result["leaks"]:
        log.warning("%s pictures have near-copies in the training split", result["leaks"])
    if (split := result["split"]) != "test":
        log.warning("the %s split was used to choose the model; trust the test split", split)


Figures = Callable[[NDArray[np.int64]], dict[str, float | None]]


def measure(predictions: Predictions, config: EvaluateConfig) -> dict[str, Any]:
    """Every figure of a predictions table, with intervals; touches no file."""
    labels, truth = predictions.labels, predictions.truth
    predicted, positive = predictions.predicted, labels.binary_positive
    matrix = metrics.confusion(truth, predicted, len(labels.names))
    right = predicted == truth
    confidence = predictions.confidence

    def figures(rows: NDArray[np.int64]) -> dict[str, float | None]:
        drawn = metrics.confusion(truth[rows], predicted[rows], len(labels.names))
        area = metrics.auroc(truth[rows], predictions.probabilities[rows], positive)
        gap = metrics.ece(right[rows], confidence[rows])
        return {**metrics.headline(drawn, positive), "auroc": area, "ece": gap}

    values = figures(np.arange(len(truth)))
    ranges = _intervals(predictions, figures, config)
    verdicts = [labels.decide(p).verdict for p in predictions.probabilities.tolist()]
    return {
        "split": predictions.split,
        "n": len(truth),
        **{name: _with_interval(value, ranges[name]) for name, value in values.items()},
        "per_class": _per_class(labels.names, matrix),
        "confusion_matrix": {"labels": list(labels.names), "counts": matrix.tolist()},
        "not_sure": verdicts.count(NOT_SURE),
        "mistakes": int((~right).sum()),
    }


def _intervals(
    predictions: Predictions, figures: Figures, config: EvaluateConfig
) -> dict[str, tuple[float, float] | None]:
    groups, truth = predictions.groups, predictions.truth
    right = predictions.predicted == truth
    confidence = predictions.confidence
    drawn = bootstrap(figures, groups, config.bootstrap, config.seed)
    of_class = [{g for g, t in zip(groups, truth, strict=True) if t == c} for c in set(truth)]
    rarest, independent = min(map(len, of_class)), len(set(groups))
    found = {name: percentile_interval(values, rarest) for name, values in drawn.items()}
    if independent == len(truth):  # Wilson's is exact enough
        found["accuracy"] = wilson(int(right.sum()), len(truth))
    else:
        found["accuracy"] = percentile_interval(drawn["accuracy"], independent)
    lucky = luck(confidence, groups, config.bootstrap, config.seed)
    by_luck = [metrics.ece(hits, confidence) for hits in lucky]
    found["ece"] = gap_interval(metrics.ece(right, confidence), drawn["ece"], by_luck)
    return found


def _with_interval(value: float | None, found: tuple[float, float] | None) -> dict[str, Any]:
    low, high = found or (None, None)
    return {"value": value, "low": low, "high": high}


def _per_class(names: tuple[str, ...], matrix: metrics.Ints) -> dict[str, dict[str, float]]:
    columns = (metrics.precisions(matrix), metrics.recalls(matrix), metrics.f1s(matrix))
    return {
        name: {
            "precision": float(columns[0][i]),
            "recall": float(columns[1][i]),
            "f1": float(columns[2][i]),
            "support": int(matrix[i].sum()),
        }
        for i, name in enumerate(names)
    }


def _leaks(data: Dataset, split: str) -> int:
    """Pictures of the split whose group also has pictures in the training split."""
    if split == "train":
        return 0
    trained = {row.group for row in data.split("train") if row.group is not None}
    return sum(row.group in trained for row in data.split(split))
