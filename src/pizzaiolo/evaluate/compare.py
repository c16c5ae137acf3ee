"""Two models on the same pictures: is one really better?"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ..core.predictions import Predictions
from ..errors import UsageError
from .influence import group_codes
from .intervals import Z95
from .metrics import Bools, Ints

SHOWN = 3
LEVEL = 0.05  # a difference that luck makes more seldom than this is one
BETTER, WORSE, NOISE = "better", "worse", "within noise"


@dataclass(frozen=True)
class Comparison:
    """Accuracies of two models on the same `pictures`, and `difference` = second - first.

    `low` and `high` are its 95 % interval, near-duplicates together. `p_value` is the exact one of
    McNemar (1947) for equal models; it takes all pictures as independent. `gained` are the paths of
    the pictures that only the second model gets right, `lost` those that only the first does.
    """

    pictures: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Whether the second model is `better` or `worse`, or the difference `within noise`."""
        return verdict(self.difference, self.low, self.high, self.p_value)

    def told(self, other: str) -> str:
        """The difference in a sentence; `other` is the name of the first model."""
        start = {BETTER: "Better than", WORSE: "Worse than", NOISE: "Within noise of"}
        gap, low, high = (f"{100 * v:+.1f}" for v in (self.difference, self.low, self.high))
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        return (
            f"{start[self.verdict]} {other}: {gap} points of accuracy "
            f"(95 % interval {low} to {high}, {p}); {len(self.gained)} pictures are right here "
            f"and wrong there, {len(self.lost)} the other way round"
        )

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready values."""
        lists = {"gained": list(self.gained), "lost": list(self.lost)}
        return {**vars(self), **lists, "verdict": self.verdict}


def verdict(gain: float, low: float, high: float, p_value: float) -> str:
    """What to call a gain: both its interval and its chance have to say that it is one."""
    if low <= 0 <= high or p_value >= LEVEL:
        return NOISE
    return BETTER if gain > 0 else WORSE


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Compare the answers of two models; raises `UsageError` where the pictures or classes differ.

    The order of the pictures and of the classes may differ.
    """
    order = matched(first, second)
    right = first.predicted == first.truth
    other = (second.predicted == second.truth)[order]
    gained, lost = (np.flatnonzero(rows) for rows in (other & ~right, right & ~other))
    low, high = difference_interval(right, other, group_codes(list(first.groups)))
    return Comparison(
        pictures=len(first),
        first=float(right.mean()),
        second=float(other.mean()),
        difference=(len(gained) - len(lost)) / len(first),
        low=low,
        high=high,
        p_value=mcnemar(len(lost), len(gained)),
        gained=tuple(first.paths[row] for row in gained),
        lost=tuple(first.paths[row] for row in lost),
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


def matched(first: Predictions, second: Predictions) -> Ints:
    """The row of `second` for each row of `first`; raises `UsageError` where there is none."""
    if set(first.labels.names) != set(second.labels.names):
        raise UsageError(
            f"the models answer with different classes: {sorted(first.labels.names)} and "
            f"{sorted(second.labels.names)}",
        )
    rows = {path: row for row, path in enumerate(second.paths)}
    missing = sorted(set(first.paths) ^ set(rows))
    if missing:
        raise UsageError(
            f"the predictions are of different pictures: {len(missing)} are in one table only, "
            f"such as {', '.join(missing[:SHOWN])}",
            hint="evaluate both models on the same split of the same DATASET",
        )
    order = np.array([rows[path] for path in first.paths], dtype=np.int64)
    _same_truth(first, second, order)
    return order


def _same_truth(first: Predictions, second: Predictions, order: Ints) -> None:
    if len(first) != len(second) or len(first) == 0:
        raise UsageError(
            f"the predictions have {len(first)} and {len(second)} rows, expected as many in both "
            "and at least one"
        )
    mine, other = (np.asarray(t.labels.names, dtype=object)[t.truth] for t in (first, second))
    for row in np.flatnonzero(mine != other[order])[:1]:
        raise UsageError(
            f"{first.paths[row]} is {mine[row]!r} in one table and {other[order[row]]!r} in the "
            "other",
            hint="evaluate both models on the same DATASET",
        )
