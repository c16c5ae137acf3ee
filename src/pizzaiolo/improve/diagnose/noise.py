"""How many labels are wrong: an estimate with an interval, and the pictures to look at.

A model that never saw a picture contradicts its label because the label is wrong or because the
model is. Where it is surest it is hardly ever wrong itself, so there the share of contradicted
labels is that of wrong labels (the anchors of Liu and Tao 2016), provided that it is sure enough:
what it expects to get wrong itself can't be told from noise. Labels that are wrong for hard
pictures only are not counted fully: no model can tell these from its own mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.labels import Labels
from ...evaluate.figures import Figure
from ...evaluate.intervals import wilson
from ...prepare.label_noise import suspects, two_looks
from .lapse import lapses

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Features = NDArray[np.float32]

# Parts of the answers of each class, the surest first. The estimate is the mean over the last two,
# the interval reaches from what is seen in the surest part to what is seen in the widest. Chosen on
# five sets of photos with 0 to 30 % flipped labels, of both classes or of one.
SUREST, HALF, MOST = PARTS = (0.25, 0.5, 0.75)
GUESSING = 0.9  # of the mistakes of always naming the commonest class: such a model knows nothing
# A model that contradicts so many labels must have so much evidence, or contradict about as many
# where it is surest as everywhere.
POOR, EVIDENCE, EVEN = 0.25, 2.0, 0.7
LEAST = 1e-12  # of a probability
WORTH = 0.01  # less noise than this at the lower end is none to speak of


@dataclass(frozen=True)
class Suspect:
    """A picture whose label looks wrong; `score` (0.5 to 1) tells how sure that is."""

    path: str
    label: str
    suggested: str
    score: float


@dataclass(frozen=True)
class Noise:
    """The share of wrong labels with its 95 % interval, None throughout for too few pictures.

    `by_class` is the share among the labels of each class; `suspects` are the surest first.
    """

    share: Figure
    by_class: dict[str, float]
    suspects: tuple[Suspect, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is noise to speak of, by more than chance."""
        return self.share.low is not None and self.share.low > WORTH

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        listed = [vars(suspect) for suspect in self.suspects]
        return {**self.share.to_dict(), "by_class": self.by_class, "suspects": listed}


def label_noise(
    features: Features,
    truth: Ints,
    groups: Sequence[str],
    labels: Labels,
    paths: Sequence[str],
    seed: int = 0,
) -> Noise:
    """Estimate the share of wrong labels from embeddings [N, D] and class indices [N]."""
    looks = two_looks(features, truth, groups, seed)
    if looks is None:
        return Noise(Figure(), {})
    independent = len(set(groups)) / len(groups)
    given = [labels.names[i] for i in truth]
    doubted = suspects(features, given, groups, seed)
    listed = zip(doubted.indices.tolist(), doubted.suggested, doubted.scores.tolist(), strict=True)
    return Noise(
        noise_share(*looks, truth, independent),
        {labels.names[c]: share for c, share in noise_by_class(looks[1], truth).items()},
        tuple(Suspect(paths[i], given[i], other, score) for i, other, score in listed),
    )


def noise_share(first: Reals, second: Reals, truth: Ints, independent: float = 1.0) -> Figure:
    """The share of wrong labels from two looks at each picture, [N, C], out of fold.

    `independent` is the share of pictures that are no near-duplicates of others. Where the first
    look expects as many mistakes of its own as it contradicts labels, or where it is poor and its
    doubts explain all, it may be to blame, and the interval begins at 0.
    """

    def seen(likely: Reals, part: float) -> Figure:
        share, count = contradicted(likely, truth, part)
        return Figure(share, *wilson(share * count * independent, count * independent))

    before = {part: seen(first, part) for part in PARTS}
    after = {part: seen(second, part) for part in PARTS}
    own = {part: _own_mistakes(first, part) for part in PARTS}
    high = max(_of(figure.high) for figure in (*before.values(), *after.values()))
    lapsed, likelier = _lapses(first, truth)
    every = float((first.argmax(axis=1) != truth).mean())
    even = _of(before[SUREST].value) >= EVEN * every
    guess = 1 - float(np.bincount(truth).max()) / len(truth)
    if every > GUESSING * guess:
        return Figure(0.0, 0.0, high)
    poor = every > POOR and likelier < EVIDENCE and not even
    if poor or not any(_of(before[part].low) > own[part] for part in (SUREST, HALF)):
        left = sum(_of(before[part].value) - own[part] for part in (HALF, MOST)) / 2
        return Figure(max(0.0, min(left, lapsed)), 0.0, high)
    value = (_of(after[HALF].value) + _of(after[MOST].value)) / 2
    low = min(_of(after[SUREST].low), _of(after[HALF].low))
    return Figure(value, min(low, value), high)


def _of(value: float | None) -> float:
    assert value is not None
    return value


def _lapses(likely: Reals, truth: Ints) -> tuple[float, float]:
    """The share of contradictions that no doubt explains, and the evidence in the clearest class.

    Wrong labels may be of one class only, so each answered class is looked at alone.
    """
    answered, ordered = likely.argmax(axis=1), np.sort(np.log(np.maximum(likely, LEAST)), axis=1)
    lead, share, evidence = ordered[:, -1] - ordered[:, -2], 0.0, 0.0
    for index in np.unique(answered):
        rows = answered == index
        rate, likelier = lapses(lead[rows], truth[rows] != index)
        share, evidence = share + rate * float(rows.mean()), max(evidence, likelier)
    return share, evidence


def _own_mistakes(likely: Reals, part: float) -> float:
    """The share of mistakes that the surest part of the answers expects of itself."""
    rows = np.concatenate([_surest(likely, c, part) for c in range(likely.shape[1])])
    return float(1 - likely[rows].max(axis=1).mean())


def noise_by_class(likely: Reals, truth: Ints) -> dict[int, float]:
    """Of the labels of each class the share that is contradicted, among the surest answers."""
    rows = np.concatenate([_surest(likely, c, MOST) for c in range(likely.shape[1])])
    wrong = likely[rows].argmax(axis=1) != truth[rows]
    return {int(c): float(wrong[truth[rows] == c].mean()) for c in np.unique(truth[rows])}


def contradicted(likely: Reals, truth: Ints, part: float) -> tuple[float, int]:
    """The share of labels that the surest part of the answers contradicts, and how many these are.

    Each class that is answered counts as often as it is answered.
    """
    answered = np.bincount(likely.argmax(axis=1), minlength=likely.shape[1])
    share, count = 0.0, 0
    for index in np.flatnonzero(answered):
        rows = _surest(likely, int(index), part)
        share += float((truth[rows] != index).mean()) * answered[index] / len(truth)
        count += len(rows)
    return share, count


def _surest(likely: Reals, index: int, part: float) -> Ints:
    """Places of the surest part of the answers with one class."""
    rows = np.flatnonzero(likely.argmax(axis=1) == index)
    ordered = np.sort(likely[rows], axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    return rows[np.argsort(-lead, kind="stable")[: int(np.ceil(part * len(rows)))]].astype(np.int64)
