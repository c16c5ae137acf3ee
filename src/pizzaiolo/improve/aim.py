"""What the best is best in: a figure, and the difference of two settings in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..core.predictions import Predictions
from ..errors import UsageError, nearest
from ..evaluate import influence, metrics
from ..evaluate.compare import compare
from ..evaluate.figures import COMPOSED
from ..evaluate.intervals import interval_and_p_value
from ..evaluate.metrics import Reals
from .folds import Folds
from .outcome import Outcome


@dataclass(frozen=True)
class Difference:
    """How much a second setting differs from a first one, on the same `pictures`.

    `low` and `high` are the 95 % interval, near-duplicates together; `p_value` is that of equal
    settings, two-sided.
    """

    value: float
    low: float
    high: float
    p_value: float
    pictures: int

    @property
    def turned(self) -> Difference:
        """The first setting against the second."""
        return replace(self, value=-self.value, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class Aim:
    """A figure to search by: accuracy, f1 (of the positive class, else macro) or log_loss (nats).

    The first two are best at 1, the last at 0.
    """

    name: str
    higher_is_better: bool

    @classmethod
    def of(cls, name: str) -> Aim:
        """The aim of this name; raises `UsageError` for another."""
        if name not in AIMS:
            raise UsageError(f"aim is {name!r}, which is not known", hint=nearest(name, AIMS))
        return cls(name, AIMS[name])

    def value(self, predictions: Predictions) -> float:
        """The figure itself; NaN where a probability is no number."""
        return _VALUES[self.name](predictions)

    def better(self, first: float, second: float) -> bool:
        """Whether the second value is better than the first."""
        return second > first if self.higher_is_better else second < first

    def difference(self, first: Predictions, second: Predictions) -> Difference:
        """The second's value less the first's; raises `UsageError` for different pictures.

        Accuracy by exact counts (McNemar), the others by influence: each picture's pull on the
        difference, added up by group.
        """
        compared = compare(first, second)
        if self.name == "accuracy" or (self.name == "f1" and _same_answers(first, second)):
            low, high, p_value = compared.low, compared.high, compared.p_value
            return Difference(compared.difference, low, high, p_value, compared.pictures)
        value = self.value(second) - self.value(first)
        pull = _PULLS[self.name]
        pulls = _placed(pull(second), second, first) - pull(first)
        of_groups = influence.of_groups(pulls, influence.group_codes(first.groups))
        low, high, p_value = interval_and_p_value(value, of_groups, SHARES[self.name])
        return Difference(value, low, high, p_value, len(first))

    def gain(self, first: Predictions, second: Predictions) -> Difference:
        """The difference with the sign of an improvement: over 0 where the second is better."""
        found = self.difference(first, second)
        return found if self.higher_is_better else found.turned

    def gain_of(self, folds: Folds, first: Outcome, second: Outcome) -> Difference:
        """The gain on the pictures that both have answered."""
        rows = np.intersect1d(first.judged, second.judged)
        return self.gain(first.predictions(folds, rows), second.predictions(folds, rows))

    def comparable(self, folds: Folds, default: Outcome, outcome: Outcome) -> float:
        """The outcome's value as if it had answered what the default has.

        That is the default's value on all, and the difference on what both have answered: easy
        pictures help neither.
        """
        rows = np.intersect1d(default.judged, outcome.judged)
        both = [self.value(o.predictions(folds, rows)) for o in (default, outcome)]
        return self.value(default.predictions(folds)) + both[1] - both[0]


AIMS = {"accuracy": True, "f1": True, "log_loss": False}
SHARES = {"f1": COMPOSED, "log_loss": 1.0}  # for `intervals.quantile`, as for the figures alone


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.predicted == predictions.truth).mean())


def _f1(predictions: Predictions) -> float:
    matrix = metrics.confusion(predictions.truth, predictions.predicted, len(_names(predictions)))
    return metrics.headline(matrix, predictions.labels.binary_positive)["f1"]


def _log_loss(predictions: Predictions) -> float:
    found = metrics.log_loss(predictions.truth, predictions.probabilities)
    return float("nan") if found is None else found


def _names(predictions: Predictions) -> tuple[str, ...]:
    return predictions.labels.names


def _pull_on_f1(predictions: Predictions) -> Reals:
    truth, predicted = predictions.truth, predictions.predicted
    matrix = metrics.confusion(truth, predicted, len(_names(predictions)))
    positive = predictions.labels.binary_positive
    return influence.of_headline(truth, predicted, matrix, positive)["f1"]


def _pull_on_log_loss(predictions: Predictions) -> Reals:
    losses = metrics.losses(predictions.truth, predictions.probabilities)
    return influence.of_mean(losses)


_VALUES: dict[str, Callable[[Predictions], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "log_loss": _log_loss,
}
_PULLS: dict[str, Callable[[Predictions], Reals]] = {
    "f1": _pull_on_f1,
    "log_loss": _pull_on_log_loss,
}


def _same_answers(first: Predictions, second: Predictions) -> bool:
    """Whether nothing differs: an influence of nought would be an interval without a width."""
    answers = (
        {p: _names(t)[i] for p, i in zip(t.paths, t.predicted.tolist(), strict=True)}
        for t in (first, second)
    )
    return next(answers) == next(answers)


def _placed(values: Reals, own: Predictions, other: Predictions) -> Reals:
    """The values [N] of one table's pictures, in the order of another table."""
    if own.paths == other.paths:
        return values
    rows = {path: row for row, path in enumerate(own.paths)}
    return values[[rows[path] for path in other.paths]]
