"""The predictions table: what `evaluate` writes and every measure reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import InputError, ModelFileError, UsageError
from .bundle import atomic_path
from .labels import Decision, Labels, guess_positive

FILE = "predictions.parquet"
LABELS_KEY = b"pizzaiolo_labels"  # of the table's metadata: how its answers were chosen
TEXTS = ("path", "split", "truth", "predicted", "group")
CLASS = "p_"  # before a class's name: the column of its probabilities


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
        """The predicted class indices [N], with the threshold of the labels, as `decisions` has."""
        positive = self.labels.binary_positive
        if positive is None:
            return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)
        asked = self.probabilities[:, positive] >= self.labels.threshold
        return np.where(asked, positive, 1 - positive).astype(np.int64)

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
            columns[f"{CLASS}{name}"] = self.probabilities[:, index].tolist()
        facts = {LABELS_KEY: json.dumps(self.labels.to_dict()).encode()}
        with atomic_path(path) as temporary:
            pq.write_table(pa.table(columns).replace_schema_metadata(facts), temporary)

    @classmethod
    def read(cls, path: Path | str) -> Predictions:
        """Read a `predictions.parquet`; `files` are not in it.

        Raises `InputError` for a file of another kind, and where the answers in the table are not
        those of its probabilities.
        """
        path = Path(path)
        table = _read_table(path)
        labels = _labels(table, path)
        texts = {name: table[name].to_pylist() for name in TEXTS}
        splits, strangers = set(texts["split"]), set(texts["truth"]) - set(labels.names)
        if len(splits) != 1:
            raise _no_table(path, f"it has {len(splits)} splits, expected one")
        if strangers:
            raise _no_table(path, f"it has labels without probabilities: {sorted(strangers)}")
        columns = [table[f"{CLASS}{name}"].to_numpy() for name in labels.names]
        novelty = None
        if "novelty" in table.column_names and not table["novelty"].null_count:
            novelty = table["novelty"].to_numpy()
        found = cls(
            labels=labels,
            split=splits.pop(),
            paths=tuple(texts["path"]),
            truth=np.array([labels.index(name) for name in texts["truth"]], np.int64),
            probabilities=np.stack(columns, axis=1),
            groups=tuple(texts["group"]),
            novelty=novelty,
        )
        known = np.isfinite(found.probabilities).all(axis=1)
        told = np.array([labels.names[i] for i in found.predicted], object)
        if (told != np.array(texts["predicted"], object))[known].any():
            raise _no_table(path, "its answers are not those of its probabilities")
        return found


def _read_table(path: Path) -> Any:
    """The columns that are needed, in their types and without gaps."""
    try:
        table = pq.read_table(path)
        needed = [*TEXTS, *(n for n in table.column_names if n.startswith(CLASS))]
        if missing := set(TEXTS) - set(table.column_names):
            raise _no_table(path, f"it lacks the columns {', '.join(sorted(missing))}")
        for name in needed:
            kind = pa.string() if name in TEXTS else pa.float64()
            place = table.column_names.index(name)
            table = table.set_column(place, name, table[name].cast(kind))
            if table[name].null_count:
                raise _no_table(path, f"the column {name} has gaps")
    except (OSError, pa.ArrowException) as error:
        raise _no_table(path, str(error).splitlines()[0][:200]) from None
    return table


def _labels(table: Any, path: Path) -> Labels:
    """The classes, and how an answer was chosen where the table says so."""
    names = [n.removeprefix(CLASS) for n in table.column_names if n.startswith(CLASS)]
    told = (table.schema.metadata or {}).get(LABELS_KEY)
    try:
        if told is None:  # of an earlier version
            return Labels(tuple(names), positive=guess_positive(names))
        labels = Labels.from_dict(json.loads(told))
    except (ValueError, TypeError, RecursionError, ModelFileError, UsageError) as error:
        raise _no_table(path, str(error)) from None
    if set(labels.names) != set(names):
        raise _no_table(path, f"it tells of the classes {labels.names} and has {names}")
    return labels


def _no_table(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not a table of predictions: {why}",
        hint="pizzaiolo evaluate MODEL DATASET --out REPORT writes one",
    )
