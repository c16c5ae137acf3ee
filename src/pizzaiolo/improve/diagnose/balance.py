"""Unequal classes: how unequal they are, and whether the rarest one pays for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.predictions import Predictions
from ...evaluate.influence import group_codes
from ...evaluate.slices import LEVEL, chance_worse

UNEVEN = 1.5  # times as many pictures of the commonest class as of the rarest


@dataclass(frozen=True)
class Balance:
    """Pictures of each class, and what the rarest one gets right (0 to 1) against all others.

    `ratio` is that of the commonest to the rarest. `p` is the chance of the rarest doing so much
    worse by luck, groups counted, None where they are too few to tell.
    """

    counts: dict[str, int]
    ratio: float
    rarest: str
    recall: float
    others: float
    p: float | None

    @property
    def uneven(self) -> bool:
        """Whether the classes differ enough to matter."""
        return self.ratio >= UNEVEN

    @property
    def worse(self) -> bool:
        """Whether classes are uneven and the rarest does worse by more than chance."""
        return self.uneven and self.p is not None and self.p < LEVEL and self.recall < self.others

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        return asdict(self) | {"uneven": self.uneven, "worse": self.worse}


def find_balance(predictions: Predictions) -> Balance:
    """Count the classes of held-out pictures and compare the rarest one with the others."""
    names, truth = predictions.labels.names, predictions.truth
    counts = np.bincount(truth, minlength=len(names))
    present = np.flatnonzero(counts)
    rarest = int(present[counts[present].argmin()])
    right, inside = predictions.predicted == truth, truth == rarest
    return Balance(
        {name: int(count) for name, count in zip(names, counts, strict=True)},
        float(counts.max() / counts[rarest]),
        names[rarest],
        float(right[inside].mean()),
        float(right[~inside].mean()) if (~inside).any() else float("nan"),
        chance_worse(right, group_codes(predictions.groups), inside),
    )
