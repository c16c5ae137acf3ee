"""What a model says of the pictures of a split, by the path that predict and serve take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..console import track
from ..core.manifest import Dataset, Row
from ..core.predictions import Predictions
from ..errors import DatasetError, InputError
from ..predict import Answer, Predictor


@dataclass(frozen=True)
class Seen:
    """The answers on some pictures, their embeddings float32 [N, D] and their manifest's rows."""

    predictions: Predictions
    embeddings: NDArray[np.float32]
    rows: tuple[Row, ...]


def infer(predictor: Predictor, dataset: Dataset, split: str, most: int | None = None) -> Seen:
    """Answer the pictures of a split, or `most` of them drawn at random.

    Raises `InputError` where the classes differ, `DatasetError` for a picture that is gone.
    """
    labels = predictor.labels
    _check_classes(labels.names, dataset.labels.names)
    rows = _some(dataset.split(split), most)
    if not rows:
        raise DatasetError(f"the {split} split of {dataset.root} holds no pictures")
    files = [dataset.picture(row) for row in rows]
    answers = track(predictor.look_many(files), f"answering {split}", len(files))
    probabilities, embeddings, novelty = [], [], []
    for answer, embedding in answers:
        probabilities.append(_probabilities(answer, labels.names))
        embeddings.append(embedding)
        novelty.append(answer.novelty)
    return Seen(
        Predictions(
            labels=labels,
            split=split,
            paths=tuple(row.path for row in rows),
            truth=np.asarray([labels.index(row.label) for row in rows], dtype=np.int64),
            probabilities=np.asarray(probabilities),
            groups=tuple(row.group or row.path for row in rows),
            files=tuple(map(str, files)),
            novelty=None if None in novelty else np.asarray(novelty, dtype=np.float64),
        ),
        np.stack(embeddings),
        tuple(rows),
    )


def _some(rows: list[Row], most: int | None) -> list[Row]:
    if most is None or len(rows) <= most:
        return rows
    chosen = np.random.default_rng(0).permutation(len(rows))[:most]
    return [rows[i] for i in sorted(chosen.tolist())]


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
