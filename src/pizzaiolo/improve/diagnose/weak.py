"""Where the answers are weakest: slices, classes taken for others, the hardest pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.manifest import Row
from ...core.predictions import Predictions
from ...evaluate.influence import group_codes
from ...evaluate.intervals import wilson
from ...evaluate.metrics import confusion
from ...evaluate.slices import Slice, slices

HARDEST, PAIRS = 24, 10


@dataclass(frozen=True)
class Pair:
    """A class that is taken for another: `n` of `of` pictures, `share` with its 95 % interval."""

    truth: str
    predicted: str
    n: int
    of: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Hard:
    """A picture that the model finds hard: the probabilities of its label and of the answer."""

    path: str
    truth: str
    predicted: str
    p_truth: float
    p_predicted: float


@dataclass(frozen=True)
class Weak:
    """The weak places: all slices, those that are significantly worse, pairs and pictures.

    Every list has its worst first, `slices` are in the order of what they have in common.
    """

    slices: tuple[Slice, ...]
    pairs: tuple[Pair, ...]
    hardest: tuple[Hard, ...]

    @property
    def worse(self) -> tuple[Slice, ...]:
        """The slices that are worse by more than chance, the worst first."""
        flagged = [part for part in self.slices if part.worse]
        return tuple(sorted(flagged, key=lambda part: part.accuracy - part.rest))

    def to_json(self) -> dict[str, Any]:
        """The findings as JSON-ready values."""
        return {
            "slices": [part.to_json() for part in self.slices],
            "worse": [f"{part.by}: {part.name}" for part in self.worse],
            "pairs": [asdict(pair) for pair in self.pairs],
            "hardest": [asdict(hard) for hard in self.hardest],
        }


def find_weak(predictions: Predictions, rows: Sequence[Row], hardest: int = HARDEST) -> Weak:
    """The weak places of held-out answers; `rows` are the manifest's, found by path."""
    by_path = {row.path: row for row in rows}
    right = predictions.predicted == predictions.truth
    known = np.array([path in by_path for path in predictions.paths])
    found: list[Slice] = []
    if known.any():
        places = np.flatnonzero(known)
        shown = [by_path[predictions.paths[i]] for i in places]
        found = slices(shown, right[places], [predictions.groups[i] for i in places])
    return Weak(tuple(found), confusion_pairs(predictions), hardest_pictures(predictions, hardest))


def confusion_pairs(predictions: Predictions, most: int = PAIRS) -> tuple[Pair, ...]:
    """Which class is taken for which, the commonest first."""
    names = predictions.labels.names
    matrix = confusion(predictions.truth, predictions.predicted, len(names))
    codes = group_codes(predictions.groups)
    found = []
    for i, j in zip(*np.nonzero(matrix), strict=True):
        if i != j:
            inside, n, of = predictions.truth == i, int(matrix[i, j]), int(matrix[i].sum())
            independent = len(np.unique(codes[inside]))
            low, high = wilson(n / of * independent, independent)
            found.append(Pair(names[i], names[j], n, of, n / of, low, high))
    return tuple(sorted(found, key=lambda pair: (-pair.n, -pair.share))[:most])


def hardest_pictures(predictions: Predictions, most: int = HARDEST) -> tuple[Hard, ...]:
    """The pictures whose label gets the least probability, the hardest first."""
    names, truth = predictions.labels.names, predictions.truth
    given = predictions.probabilities[np.arange(len(truth)), truth]
    return tuple(
        Hard(
            predictions.paths[i],
            names[truth[i]],
            names[predictions.predicted[i]],
            float(given[i]),
            float(predictions.confidence[i]),
        )
        for i in np.argsort(given, kind="stable")[:most].tolist()
    )
