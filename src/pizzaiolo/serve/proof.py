"""Whether a new model may take over: by pictures whose class is known, against the old one."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np

from ..core.image import Limits
from ..core.labels import Labels
from ..errors import InputError, ModelFileError
from ..predict import Predictor
from ..predict.place import class_folders

MOST = 64  # pictures that are asked, shared by the classes
WORSE = 2.0  # standard deviations of chance; McNemar's test, one-sided at 2.3 %
Known = tuple[Path, str]


def read_proof(folder: Path, labels: Labels) -> list[Known]:
    """Pictures in a folder of each class, with their labels: `MOST` drawn at random, always the
    same.

    Raises `InputError` where a class has none.
    """
    found: list[Known] = []
    for label, name in class_folders(labels.names).items():
        files = sorted(file for file in (folder / name).glob("*") if file.is_file())
        if not files:
            raise InputError(
                f"{folder} holds no picture in {name}/, expected some of each class",
                hint="--proof takes a folder like those that `prepare` reads",
            )
        share = min(len(files), max(1, MOST // len(labels.names)))
        found += [(file, label) for file in random.Random(0).sample(files, share)]
    return found


def prove(predictor: Predictor) -> None:
    """Raise `ModelFileError` unless a grey and a black picture get probabilities."""
    size = predictor.card.preprocess.size
    for level in (128, 0):
        chances, _ = predictor.run(np.full((1, size, size, 3), level, np.uint8))
        wanted = (1, len(predictor.labels.names))
        if chances.shape != wanted or not np.allclose(chances.sum(axis=1), 1, atol=1e-3):
            raise ModelFileError("what the model answers are no probabilities of its classes")


def check_alike(old: Predictor, new: Predictor) -> None:
    """Raise `ModelFileError` where clients of the old model would not understand the new one."""
    names = [sorted(predictor.labels.names) for predictor in (old, new)]
    positive = [predictor.labels.positive for predictor in (old, new)]
    if names[0] != names[1] or positive[0] != positive[1]:
        raise ModelFileError(
            f"the new model has the classes {names[1]} with {positive[1]} asked for, the old one "
            f"{names[0]} with {positive[0]}"
        )


def check_right(old: Predictor, new: Predictor, known: list[Known], limits: Limits) -> None:
    """Raise `ModelFileError` where the new model is worse on known pictures than chance explains.

    Only those count that one of both gets right and the other does not.
    """
    right = [
        [predictor.predict(file, limits).label == label for file, label in known]
        for predictor in (old, new)
    ]
    lost = sum(before and not after for before, after in zip(*right, strict=True))
    won = sum(after and not before for before, after in zip(*right, strict=True))
    if lost - won > WORSE * math.sqrt(lost + won):
        raise ModelFileError(
            f"the new model is right on {sum(right[1])} of {len(known)} pictures of --proof, the "
            f"old one on {sum(right[0])}"
        )
