"""The learning curve: how good the winner's head is when it learns from a part of the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...console import progress
from ...evaluate.figures import Figure
from ...evaluate.influence import group_codes, of_groups, of_mean
from ...evaluate.intervals import score_interval, wilson
from ..folds import Folds
from ..heads import Roles, roles
from .forecast import Forecast, forecast

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

# The small parts cost little and vary most.
PARTS = ((0.1, 3), (0.2, 2), (0.35, 1), (0.5, 2), (0.7, 1), (1.0, 1))  # share, repeats
DRAWS = 400


Learn = Callable[[Roles], Reals]  # learns, chooses, and answers the asked: probabilities [A, C]


@dataclass(frozen=True)
class Curve:
    """How often each picture was answered rightly after learning from parts of the others.

    `shares` [S] are the parts, `pictures` [S] how many pictures that is on average (learnt from and
    chosen on); `right` [S, N] is the mean over repeats for each judged picture, `codes` [N] number
    their groups.
    """

    shares: Reals
    pictures: Reals
    right: Reals
    codes: Ints

    @property
    def accuracy(self) -> Reals:
        """The accuracy [S] at each size."""
        return np.asarray(self.right.mean(axis=1))

    def figures(self) -> list[Figure]:
        """The accuracies with 95 % intervals, near-duplicates together."""
        return [_figure(line, self.codes) for line in self.right]

    def forecast(self, most: float = 1.0, seed: int = 0) -> Forecast:
        """The curve fitted to parts up to a share; its interval by resampling groups."""
        rows = np.flatnonzero(self.shares <= most + 1e-9)
        wrong, count = 1 - self.right[rows], int(self.codes.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), DRAWS)
        weights = drawn[:, self.codes].astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        return forecast(self.pictures[rows], wrong.mean(axis=1), count, weights @ wrong.T)

    def to_json(self) -> list[dict[str, Any]]:
        """A line for each size, as JSON-ready values."""
        lines = zip(self.shares.tolist(), self.pictures.tolist(), self.figures(), strict=True)
        return [
            {"share": share, "pictures": pictures, "accuracy": figure.to_dict()}
            for share, pictures, figure in lines
        ]


def learning_curve(
    learn: Learn,
    folds: Folds,
    seed: int = 0,
    parts: Sequence[tuple[float, int]] = PARTS,
    deadline: float | None = None,
) -> Curve:
    """Measure the curve on all folds; `parts` are shares with how often each is drawn anew.

    Who learns, chooses and answers is as in the search; what is learnt from and chosen on is cut
    down, whole groups, classes alike, each part inside the next larger one. After `deadline`
    (`time.monotonic`) nothing is drawn anew any more.
    """
    shares = np.asarray([share for share, _ in parts])
    judges = range(folds.count) if folds.count > 2 else (0,)
    right, pictures = np.zeros((len(parts), len(folds))), np.zeros(len(parts))
    steps = [(part, repeat) for part, (_, most) in enumerate(parts) for repeat in range(most)]
    steps.sort(key=lambda step: step[1])
    done = np.zeros(len(parts), np.int64)
    with progress("learning curve", len(steps) * len(judges)) as advance:
        for part, repeat in steps:
            if repeat and deadline is not None and monotonic() > deadline:
                break
            done[part] += 1
            for fold in judges:
                some = _cut(roles(folds, fold), folds, shares[part], (seed, repeat, fold))
                answers = learn(some).argmax(axis=1)
                right[part, some.asked] += answers == folds.truth[some.asked]
                pictures[part] += len(np.union1d(some.training, some.validation))
                advance()
    rows = folds.rows(*judges)
    codes = group_codes([folds.groups[i] for i in rows])
    return Curve(shares, pictures / done / len(judges), right[:, rows] / done[:, None], codes)


def _cut(whole: Roles, folds: Folds, share: float, seed: tuple[int, ...]) -> Roles:
    """Some of the pictures that are learnt from and chosen on, all of those that are asked."""
    codes = group_codes(folds.groups)
    training, validation = (
        nested(rows, folds.truth, codes, share, (*seed, place))
        for place, rows in enumerate((whole.training, whole.validation))
    )
    return Roles(training, validation, whole.asked)


def nested(rows: Ints, truth: Ints, codes: Ints, share: float, seed: Sequence[int]) -> Ints:
    """About `share` of some rows: of each class as much, at least one group, and whole groups.

    A smaller share with the same seed is inside a larger one. `truth` and `codes` [N] are the
    classes and group numbers of all pictures.
    """
    groups, first, place = np.unique(codes[rows], return_index=True, return_inverse=True)
    order, classes = np.random.default_rng(seed).random(len(groups)), truth[rows][first]
    kept = np.zeros(len(groups), np.bool_)
    for index in np.unique(classes):
        members = np.flatnonzero(classes == index)
        ranked = members[np.argsort(order[members])]
        kept[ranked[: max(1, round(share * len(members)))]] = True
    return rows[kept[place]]


def _figure(right: Reals, codes: Ints) -> Figure:
    value, groups = float(right.mean()), int(codes.max()) + 1
    if not 0 < value < 1:
        return Figure(value, *wilson(value * groups, groups))
    return Figure(value, *score_interval(value, of_groups(of_mean(right), codes)))
