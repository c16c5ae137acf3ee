"""Every figure of a predictions table with its 95 % interval; near-duplicates count as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from ..core.predictions import Predictions
from . import influence, metrics
from .influence import RATIOS
from .intervals import ROUNDING, gaps_by_luck, quantile, ratio_interval, score_interval, wilson
from .metrics import Bools, Ints, Reals

DRAWN_PICTURES, FEWEST_DRAWS = 4_000_000, 200
TOP = (2, 3, 5)
COMPOSED, RANKED = 2.0, 1.2  # shares for `quantile` with which 95 % of the intervals hold the truth


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval; None throughout where it is undefined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """The figure as JSON-ready values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Table:
    """What the figures are made from: classes [N], probabilities [N, C] and group numbers [N]."""

    truth: Ints
    predicted: Ints
    probabilities: Reals
    codes: Ints
    positive: int | None

    @classmethod
    def of(cls, predictions: Predictions) -> Table:
        """The arrays of a predictions table; `positive` where there are two classes."""
        codes = influence.group_codes(predictions.groups)
        return cls(
            predictions.truth, predictions.predicted, predictions.probabilities, codes,
            predictions.labels.binary_positive,
        )  # fmt: skip

    @property
    def matrix(self) -> Ints:
        """The confusion matrix [C, C]."""
        return metrics.confusion(self.truth, self.predicted, self.probabilities.shape[1])

    @property
    def right(self) -> Bools:
        """Which answers are right [N]."""
        found: Bools = self.predicted == self.truth
        return found

    @property
    def confidence(self) -> Reals:
        """The probability of each answer [N]."""
        return self.probabilities[np.arange(len(self.truth)), self.predicted]

    def independent(self, rows: Bools | slice = slice(None)) -> int:
        """How many groups some pictures belong to, or all."""
        return len(np.unique(self.codes[rows]))

    def rarest(self) -> int:
        """The groups of the class that has the fewest, of those that occur."""
        return min(self.independent(self.truth == c) for c in np.unique(self.truth))


def all_figures(predictions: Predictions, draws: int, seed: int) -> dict[str, Figure]:
    """Every headline figure with its interval; `draws` of luck are made for the calibration error.

    Accuracy, balanced accuracy, precision, recall, F1 (of the positive class, else macro), AUROC,
    average precision, ECE, log loss, Brier score, and top-5 accuracy for over five classes.
    """
    table = Table.of(predictions)
    found = dict(_counted(table)) | dict(_areas(table))
    return found | {"ece": calibration_error(table, draws, seed)} | dict(_means(table))


def main_figures(predictions: Predictions) -> dict[str, Figure]:
    """Those of `all_figures` that need neither ranks nor luck: for tables by the hundred."""
    table = Table.of(predictions)
    return dict(_counted(table)) | dict(_means(table))


def class_figures(predictions: Predictions) -> dict[str, dict[str, Figure]]:
    """Precision, recall and F1 of each class by name, with intervals.

    Undefined are the precision of a class that is never answered and the recall of one without
    pictures.
    """
    table = Table.of(predictions)
    return {
        name: {ratio: _of_class(table, table.matrix, ratio, index) for ratio in RATIOS}
        for index, name in enumerate(predictions.labels.names)
    }


def average_figures(predictions: Predictions) -> dict[str, dict[str, Figure]]:
    """The means of precision, recall and F1 over the classes, with intervals.

    `macro` counts all classes alike, `weighted` each by its pictures. As in scikit-learn an
    undefined ratio counts as 0.
    """
    table = Table.of(predictions)
    truth, predicted, matrix = table.truth, table.predicted, table.matrix
    every = np.arange(len(matrix))
    values, found = metrics.averages(matrix), {}
    for name in RATIOS:
        macro = influence.of_ratio(name, truth, predicted, matrix, every)
        weighted = influence.of_weighted(name, truth, predicted, matrix)
        share = inf if name == "recall" else COMPOSED  # weighted recall is the accuracy
        found[name] = {
            "macro": (macro, Scale(table.rarest(), COMPOSED)),
            "weighted": (weighted, Scale(table.independent(), share)),
        }
    return {
        kind: {name: _figure(table, values[kind][name], *found[name][kind]) for name in RATIOS}
        for kind in values
    }


def top_figures(predictions: Predictions) -> dict[int, Figure]:
    """How often a picture's class is among the likeliest 2, 3 and 5, of more classes than that."""
    table = Table.of(predictions)
    truth, probabilities = table.truth, table.probabilities
    scale, found = Scale(table.independent()), {}
    for k in (k for k in TOP if k < probabilities.shape[1]):
        pulls = influence.of_mean(metrics.in_top(truth, probabilities, k))
        found[k] = _figure(table, metrics.top_k(truth, probabilities, k), pulls, scale)
    return found


def _counted(table: Table) -> Iterator[tuple[str, Figure]]:
    """The figures of the confusion matrix."""
    matrix = table.matrix
    pulls = influence.of_headline(table.truth, table.predicted, matrix, table.positive)
    for name, value in metrics.headline(matrix, table.positive).items():
        if table.positive is not None and name in RATIOS:
            yield name, _of_class(table, matrix, name, table.positive)
        elif name == "accuracy":
            yield name, _figure(table, value, pulls[name], Scale(table.independent()))
        else:
            yield name, _figure(table, value, pulls[name], Scale(table.rarest(), COMPOSED))


def _of_class(table: Table, matrix: Ints, name: str, index: int) -> Figure:
    """Precision, recall or F1 of one class; the pictures that count stand behind it."""
    values = {"precision": metrics.precisions, "recall": metrics.recalls, "f1": metrics.f1s}
    _, truths, answers = RATIOS[name]
    counted = (table.truth == index) & bool(truths) | (table.predicted == index) & bool(answers)
    if not counted.any():
        return Figure()
    scale = Scale(table.independent(counted), COMPOSED if name == "f1" else inf)
    pulls = influence.of_ratio(name, table.truth, table.predicted, matrix, np.array([index]))
    return _figure(table, float(values[name](matrix)[index]), pulls, scale)


def _areas(table: Table) -> Iterator[tuple[str, Figure]]:
    """The figures of the ranks."""
    asked = (table.truth, table.probabilities, table.positive)
    scale = Scale(table.rarest(), RANKED)
    areas = (
        ("auroc", metrics.auroc, influence.of_auroc),
        ("average_precision", metrics.average_precision, influence.of_average_precision),
    )
    for name, area, moved in areas:
        yield name, _figure(table, area(*asked), moved(*asked), scale)


def _means(table: Table) -> Iterator[tuple[str, Figure]]:
    """Log loss, Brier score and, for over five classes, top-5 accuracy."""
    truth, probabilities = table.truth, table.probabilities
    classes, some = probabilities.shape[1], table.independent()
    if not metrics.known(probabilities):
        yield from (("log_loss", Figure()), ("brier", Figure()))
        return
    values: dict[str, tuple[Reals | Bools, Scale]] = {
        "log_loss": (metrics.losses(truth, probabilities), Scale(some, 1.0, inf)),
        "brier": (
            metrics.squares(truth, probabilities),
            Scale(some, COMPOSED, 1.0 if classes == 2 else 2.0),
        ),
    }
    if classes > 5:
        values["top_5"] = (metrics.in_top(truth, probabilities, 5), Scale(some))
    for name, (each, scale) in values.items():
        yield name, _figure(table, float(each.mean()), influence.of_mean(each), scale)


@dataclass(frozen=True)
class Scale:
    """Where a figure ends, from 0 to `most`, and how much stands behind it.

    `independent` groups are behind one that does not vary; `share` is that of `quantile`.
    """

    independent: int
    share: float = inf
    most: float = 1.0


def _figure(table: Table, value: float | None, pulls: Reals | None, scale: Scale) -> Figure:
    """A figure with its interval.

    One that does not vary says little, for no mistake among few is no proof that there are none:
    then the interval is Wilson's of the groups behind it.
    """
    if value is None or pulls is None:
        return Figure()
    most, of_groups = scale.most, influence.of_groups(pulls, table.codes)
    if np.abs(of_groups).max() < ROUNDING:
        if most == inf:
            return Figure(value, value, value)
        low, high = wilson(value / most * scale.independent, scale.independent)
        return Figure(value, most * low, most * high)
    if most == inf:
        return Figure(value, *ratio_interval(value, of_groups, scale.share))
    low, high = score_interval(value / most, of_groups / most, scale.share)
    return Figure(value, most * low, most * high)


def calibration_error(table: Table, times: int, seed: int) -> Figure:
    """ECE with its interval, by fewer draws for very many pictures.

    Luck alone makes it larger than zero: what a perfectly calibrated model would show `times` times
    is taken off below (Broecker and Smith 2007).
    """
    right, confidence = table.right, table.confidence
    value = metrics.ece(right, confidence)
    if value is None:
        return Figure()
    times = max(FEWEST_DRAWS, min(times, DRAWN_PICTURES // len(right)))
    bins = metrics.equal_mass(confidence)
    by_luck = gaps_by_luck(confidence, table.codes, bins, times, seed)
    low = value - float(np.percentile(by_luck, 97.5))
    pulls = influence.of_groups(influence.of_ece(right, confidence), table.codes)
    high = value
    if np.abs(pulls).max() > ROUNDING:
        high += quantile(pulls, 1.0) * float((pulls**2).sum()) ** 0.5
    if right.all():  # some might have been wrong
        most = wilson(0, table.independent())[1]
        high = max(high, float(confidence.mean()) - 1 + most)
    return Figure(value, max(0.0, low), min(1.0, high))
