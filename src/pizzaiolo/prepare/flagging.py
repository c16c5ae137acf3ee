"""Flags for a person to look at: suspicious labels and pictures that do not belong."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

from ..config import BACKBONE
from .columns import amend
from .label_noise import suspects
from .outliers import graphic_signs, outliers, printed_head
from .table import Rows
from .vectors import Features


def flag(
    rows: Rows,
    places: Sequence[int],
    features: Features,
    lines: NDArray[np.float64],
    reviewed: Container[tuple[str, str]],
    seed: int,
) -> None:
    """Mark the rows at `places`, whose embeddings are `features` [N, D] and whose share of
    straight lines is `lines` [N]; what a person has `reviewed` (path, label) is left alone.
    """
    labels = [rows[i].label for i in places]
    groups = [rows[i].group or rows[i].path for i in places]
    signs = graphic_signs(features, printed_head(BACKBONE), lines)
    odd = outliers(features, labels, groups, signs)
    for place, score in zip(odd.indices, odd.scores, strict=True):
        _mark(rows, places[place], reviewed, outlier=round(float(score), 4))
    wrong = suspects(features, labels, groups, seed)
    for place, score, label in zip(wrong.indices, wrong.scores, wrong.suggested, strict=True):
        _mark(
            rows, places[place], reviewed, label_suspect=round(float(score), 4), suggested=label
        )  # fmt: skip


def _mark(
    rows: Rows, place: int, reviewed: Container[tuple[str, str]], **flags: float | str
) -> None:
    row = rows[place]
    if (row.path, row.label) not in reviewed:
        amend(rows, place, **flags)
