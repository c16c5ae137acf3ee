"""Metrics as pure functions on arrays; scikit-learn where it has them.

`truth` and `predicted` are class indices [N]; `probabilities` are [N, C].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_curve

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts [C, C]: rows are the truth, columns the prediction."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: Ints) -> float:
    """The share of right answers."""
    return _ratio(np.trace(matrix), matrix.sum())


def recalls(matrix: Ints) -> Reals:
    """Per class: the share of its pictures that were found; 0 for a class without any."""
    return _ratios(np.diag(matrix), matrix.sum(axis=1))


def precisions(matrix: Ints) -> Reals:
    """Per class: the share of right ones among the answers; 0 where it was never answered."""
    return _ratios(np.diag(matrix), matrix.sum(axis=0))


def f1s(matrix: Ints) -> Reals:
    """Per class: 2 TP / (2 TP + FP + FN)."""
    return _ratios(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def balanced_accuracy(matrix: Ints) -> float:
    """The mean recall over the classes that occur."""
    present = matrix.sum(axis=1) > 0
    return float(recalls(matrix)[present].mean())


def headline(matrix: Ints, positive: int | None) -> dict[str, float]:
    """The headline figures of a confusion matrix.

    Precision, recall and F1 are the positive class's where there is one, else the mean over
    the classes.
    """

    def pick(values: Reals) -> float:
        return float(values.mean() if positive is None else values[positive])

    return {
        "accuracy": accuracy(matrix),
        "balanced_accuracy": balanced_accuracy(matrix),
        "precision": pick(precisions(matrix)),
        "recall": pick(recalls(matrix)),
        "f1": pick(f1s(matrix)),
    }


def auroc(truth: Ints, probabilities: Reals, positive: int | None) -> float | None:
    """Area under the ROC curve; several classes: one against the rest, mean over the classes.

    None where a class is absent, for then there is no curve. By ranks (Mann and Whitney 1947),
    which is scikit-learn's figure in a tenth of its time: the bootstrap asks a thousand times.
    """
    classes = np.arange(probabilities.shape[1])
    if len(np.unique(truth)) < len(classes):
        return None
    if positive is not None or len(classes) == 2:
        classes = classes[[1 if positive is None else positive]]
    is_class = truth[:, None] == classes  # [N, classes asked for]
    own = is_class.sum(axis=0)
    above = (rankdata(probabilities[:, classes], axis=0) * is_class).sum(axis=0)
    return float(np.mean((above - own * (own + 1) / 2) / (own * (len(truth) - own))))


def reliability(right: NDArray[np.bool_], confidence: Reals, bins: int = 10) -> list[Reals]:
    """Equal-mass bins of confidence: [mean confidence, share right, count] each."""
    order = np.argsort(confidence, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    return [np.array([confidence[p].mean(), right[p].mean(), len(p)]) for p in parts]


def ece(right: NDArray[np.bool_], confidence: Reals, bins: int = 10) -> float:
    """Expected calibration error: the mean gap between confidence and share right (0 to 1).

    Guo et al. 2017, with bins of equal mass, which are steadier on few pictures.
    """
    table = np.stack(reliability(right, confidence, bins))
    return float(np.average(np.abs(table[:, 0] - table[:, 1]), weights=table[:, 2]))


def roc_points(truth: Ints, scores: Reals, positive: int) -> list[tuple[float, float]]:
    """The ROC curve as (false positive rate, true positive rate), thinned to 200 points."""
    false_rate, true_rate, _ = roc_curve(truth == positive, scores)
    step = max(1, len(false_rate) // 200)
    points = list(zip(false_rate[::step].tolist(), true_rate[::step].tolist(), strict=True))
    return [*points, (1.0, 1.0)]


def _ratio(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else 0.0


def _ratios(part: Ints, whole: Ints) -> Reals:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
