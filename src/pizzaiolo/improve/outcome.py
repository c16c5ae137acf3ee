"""What a trial gave: the probabilities of pictures that it had not learnt from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.bundle import atomic_path
from ..core.predictions import Predictions
from .folds import Folds

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """The answers of one setting for the pictures of `Folds`.

    `probabilities` [N, C] are those of models that had not learnt from the picture, and NaN where
    none was asked. `train_accuracy` (0 to 1) and `train_loss` (nats) are means over the models, on
    what they learnt from, None where unknown. `seconds` is what all of it took.
    """

    probabilities: Reals
    train_accuracy: float | None = None
    train_loss: float | None = None
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> NDArray[np.int64]:
        """Places of the pictures that were answered."""
        return np.flatnonzero(np.isfinite(self.probabilities).all(axis=1))

    def predictions(self, folds: Folds, rows: NDArray[np.int64] | None = None) -> Predictions:
        """The answered pictures, or those of `rows` among them, as a table that is measured."""
        rows = self.judged if rows is None else np.intersect1d(rows, self.judged)
        return Predictions(
            folds.labels,
            "validation",
            tuple(folds.paths[i] for i in rows),
            folds.truth[rows],
            self.probabilities[rows],
            tuple(folds.groups[i] for i in rows),
            tuple(str(folds.pictures.files[i]) for i in rows),
        )

    def save(self, file: Path) -> None:
        """Write the probabilities as a NumPy file, whole or not at all."""
        with atomic_path(file) as temporary, open(temporary, "wb") as out:
            np.save(out, self.probabilities.astype(np.float32), allow_pickle=False)


class Stopped(Exception):
    """A trial was stopped because it is clearly worse; `outcome` is what it had answered."""

    def __init__(self, reason: str, outcome: Outcome | None = None) -> None:
        super().__init__(reason)
        self.given = outcome

    @property
    def outcome(self) -> Outcome:
        """What it had answered; the bench that was told to stop has put it there."""
        assert self.given is not None
        return self.given


def read_probabilities(file: Path) -> Reals:
    """What `Outcome.save` wrote, float [N, C]."""
    return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
