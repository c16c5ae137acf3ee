"""How much each picture moves a figure: the figure's derivative by the picture's weight.

The sum of the squares over independent pictures is the figure's variance (the infinitesimal
jackknife, Jaeckel 1972; for the area under the ROC curve it is DeLong's, 1988), so no figure has to
be computed again and again. Pictures of a group are not independent: their influences are added up
before they are squared (Liang and Zeger 1986, Obuchowski 1997).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from . import metrics
from .metrics import Bools, Ints, Reals


def group_codes(groups: NDArray[np.str_] | tuple[str, ...] | list[str]) -> Ints:
    """Each picture's group as a number [N]."""
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1].astype(np.int64)


def of_groups(influence: Reals, codes: Ints) -> Reals:
    """The influence of each group [G], from those of its pictures [N] and group numbers [N]."""
    return np.asarray(np.bincount(codes, weights=influence), dtype=np.float64)


def standard_error(influence: Reals, codes: Ints) -> float:
    """The standard error of a figure from the influences [N] and group numbers [N]."""
    return float(np.sqrt((of_groups(influence, codes) ** 2).sum()))


RATIOS = {  # hits counted so often, over pictures of the class and answers of it counted so often
    "precision": (1, 0, 1),
    "recall": (1, 1, 0),
    "f1": (2, 1, 1),
}


def of_ratio(name: str, truth: Ints, predicted: Ints, matrix: Ints, classes: Ints) -> Reals:
    """Each picture's influence [N] on the mean precision, recall or F1 of some classes."""
    weights = np.bincount(classes, minlength=len(matrix)) / len(classes)
    return _of_sum(name, truth, predicted, matrix, weights)


def of_weighted(name: str, truth: Ints, predicted: Ints, matrix: Ints) -> Reals:
    """Each picture's influence [N] on precision, recall or F1, each class by its pictures.

    A picture moves the class's ratio, and the weight of its class with it.
    """
    hits, truths, answers = RATIOS[name]
    support, count = matrix.sum(axis=1), matrix.sum()
    whole = truths * support + answers * matrix.sum(axis=0)
    ratios = hits * np.diag(matrix) / np.maximum(whole, 1)
    moved = _of_sum(name, truth, predicted, matrix, support / count)
    found: Reals = moved + (ratios[truth] - ratios @ support / count) / count
    return found


def _of_sum(name: str, truth: Ints, predicted: Ints, matrix: Ints, weights: Reals) -> Reals:
    """Each picture's influence [N] on the classes' ratios, added up by fixed weights [C]."""
    hits, truths, answers = RATIOS[name]
    whole = truths * matrix.sum(axis=1) + answers * matrix.sum(axis=0)
    share = weights / np.maximum(whole, 1)
    paid = hits * np.diag(matrix) / np.maximum(whole, 1) * share
    gained = hits * (truth == predicted) * share[truth]
    found: Reals = gained - truths * paid[truth] - answers * paid[predicted]
    return found


def of_headline(
    truth: Ints, predicted: Ints, matrix: Ints, positive: int | None
) -> dict[str, Reals]:
    """For each figure of `metrics.headline`: each picture's influence [N]."""
    asked = np.arange(len(matrix)) if positive is None else np.array([positive])
    present = np.flatnonzero(matrix.sum(axis=1))
    return {
        "accuracy": of_mean(truth == predicted),
        "balanced_accuracy": of_ratio("recall", truth, predicted, matrix, present),
        **{name: of_ratio(name, truth, predicted, matrix, asked) for name in RATIOS},
    }


def of_mean(values: Reals | Bools) -> Reals:
    """Each picture's influence [N] on the mean of its values."""
    found: Reals = (values - values.mean()) / len(values)
    return found


def of_ece(right: Bools, confidence: Reals) -> Reals:
    """Each picture's influence [N] on `metrics.ece`, whose bins and signs stay as they are."""
    found, gaps = np.empty(len(right)), confidence - right
    for rows in metrics.equal_mass(confidence):
        found[rows] = gaps[rows] * np.sign(gaps[rows].mean())
    return of_mean(found)


def of_auroc(truth: Ints, probabilities: Reals, positive: int | None) -> Reals | None:
    """Each picture's influence [N] on `metrics.auroc`; None where that is undefined."""
    return _mean_of(_of_area, truth, probabilities, positive)


def of_average_precision(truth: Ints, probabilities: Reals, positive: int | None) -> Reals | None:
    """Each picture's influence [N] on `metrics.average_precision`; None where undefined."""
    return _mean_of(_of_precision, truth, probabilities, positive)


def _mean_of(
    influence: Callable[[Bools, Reals], Reals],
    truth: Ints,
    probabilities: Reals,
    positive: int | None,
) -> Reals | None:
    classes = metrics.ranked_classes(truth, probabilities, positive)
    if classes is None:
        return None
    total = np.zeros(len(truth))
    for index in classes:
        total += influence(truth == index, probabilities[:, index])
    return total / len(classes)


def _of_area(inside: Bools, scores: Reals) -> Reals:
    """Placement values: the share of the other class that a picture is on the right side of."""
    rank, found = rankdata(scores), np.empty(len(scores))
    for mine in (inside, ~inside):
        below = (rank[mine] - rankdata(scores[mine])) / (~mine).sum()
        beaten = below if mine is inside else 1 - below
        found[mine] = (beaten - beaten.mean()) / mine.sum()
    return found


def _of_precision(inside: Bools, scores: Reals) -> Reals:
    """Average precision is the mean of hits / answered at each picture inside, from the top.

    A picture inside adds its own term; every picture adds to the counts of all that score no
    higher.
    """
    levels, place = np.unique(-scores, return_inverse=True)  # the highest score first
    hits_at = np.bincount(place, weights=inside, minlength=len(levels))
    answered = np.cumsum(np.bincount(place, minlength=len(levels)))
    hits = np.cumsum(hits_at)
    precision = hits / answered
    more_hits = np.cumsum((hits_at / answered)[::-1])[::-1]
    more_answers = np.cumsum((hits_at * precision / answered)[::-1])[::-1]
    average = (precision * hits_at).sum() / inside.sum()
    own = inside * (precision[place] - average)
    found: Reals = (own + inside * more_hits[place] - more_answers[place]) / inside.sum()
    return found
