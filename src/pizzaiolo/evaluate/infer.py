"""What a model says of the pictures of a split, by the path that predict and serve take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.manifest import Dataset, Row
from ..core.predictions import Predictions
from ..errors import DatasetError, InputError
from ..predict import Predictor


@dataclass(frozen=True)
class Seen:
    """The answers on some pictures, their embeddings float32 [N, D] and their manifest's rows."""

    predictions: Predictions
    embeddings: NDArray[np.float32]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Known:
    """What a model learned from: class indices [N], embeddings float32 [N, D], manifest's rows and
    the pictures' files.
    """

    truth: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    rows: tuple[Row, ...]
    files: tuple[Path, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The near-duplicates that belong together."""
        return tuple(row.group or row.path for row in self.rows)


def recall(predictor: Predictor, dataset: Dataset, most: int) -> Known:
    """The pictures of the training split, or `most` of them drawn at random.

    Raises `DatasetError` for a picture that is gone.
    """
    rows, files = _pictures(dataset, "train", most)
    truth = [predictor.labels.index(row.label) for row in rows]
    embeddings = predictor.figures(files, "train", exact=False)[1]
    return Known(np.asarray(truth, dtype=np.int64), embeddings, tuple(rows), tuple(files))


def infer(predictor: Predictor, dataset: Dataset, split: str, *, exact: bool = True) -> Seen:
    """Answer the pictures of a split, by the very path that `predict` takes.

    Those that are not `exact` are rounded otherwise, and come sooner. Raises `InputError` where the
    classes differ, `DatasetError` for a picture that is gone.
    """
    labels = predictor.labels
    check_classes(predictor, dataset)
    rows, files = _pictures(dataset, split)
    probabilities, embeddings = predictor.figures(files, split, exact=exact)
    novelty = predictor.scores(embeddings)
    return Seen(
        Predictions(
            labels=labels,
            split=split,
            paths=tuple(row.path for row in rows),
            truth=np.asarray([labels.index(row.label) for row in rows], dtype=np.int64),
            probabilities=probabilities,
            groups=tuple(row.group or row.path for row in rows),
            files=tuple(map(str, files)),
            novelty=None if None in novelty else np.asarray(novelty, dtype=np.float64),
        ),
        embeddings,
        tuple(rows),
    )


def _pictures(
    dataset: Dataset, split: str, most: int | None = None
) -> tuple[list[Row], list[Path]]:
    rows = _some(dataset.split(split), most)
    if not rows:
        raise DatasetError(f"the {split} split of {dataset.root} holds no pictures")
    return rows, [dataset.picture(row) for row in rows]


def _some(rows: list[Row], most: int | None) -> list[Row]:
    if most is None or len(rows) <= most:
        return rows
    chosen = np.random.default_rng(0).permutation(len(rows))[:most]
    return [rows[i] for i in sorted(chosen.tolist())]


def check_classes(predictor: Predictor, dataset: Dataset) -> None:
    """Raise `InputError` where the model and the data set know different classes."""
    model, data = set(predictor.labels.names), set(dataset.labels.names)
    if model != data:
        raise InputError(
            f"the model knows the classes {sorted(model)}, the data set has {sorted(data)}",
            hint="evaluate on a data set with the same class names",
        )
