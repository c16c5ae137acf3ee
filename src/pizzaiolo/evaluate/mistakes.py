"""The wrong answers: what they resemble in training, and what is probably behind them.

Rules on arrays; nothing here reads a picture. `embeddings` [N, D] are those of the deployed graph,
for the answered pictures and for the training pictures alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.labels import human
from ..core.predictions import Predictions
from .influence import group_codes

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]
Features = NDArray[np.float32]

NEAREST = 5
# Chosen on 1,198 training and validation photos answered out of fold: 84 % of flipped labels are
# called wrong labels, and 14 % of the model's own mistakes (6 of 43); at 0.9 it is 90 and 21 %.
SURE, AGREEING = 0.95, 0.6
FAR = 0.01  # of the training pictures; 90 % of photos without food lie beyond, 1 % of validation's
SAMPLE, AT_ONCE = 2000, 32
WRONG_LABEL, UNLIKE, HARD = BUCKETS = ("wrong_label", "unlike", "hard")


@dataclass(frozen=True)
class Training:
    """What the model was trained on: embeddings [M, D], class indices [M] and groups [M]."""

    embeddings: Features
    labels: Ints
    groups: Sequence[str]


@dataclass(frozen=True)
class Mistake:
    """One wrong answer. `row` is its place among the predictions.

    `p_truth` and `p_predicted` are the probabilities of the label and of the answer. `nearest` are
    places among the training pictures, the most similar first, `similarity` their cosines (-1 to 1)
    around the training's mean; `agreement` is the share of them that bear the predicted class.
    """

    row: int
    truth: str
    predicted: str
    p_truth: float
    p_predicted: float
    nearest: tuple[int, ...]
    similarity: tuple[float, ...]
    agreement: float
    bucket: str

    @property
    def why(self) -> str:
        """The reason for the bucket, for a person."""
        alike = f"{round(self.agreement * len(self.nearest))} of the {len(self.nearest)} nearest "
        alike += f"training pictures are {human(self.predicted)}"
        if self.bucket == UNLIKE:
            return "no training picture is like it"
        return alike if self.nearest else "nothing to compare it with"

    def to_json(self) -> dict[str, Any]:
        """The mistake as JSON-ready values."""
        return asdict(self)


def find_mistakes(
    predictions: Predictions, embeddings: Features, training: Training | None
) -> list[Mistake]:
    """Every wrong answer, the most confident first.

    `embeddings` [N, D] are of all answered pictures. Without training pictures nothing speaks
    against a label, and only the novelty of the predictions tells what is new.
    """
    wrong = np.flatnonzero(predictions.predicted != predictions.truth)
    wrong = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")]
    places, similarity = np.empty((len(wrong), 0), np.int64), np.empty((len(wrong), 0))
    agreement, far = np.zeros(len(wrong)), _novel(predictions, wrong)
    if training is not None and len(wrong):
        places, similarity = nearest(embeddings[wrong], training.embeddings)
        agreement = (training.labels[places] == predictions.predicted[wrong, None]).mean(axis=1)
        far |= similarity[:, 0] < similarity_floor(training)
    kinds = buckets(predictions.confidence[wrong], agreement, far)
    names, chosen = predictions.labels.names, predictions.predicted
    return [
        Mistake(
            row=int(row),
            truth=names[predictions.truth[row]],
            predicted=names[chosen[row]],
            p_truth=float(predictions.probabilities[row, predictions.truth[row]]),
            p_predicted=float(predictions.confidence[row]),
            nearest=tuple(places[i].tolist()),
            similarity=tuple(similarity[i].tolist()),
            agreement=float(agreement[i]),
            bucket=kinds[i],
        )
        for i, row in enumerate(wrong)
    ]


def _novel(predictions: Predictions, rows: Ints) -> Bools:
    """Which of some answers lie over the cut of novelty, where there is one."""
    cut = predictions.labels.max_novelty
    if predictions.novelty is None or cut is None:
        return np.zeros(len(rows), np.bool_)
    return predictions.novelty[rows] > cut


def buckets(confidence: Reals, agreement: Reals, far: Bools) -> list[str]:
    """What is probably behind each wrong answer [N].

    A sure answer that the nearest training pictures agree with speaks against the label; a picture
    that is far from all of them is new to the model; the rest is hard.
    """
    label = (confidence >= SURE) & (agreement >= AGREEING)
    return [
        UNLIKE if is_far else WRONG_LABEL if is_label else HARD
        for is_far, is_label in zip(far.tolist(), label.tolist(), strict=True)
    ]


def nearest(embeddings: Features, training: Features, count: int = NEAREST) -> tuple[Ints, Reals]:
    """Places [N, K] of the most similar training pictures and their cosines [N, K], falling.

    Cosines are taken around the mean of the training embeddings: a network's features are mostly
    positive, and so all of them point much the same way.
    """
    centre, count = training.mean(axis=0), min(count, len(training))
    known = _directions(training - centre)
    places, cosines = [], []
    for start in range(0, len(embeddings), AT_ONCE):
        likeness = _directions(embeddings[start : start + AT_ONCE] - centre) @ known.T
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        places.append(order)
        cosines.append(np.take_along_axis(likeness, order, axis=1))
    if not places:
        return np.empty((0, count), np.int64), np.empty((0, count))
    return np.concatenate(places).astype(np.int64), np.concatenate(cosines).astype(np.float64)


def similarity_floor(training: Training, seed: int = 0) -> float:
    """The cosine below which a picture is farther from all training pictures than 99 % of these
    are from one another; near-duplicates (one group) don't count as neighbours."""
    count = len(training.embeddings)
    groups = group_codes(list(training.groups))
    if groups.max(initial=0) == 0:
        return -1.0  # one picture is like no other
    centre = training.embeddings.mean(axis=0)
    known = _directions(training.embeddings - centre)
    rows = np.random.default_rng(seed).permutation(count)[:SAMPLE]
    best = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        likeness = known[part] @ known.T
        likeness[groups[part, None] == groups] = -1
        best.append(likeness.max(axis=1))
    return float(np.quantile(np.concatenate(best), FAR))


def _directions(vectors: Features) -> Features:
    """Vectors [N, D] at length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, np.where(lengths > 0, lengths, 1), dtype=np.float32)
