"""OTHER of `evaluate --against OTHER`: the answers of another model on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.bundle import find_model
from ..core.manifest import Dataset
from ..core.predictions import FILE, Predictions
from ..errors import UsageError
from ..predict import load_file
from .compare import Comparison, compare
from .infer import infer
from .looks import count_look, run_of

WAYS = "an evaluation's folder, its predictions.parquet, a RUN or a model file"


@dataclass(frozen=True)
class Against:
    """What another model, called `other`, answers, and how the answers of this one differ."""

    other: str
    predictions: Predictions
    comparison: Comparison

    @property
    def sentence(self) -> str:
        """The difference for a person."""
        return self.comparison.told(self.other)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as metrics.json holds it: `first` is the other model."""
        told = self.comparison.to_dict()
        return {"other": self.other, **told, "sentence": self.sentence}


def read_other(other: Path, data: Dataset, split: str, code: str | None) -> Predictions:
    """The answers of OTHER on a split: as an evaluation wrote them, or given now by a model.

    Raises `UsageError` for those on another split, `InputError` for what is neither.
    """
    table = other / FILE if other.is_dir() else other
    if not other.exists():
        raise UsageError(f"there is no {other} to compare with", hint=f"expected {WAYS}")
    if table.suffix != ".parquet" or not table.is_file():
        found = infer(load_file(find_model(other), code), data, split).predictions
        if split == "test":
            count_look(run_of(other), data.fingerprint)
        return found
    found = Predictions.read(table)
    if found.split != split:
        raise UsageError(
            f"{other} tells of the {found.split} split, this is the {split} split",
            hint=f"pizzaiolo evaluate ... --split {found.split} --against {other}",
        )
    return found


def compare_with(other: str, first: Predictions, second: Predictions) -> Against:
    """The comparison of the answers `second` with those of `other`, `first`."""
    return Against(other, first, compare(first, second))
