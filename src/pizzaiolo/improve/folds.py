"""The pictures that a search may see, train and validation, and which of them judge together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from ..core.labels import Labels
from ..core.manifest import Dataset
from ..train.data import Split, load_split

Ints = NDArray[np.int64]
VALIDATION = 0  # the fold that is the validation split


@dataclass(frozen=True)
class Folds:
    """The pictures of the train and the validation split, [N], in folds that judge by turns.

    Fold 0 is the validation split; the train split is cut into the others, so that the pictures of
    a group stay together. `fold` [N] numbers them. The test split is not among them.
    """

    labels: Labels
    pictures: Split
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    groups: tuple[str, ...]
    fold: Ints

    @property
    def count(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1

    @cached_property
    def truth(self) -> Ints:
        """Class indices [N]."""
        return np.asarray(self.pictures.targets, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, *folds: int) -> Ints:
        """Places of the pictures of some folds."""
        return np.flatnonzero(np.isin(self.fold, folds))

    def split(self, rows: Sequence[int] | Ints) -> Split:
        """Some of the pictures, as training takes them."""
        files, targets = self.pictures.files, self.pictures.targets
        return Split(tuple(files[i] for i in rows), tuple(targets[i] for i in rows))


def make_folds(data: Dataset, count: int, seed: int = 0) -> Folds:
    """The folds of a data set: the validation split and `count` - 1 parts of the train split.

    Fewer where a class has too few groups. Raises `DatasetError` where a class or file is missing.
    """
    parts = [load_split(data, name) for name in ("validation", "train")]
    rows = [row for name in ("validation", "train") for row in data.split(name)]
    groups = tuple(row.group or row.path for row in rows)
    held = len(parts[0])
    pictures = Split(parts[0].files + parts[1].files, parts[0].targets + parts[1].targets)
    fold = np.zeros(len(rows), dtype=np.int64)
    fold[held:] = 1 + _cut(np.asarray(parts[1].targets), groups[held:], count - 1, seed)
    digests = tuple(row.copy_sha256 or "" for row in rows)
    paths = tuple(row.path for row in rows)
    return Folds(data.labels, pictures, paths, digests, groups, fold)


def _cut(targets: Ints, groups: Sequence[str], count: int, seed: int) -> Ints:
    """The part of each picture [N], 0 to `count` - 1, classes alike and groups whole."""
    by_class = [
        len({g for g, t in zip(groups, targets, strict=True) if t == c}) for c in set(targets)
    ]
    count = min(count, *by_class)
    part = np.zeros(len(targets), dtype=np.int64)
    if count < 2:
        return part
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for number, (_, inside) in enumerate(cutter.split(targets, targets, groups)):
        part[inside] = number
    return part
