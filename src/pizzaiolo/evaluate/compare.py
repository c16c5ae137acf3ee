"""Two models on the same pictures: is one really better?"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ..core.predictions import Predictions
from ..errors import InputError
from .influence import group_codes
from .intervals import Z95
from .metrics import Bools, Ints

SHOWN = 3


@dataclass(frozen=True)
class Comparison:
    """Accuracies of two models on the same `pictures`, and `difference` = second - first.

    `low` and `high` are its 95 % interval, near-duplicates together. `p_value` is the exact one of
    McNemar (1947) for equal models; it takes all pictures as independent.
    """

    pictures: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    only_first_right: int
    only_second_right: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready values."""
        return dict(vars(self))


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Compare the answers of two models; raises `InputError` where the pictures or classes differ.

    The order of the pictures and of the classes may differ.
    """
    order = _matched(first, second)
    right = first.predicted == first.truth
    other = (second.predicted == second.truth)[order]
    gained, lost = int((other & ~right).sum()), int((right & ~other).sum())
    low, high = difference_interval(right, other, group_codes(list(first.groups)))
    return Comparison(
        pictures=len(first),
        first=float(right.mean()),
        second=float(other.mean()),
        difference=(gained - lost) / len(first),
        low=low,
        high=high,
        only_first_right=lost,
        only_second_right=gained,
        p_value=mcnemar(lost, gained),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test from the pictures that one model gets right."""
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def difference_interval(right: Bools, other: Bools, codes: Ints) -> tuple[float, float]:
    """The 95 % interval of mean(other) - mean(right), whose pictures are the same.

    Half a picture is added to each of the four cells (Agresti and Min 2005), so it has a width even
    where both models answer alike; the pictures of a group are added up before they are squared.
    """
    values = other.astype(np.float64) - right
    count = len(values) + 2
    middle = values.sum() / count
    squares = (np.bincount(codes, weights=values - middle) ** 2).sum()
    added = ((1 - middle) ** 2 + (1 + middle) ** 2) / 2 + middle**2
    half = Z95 * sqrt(squares + added) / count
    return max(-1.0, float(middle - half)), min(1.0, float(middle + half))


def _matched(first: Predictions, second: Predictions) -> Ints:
    """The row of `second` for each row of `first`."""
    if set(first.labels.names) != set(second.labels.names):
        raise InputError(
            f"the models answer with different classes: {sorted(first.labels.names)} and "
            f"{sorted(second.labels.names)}",
        )
    rows = {path: row for row, path in enumerate(second.paths)}
    missing = sorted(set(first.paths) ^ set(rows))
    if missing:
        raise InputError(
            f"the predictions are of different pictures: {len(missing)} are in one table only, "
            f"such as {', '.join(missing[:SHOWN])}",
            hint="evaluate both models on the same split of the same DATASET",
        )
    order = np.array([rows[path] for path in first.paths], dtype=np.int64)
    _same_truth(first, second, order)
    return order


def _same_truth(first: Predictions, second: Predictions, order: Ints) -> None:
    if len(first) != len(second) or len(first) == 0:
        raise InputError(
            f"the predictions have {len(first)} and {len(second)} rows, expected as many in both "
            "and at least one"
        )
    for row, path in enumerate(first.paths):
        mine = first.labels.names[first.truth[row]]
        other = second.labels.names[second.truth[order[row]]]
        if mine != other:
            raise InputError(
                f"{path} is {mine!r} in one table and {other!r} in the other",
                hint="evaluate both models on the same DATASET",
            )
