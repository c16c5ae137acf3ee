"""`pizzaiolo evaluate`: how good a model is on pictures that it has never seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config import EvaluateConfig
from ..console import log
from ..core.bundle import find_model, result_folder, write_text
from ..core.labels import NOT_SURE
from ..core.manifest import Dataset
from ..core.predictions import FILE, Predictions
from ..errors import DatasetError, UsageError
from ..predict import Predictor, load_file
from . import metrics
from .against import compare_with, read_other
from .figures import all_figures, average_figures, class_figures, top_figures
from .infer import Known, Seen, check_classes, infer, recall
from .intervals import wilson
from .leaks import Leak, Pictures, find_leaks, training_data
from .looks import count_look, looks_warning, run_of, training_warning
from .report import write_card, write_html, write_markdown
from .report.gather import Evidence, gather
from .settle import Settled, aim_of, keep, settle
from .slices import worse_slices

MOST_TRAINING = 10_000  # training pictures that are compared with; of more, so many at random


def evaluate(
    model: Path | str,
    dataset: Path | str,
    out: Path | str,
    config: EvaluateConfig = EvaluateConfig(),
    *,
    code: str | None = None,
    card: Path | str | None = None,
    against: Path | str | None = None,
) -> dict[str, Any]:
    """Measure a model on one split, with 95 % intervals and the mistakes as pictures.

    A RUN or `.pt` file is settled first: how it decides is chosen on the validation split of the
    DATASET that it was trained on, and kept in the file. Writes metrics.json, predictions.parquet,
    report.html and report.md into `out`, and a model card in the Hugging Face format into the
    file `card`. With `against`, another evaluation's folder, its predictions.parquet or a model, it
    tells whether this one is better. Returns what `evaluate --json` prints.
    Raises `ModelFileError`, `DatasetError`, `UsageError` or `InputError`.
    """
    path, data = find_model(Path(model)), Dataset.open(dataset)
    predictor = load_file(path, code)
    check_classes(predictor, data)
    settles = _settles(path, predictor, data, config)
    other = None if against is None else read_other(Path(against), data, config.split, code)
    with result_folder(Path(out), "evaluation", "metrics.json") as folder:
        trained = _trained(predictor, training_data(model, predictor.card, data))
        settled = None
        if trained is not None and settles:
            settled = _settle(path, predictor, data, trained, config)
            if settled.card != predictor.card:
                if keep(path, settled.card):
                    predictor = load_file(path, code)
                else:
                    settled = None
        seen = infer(predictor, data, config.split)
        compared = None if other is None else compare_with(str(against), other, seen.predictions)
        leaks = _leaks(seen, trained)
        result = measure(seen.predictions, config)
        result["leaks"] = len({leak.tested for leak in leaks} | set(_shared_groups(data, seen)))
        result["same_data"] = predictor.card.data.get("fingerprint") == data.fingerprint
        result["settled"] = settled.to_dict() if settled else None
        result["against"] = compared.to_dict() if compared else None
        warnings = _warnings(model, data, seen, result)
        evidence = Evidence(
            predictor, data, seen, trained, leaks, warnings, compared, str(model), str(out)
        )
        facts = gather(evidence, result, config)
        for sentence in worse_slices(facts.slices):
            log.warning("%s", sentence)
        result["slices"] = [part.to_json() for part in facts.slices]
        result["robustness"] = facts.robustness.to_json() if facts.robustness else None
        result["report"] = str(Path(out) / "report.html")
        seen.predictions.write(folder / FILE)
        write_html(folder / "report.html", facts)
        write_markdown(folder / "report.md", facts)
        write_text(folder / "metrics.json", json.dumps(result, indent=2, ensure_ascii=False))
        if card is not None:
            write_card(Path(card), facts)
    return result


def _settles(path: Path, predictor: Predictor, data: Dataset, config: EvaluateConfig) -> bool:
    """Whether to choose how the model decides; `UsageError` where that is wished in vain."""
    aim_of(predictor.labels, config)
    own = predictor.card.data.get("fingerprint") == data.fingerprint
    can = config.settle and path.suffix == ".pt" and own
    wishes = {"aim": config.aim, "cost": config.cost, "answered": config.answered}
    named = [name for name, wish in wishes.items() if wish is not None]
    if named and not can:
        raise UsageError(
            f"{', '.join(named)} can't be followed: the model stays as it is",
            hint="evaluate a RUN, or its .pt file, on the DATASET that it was trained on; "
            "export it again afterwards",
        )
    return can


def _trained(predictor: Predictor, source: Dataset | None) -> Known | None:
    """The pictures that the model learned from; None where they are gone."""
    if source is None:
        return None
    try:
        return recall(predictor, source, MOST_TRAINING)
    except DatasetError as error:
        log.warning("the training pictures can't be compared with: %s", error.message)
        return None


def _settle(
    path: Path, predictor: Predictor, data: Dataset, trained: Known, config: EvaluateConfig
) -> Settled:
    validation = infer(predictor, data, "validation", exact=False)
    return settle(predictor.card, validation, trained, data.fingerprint, config)


def _leaks(seen: Seen, trained: Known | None) -> list[Leak]:
    if trained is None or seen.predictions.split == "train":
        return []
    sides = (Pictures.of(part.rows, part.embeddings) for part in (seen, trained))
    return find_leaks(*sides)


def _shared_groups(data: Dataset, seen: Seen) -> Sequence[int]:
    """Pictures whose group also has pictures in the training split."""
    if seen.predictions.split == "train":
        return []
    trained = {row.group for row in data.split("train") if row.group is not None}
    return [place for place, row in enumerate(seen.rows) if row.group in trained]


def _warnings(model: Path | str, data: Dataset, seen: Seen, result: dict[str, Any]) -> list[str]:
    """What makes the figures doubtful, told at once and in the report."""
    split, leaks = result["split"], result["leaks"]
    found = [training_warning(split, result["n"], leaks)]
    if split == "test":
        result["looks"] = count_look(run_of(model), data.fingerprint)
        found.append(looks_warning(result["looks"]))
    if split == "validation":
        found.append("the validation split was used to choose the model; trust the test split")
    if leaks and found[0] is None:
        have = "1 picture has a near-copy" if leaks == 1 else f"{leaks} pictures have near-copies"
        found.append(f"{have} in the training split")
    told = [text for text in found if text is not None]
    for text in told:
        log.warning("%s", text)
    return told


def measure(predictions: Predictions, config: EvaluateConfig) -> dict[str, Any]:
    """Every figure of a predictions table, with intervals; touches no file."""
    labels, truth = predictions.labels, predictions.truth
    matrix = metrics.confusion(truth, predictions.predicted, len(labels.names))
    found = all_figures(predictions, config.bootstrap, config.seed)
    first = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "ece")
    names = (*first, *(name for name in found if name not in first))
    figures = {name: found[name].to_dict() for name in names}
    return {
        "split": predictions.split,
        "n": len(truth),
        **figures,
        "per_class": _per_class(predictions, matrix),
        "averages": {
            kind: {name: figure.to_dict() for name, figure in means.items()}
            for kind, means in average_figures(predictions).items()
        },
        "top_k": {str(k): figure.to_dict() for k, figure in top_figures(predictions).items()},
        "confusion_matrix": {"labels": list(labels.names), "counts": matrix.tolist()},
        **_answered(predictions),
        "mistakes": int((predictions.predicted != truth).sum()),
    }


def _answered(predictions: Predictions) -> dict[str, Any]:
    """How many pictures get no answer, and how right the others are."""
    sure = np.array([decision.verdict != NOT_SURE for decision in predictions.decisions])
    right = (predictions.predicted == predictions.truth)[sure]
    found: dict[str, float | None] = {"value": None, "low": None, "high": None}
    if len(right):
        value = float(right.mean())
        independent = len({predictions.groups[i] for i in np.flatnonzero(sure)})
        low, high = wilson(value * independent, independent)
        found = {"value": value, "low": low, "high": high}
    count = len(sure)
    return {"not_sure": count - len(right), "answered": found, "coverage": len(right) / count}


def _per_class(predictions: Predictions, matrix: metrics.Ints) -> dict[str, dict[str, Any]]:
    """The ratios of each class, None where undefined, the pictures of it, and the intervals."""
    found = class_figures(predictions)
    return {
        name: {
            **{ratio: figure.value for ratio, figure in found[name].items()},
            "support": int(matrix[index].sum()),
            "intervals": {
                ratio: {"low": figure.low, "high": figure.high}
                for ratio, figure in found[name].items()
            },
        }
        for index, name in enumerate(predictions.labels.names)
    }
