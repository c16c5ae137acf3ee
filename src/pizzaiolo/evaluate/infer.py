"""The model's answers on one split of a DATASET, as a predictions table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..console import track
from ..core.manifest import Dataset
from ..core.predictions import Predictions
from ..errors import DatasetError, InputError
from ..predict import Answer, Predictor


def infer(predictor: Predictor, dataset: Dataset, split: str) -> Predictions:
    """Answer every picture of a split, by the path that predict and serve take.

    Raises `InputError` where the classes differ, `DatasetError` for a picture that is gone.
    """
    labels = predictor.labels
    _check_classes(labels.names, dataset.labels.names)
    rows = dataset.split(split)
    if not rows:
        raise DatasetError(f"the {split} split of {dataset.root} holds no pictures")
    files = [dataset.picture(row) for row in rows]
    answers = track(predictor.predict_many(files), f"answering {split}", len(files))
    return Predictions(
        labels=labels,
        split=split,
        paths=tuple(row.path for row in rows),
        truth=np.asarray([labels.index(row.label) for row in rows], dtype=np.int64),
        probabilities=np.asarray([_probabilities(a, labels.names) for a in answers]),
        groups=tuple(row.group or row.path for row in rows),
        files=tuple(map(str, files)),
    )


def _check_classes(model: Iterable[str], data: Iterable[str]) -> None:
    if set(model) != set(data):
        raise InputError(
            f"the model knows the classes {sorted(model)}, the data set has {sorted(data)}",
            hint="evaluate on a data set with the same class names",
        )


def _probabilities(answer: Answer, names: tuple[str, ...]) -> list[float]:
    if answer.probabilities is None:
        why = answer.error["message"] if answer.error else "no answer"
        raise DatasetError(f"{answer.path} can't be read: {why}", hint="run prepare again")
    return [answer.probabilities[name] for name in names]
