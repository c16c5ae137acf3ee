"""The predictions table: what `evaluate` writes and every measure reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .bundle import atomic_path
from .labels import Decision, Labels


@dataclass(frozen=True)
class Predictions:
    """One row per picture of a split: truth, probabilities [N, C] and the answer.

    `truth` [N] holds class indices; `groups` names near-duplicates that belong together.
    """

    labels: Labels
    split: str
    paths: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: tuple[str, ...]
    files: tuple[str, ...] = ()
    novelty: NDArray[np.float64] | None = None

    @cached_property
    def decisions(self) -> list[Decision]:
        """The answer for each picture, with the threshold, the band and the cut of the labels."""
        novelty = [None] * len(self) if self.novelty is None else self.novelty.tolist()
        rows = zip(self.probabilities.tolist(), novelty, strict=True)
        return [self.labels.decide(chances, new) for chances, new in rows]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The predicted class indices [N], with the threshold of the labels."""
        places = [self.labels.index(decision.label) for decision in self.decisions]
        return np.asarray(places, dtype=np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The probability [N] of each predicted class."""
        return self.probabilities[np.arange(len(self)), self.predicted]

    def __len__(self) -> int:
        return len(self.paths)

    def write(self, path: Path) -> None:
        """Write `predictions.parquet`: one column `p_<class>` per class."""
        answers = self.decisions
        novelty = [None] * len(self) if self.novelty is None else self.novelty.tolist()
        columns = {
            "path": list(self.paths),
            "split": [self.split] * len(self),
            "truth": [self.labels.names[i] for i in self.truth],
            "predicted": [a.label for a in answers],
            "confidence": [a.confidence for a in answers],
            "verdict": [a.verdict for a in answers],
            "novelty": pa.array(novelty, pa.float64()),
            "group": list(self.groups),
        }
        for index, name in enumerate(self.labels.names):
            columns[f"p_{name}"] = self.probabilities[:, index].tolist()
        with atomic_path(path) as temporary:
            pq.write_table(pa.table(columns), temporary)
