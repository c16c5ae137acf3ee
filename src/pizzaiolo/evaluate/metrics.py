"""Metrics as pure functions on arrays; scikit-learn where it has them.

`truth` and `predicted` are class indices [N]; `probabilities` are [N, C]. A figure that these
pictures leave undefined (a class is absent, a probability is no number) is None.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_curve

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]


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


def averages(matrix: Ints) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 as the mean over the classes: `macro`, all count alike; `weighted`,
    each counts by its pictures.
    """
    columns = {"precision": precisions(matrix), "recall": recalls(matrix), "f1": f1s(matrix)}
    support = matrix.sum(axis=1)
    return {
        "macro": {name: float(values.mean()) for name, values in columns.items()},
        "weighted": {
            name: _ratio(values @ support, support.sum()) for name, values in columns.items()
        },
    }


def ranked_classes(truth: Ints, probabilities: Reals, positive: int | None) -> Ints | None:
    """The classes that are told from the rest by rank: one of two, else all of several.

    None where a class is absent or a probability is no number, for then there is no curve.
    """
    classes = probabilities.shape[1]
    if len(np.unique(truth)) < classes or not np.isfinite(probabilities).all():
        return None
    if positive is not None or classes == 2:
        return np.array([1 if positive is None else positive])
    return np.arange(classes)


def auroc(truth: Ints, probabilities: Reals, positive: int | None) -> float | None:
    """Area under the ROC curve; several classes: one against the rest, mean over the classes.

    By ranks (Mann and Whitney 1947), which is scikit-learn's figure in a tenth of its time.
    """
    classes = ranked_classes(truth, probabilities, positive)
    if classes is None:
        return None
    is_class = truth[:, None] == classes  # [N, classes asked for]
    own = is_class.sum(axis=0)
    above = (rankdata(probabilities[:, classes], axis=0) * is_class).sum(axis=0)
    return float(np.mean((above - own * (own + 1) / 2) / (own * (len(truth) - own))))


def average_precision(truth: Ints, probabilities: Reals, positive: int | None) -> float | None:
    """Area under the precision-recall curve, by steps; several classes: mean over the classes."""
    classes = ranked_classes(truth, probabilities, positive)
    if classes is None:
        return None
    return float(average_precision_score(truth[:, None] == classes, probabilities[:, classes]))


def losses(truth: Ints, probabilities: Reals) -> Reals:
    """Each picture's -log of the probability of its class, in nats [N]; never infinite."""
    own = probabilities[np.arange(len(truth)), truth]
    least = np.finfo(np.float64).eps
    found: Reals = -np.log(np.clip(own, least, 1 - least))
    return found


def log_loss(truth: Ints, probabilities: Reals) -> float | None:
    """The mean of `losses`: 0 is best, log C is as good as not knowing."""
    return _mean(losses(truth, probabilities)) if known(probabilities) else None


def squares(truth: Ints, probabilities: Reals) -> Reals:
    """Each picture's squared distance of its probabilities from the truth [N].

    Of two classes one is counted: 0 to 1. Several classes: the sum over them, 0 to 2.
    """
    classes = probabilities.shape[1]
    found: Reals = ((probabilities - np.eye(classes)[truth]) ** 2).sum(axis=1)
    return found / 2 if classes == 2 else found


def brier(truth: Ints, probabilities: Reals) -> float | None:
    """The Brier score, the mean of `squares`: 0 is best."""
    return _mean(squares(truth, probabilities)) if known(probabilities) else None


def in_top(truth: Ints, probabilities: Reals, k: int) -> Bools:
    """Whether each picture's class is among the `k` likeliest [N]; of equals the last is first."""
    likeliest = np.argsort(probabilities, axis=1, kind="stable")[:, ::-1][:, :k]
    found: Bools = (likeliest == truth[:, None]).any(axis=1)
    return found


def top_k(truth: Ints, probabilities: Reals, k: int) -> float | None:
    """The share of `in_top`; None for a `k` of all classes, which says nothing."""
    if not 0 < k < probabilities.shape[1] or not known(probabilities):
        return None
    return _mean(in_top(truth, probabilities, k))


def equal_mass(confidence: Reals, bins: int = 10) -> list[Ints]:
    """The rows of each bin, of equal mass and rising confidence."""
    order = np.argsort(confidence, kind="stable")
    return [rows for rows in np.array_split(order, bins) if len(rows)]


def reliability(right: Bools, confidence: Reals, bins: int = 10) -> list[Reals]:
    """Equal-mass bins of confidence: [mean confidence, share right, count] each."""
    parts = equal_mass(confidence, bins)
    return [np.array([confidence[p].mean(), right[p].mean(), len(p)]) for p in parts]


def ece(right: Bools, confidence: Reals, bins: int = 10) -> float | None:
    """Expected calibration error: the mean gap between confidence and share right (0 to 1).

    Guo et al. 2017, with bins of equal mass, which are steadier on few pictures.
    """
    if not known(confidence):
        return None
    table = np.stack(reliability(right, confidence, bins))
    return float(np.average(np.abs(table[:, 0] - table[:, 1]), weights=table[:, 2]))


def roc_points(truth: Ints, scores: Reals, positive: int) -> list[tuple[float, float]]:
    """The ROC curve as (false positive rate, true positive rate), thinned to 200 points.

    None at all where only one class occurs or a score is no number.
    """
    if len(np.unique(truth == positive)) < 2 or not known(scores):
        return []
    false_rate, true_rate, _ = roc_curve(truth == positive, scores)
    step = max(1, len(false_rate) // 200)
    points = list(zip(false_rate[::step].tolist(), true_rate[::step].tolist(), strict=True))
    return [*points, (1.0, 1.0)]


def known(values: Reals) -> bool:
    """Whether there are values and all of them are numbers."""
    return values.size > 0 and bool(np.isfinite(values).all())


def _mean(values: Reals | Bools) -> float:
    return float(values.mean())


def _ratio(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else 0.0


def _ratios(part: Ints, whole: Ints) -> Reals:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
