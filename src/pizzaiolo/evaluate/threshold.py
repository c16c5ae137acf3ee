"""The threshold for a stated aim, where there are two classes and one is the positive one.

`positive` says which pictures are of that class [N], `scores` are its probabilities [N]; a picture
is answered as positive where its score is at least the threshold. With several classes the answer
is the likeliest class: a decision of least expected cost is out of scope there, and only its cost
is told (`mean_cost`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from ..errors import UsageError, nearest
from .metrics import Bools, Ints, Reals, known

POINTS = 200
KINDS = ("f1", "precision", "recall")


@dataclass(frozen=True)
class Aim:
    """What a threshold is for: `f1` (highest), `precision` or `recall` (at least `wish`), `cost`.

    For `cost`, `false` is the price of a wrong positive answer, `missed` that of a positive picture
    answered otherwise.
    """

    kind: str
    wish: float | None = None
    false: float = 1.0
    missed: float = 1.0


@dataclass(frozen=True)
class Choice:
    """A threshold and what it reaches on the pictures it was chosen on, or None and the reason."""

    threshold: float | None
    reason: str | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    cost: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The choice as JSON-ready values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Cuts:
    """What every threshold that makes a difference answers: arrays [K], thresholds rising.

    `hits` and `false` count right and wrong positive answers.
    """

    thresholds: Reals
    hits: Ints
    false: Ints
    positives: int
    negatives: int

    @property
    def precision(self) -> Reals:
        """Right ones among the positive answers; 0 where there is none."""
        found: Reals = self.hits / np.maximum(self.hits + self.false, 1)
        return found

    @property
    def recall(self) -> Reals:
        """The share of the positive pictures that are found."""
        return self.hits / self.positives

    @property
    def f1(self) -> Reals:
        """2 TP / (2 TP + FP + FN)."""
        return 2 * self.hits / (self.hits + self.false + self.positives)

    def cost(self, false: float, missed: float) -> Reals:
        """The mean price of a picture."""
        paid = false * self.false + missed * (self.positives - self.hits)
        return np.asarray(paid / (self.positives + self.negatives), dtype=np.float64)


def cuts(positive: Bools, scores: Reals) -> Cuts:
    """The thresholds halfway between neighbouring scores, and those beyond both ends."""
    levels, place = np.unique(scores, return_inverse=True)
    hits = np.bincount(place, weights=positive, minlength=len(levels))
    answered = np.bincount(place, minlength=len(levels))
    above = np.cumsum(np.stack([hits, answered - hits])[:, ::-1], axis=1)[:, ::-1]
    thresholds = np.concatenate([[0.0], halfway(levels)])
    if levels[-1] < 1:  # where nothing is answered as positive
        thresholds = np.append(thresholds, (levels[-1] + 1) / 2)
        above = np.column_stack([above, [0, 0]])
    counts = above.astype(np.int64)
    total = int(positive.sum())
    return Cuts(thresholds, counts[0], counts[1], total, len(positive) - total)


def halfway(levels: Reals) -> Reals:
    """Between each two neighbours of rising levels: over the lower one, up to the higher one."""
    between = (levels[:-1] + levels[1:]) / 2
    return np.where(between > levels[:-1], between, levels[1:])


def choose(aim: Aim, positive: Bools, scores: Reals) -> Choice:
    """The threshold for an aim; None with the reason where the aim can't be met.

    Of thresholds that are equally good the one nearest to 0.5 is taken.
    """
    if not known(scores):
        return Choice(None, "some probabilities are no numbers" if len(scores) else "no pictures")
    if positive.all() or not positive.any():
        return Choice(None, "the pictures are all of one class")
    table = cuts(positive, scores)
    if aim.kind == "f1":
        return _best(aim, table, table.f1)
    if aim.kind == "cost":
        return _best(aim, table, -table.cost(aim.false, aim.missed))
    wish = aim.wish or 0.0
    reached, other = (
        (table.precision, table.recall)
        if aim.kind == "precision"
        else (table.recall, table.precision)
    )
    usable = (reached >= wish) & (table.hits > 0)
    if not usable.any():
        best = int(np.lexsort((other, reached))[-1])
        return Choice(
            None,
            f"no threshold reaches a {aim.kind} of {wish:.1%}: the highest is {reached[best]:.1%}, "
            f"at a threshold of {table.thresholds[best]:.3f}",
        )
    return _best(aim, table, np.where(usable, other, -1.0))


def _best(aim: Aim, table: Cuts, value: Reals) -> Choice:
    equal = np.flatnonzero(value >= value.max() - 1e-12)
    at = int(equal[np.abs(table.thresholds[equal] - 0.5).argmin()])
    return Choice(
        threshold=float(table.thresholds[at]),
        precision=float(table.precision[at]),
        recall=float(table.recall[at]),
        f1=float(table.f1[at]),
        cost=float(table.cost(aim.false, aim.missed)[at]) if aim.kind == "cost" else None,
    )


def parse_aim(text: str) -> Aim:
    """`f1`, `precision=0.95` or `recall=0.98` as an aim; raises `UsageError`."""
    kind, equals, value = (part.strip() for part in text.partition("="))
    if kind not in KINDS:
        raise UsageError(f"the aim is {text!r}, which is not known", hint=nearest(kind, KINDS))
    if kind == "f1":
        if equals:
            raise UsageError(f"the aim is {text!r}: the highest F1 takes no value", hint="f1")
        return Aim("f1")
    wish = _number(text, value)
    if not 0 < wish <= 1:
        raise UsageError(
            f"the aim is {text!r}, expected a share over 0 and up to 1", hint=f"{kind}=0.95"
        )
    return Aim(kind, wish)


def parse_costs(text: str, names: Sequence[str]) -> Reals:
    """`false_pizza=5,missed_pizza=1` as prices [truth, answer]; raises `UsageError`.

    `false_<class>` is paid for every answer of the class that is wrong, `missed_<class>` for every
    picture of it that is answered otherwise; a mistake that both name costs their sum, and one that
    neither names costs 1.
    """
    prices, named = np.zeros((len(names),) * 2), np.eye(len(names), dtype=bool)
    known_keys = [f"{kind}_{name}" for name in names for kind in ("false", "missed")]
    seen: set[str] = set()
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, _, value = (p.strip() for p in part.partition("="))
        if key not in known_keys:
            raise UsageError(f"the cost {part!r} is not known", hint=nearest(key, known_keys))
        if key in seen:
            raise UsageError(f"the cost {key!r} is given twice")
        seen.add(key)
        kind, _, name = key.partition("_")
        price, place = _number(part, value), names.index(name)
        cell = np.s_[:, place] if kind == "false" else np.s_[place, :]
        prices[cell] += price
        named[cell] = True
    if not seen:
        raise UsageError("no cost is given", hint=f"{known_keys[0]}=5,{known_keys[1]}=1")
    prices[~named] = 1.0
    np.fill_diagonal(prices, 0.0)
    if not prices.any():
        raise UsageError("all costs are zero", hint="a mistake must cost something")
    return prices


def cost_aim(prices: Reals, positive: int) -> Aim:
    """The aim of least cost for two classes, from prices [truth, answer]."""
    other = 1 - positive
    return Aim("cost", false=float(prices[other, positive]), missed=float(prices[positive, other]))


def mean_cost(matrix: Ints, prices: Reals) -> float:
    """The mean price of a picture, from a confusion matrix and prices, both [truth, answer]."""
    return float((matrix * prices).sum() / max(matrix.sum(), 1))


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not isfinite(number) or number < 0:
        raise UsageError(f"{text!r} has the value {value!r}, expected a number from 0")
    return number


def precision_recall_curve(positive: Bools, scores: Reals) -> list[dict[str, float]]:
    """Points of threshold, precision and recall, some 200 at most; none where undefined."""
    if not known(scores) or not positive.any():
        return []
    table = cuts(positive, scores)
    rows = thinned(np.flatnonzero(table.hits + table.false))
    return [
        {"threshold": float(t), "precision": float(p), "recall": float(r)}
        for t, p, r in zip(
            table.thresholds[rows], table.precision[rows], table.recall[rows], strict=True
        )
    ]


def cost_curve(positive: Bools, scores: Reals, aim: Aim) -> list[dict[str, float]]:
    """Points of threshold and mean cost, some 200 at most; none where undefined."""
    if not known(scores):
        return []
    table = cuts(positive, scores)
    paid = table.cost(aim.false, aim.missed)
    rows = thinned(np.arange(len(paid)))
    return [{"threshold": float(table.thresholds[i]), "cost": float(paid[i])} for i in rows]


def thinned(rows: Ints, most: int = POINTS) -> Ints:
    """At most so many of the rows, evenly, the first and the last among them."""
    if len(rows) <= most:
        return rows
    found: Ints = rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(np.int64))]
    return found
