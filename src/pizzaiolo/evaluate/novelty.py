"""What training looked like, learned from embeddings, and the cut over which a picture is new.

Measured on frozen features of EfficientNet-Lite0, four splits of 1,198 photos, at a cut that flags
1.5 % of validation photos. Of 50 photos without food are told: 98 % by this Gaussian, by the
distance to the nearest of all training photos or of 40 centroids, or by what the main directions
leave over; 3 % without that rest, none by the highest probability.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from ..core.card import Card
from ..core.novelty import MOST_TEXT, Novelty, normalised

Reals = NDArray[np.float32]
Ints = NDArray[np.int64]

BEYOND = 1.001  # no picture lies on the cut itself, where rounding would decide
FLAGGED = 0.015  # the share of ordinary pictures that may be called new
DIRECTIONS = 64
MOST_PICTURES = 20_000  # more of them change the directions little
MOST_VALUES = (MOST_TEXT // 4) * 3 // 2  # float16 numbers in so much base64
TINY = 1e-9  # the least variance: of directions in which nothing differs
TAIL = 2.33  # standard deviations: 1 % of a normal distribution lies beyond


def with_novelty(
    card: Card, training: Reals, targets: Ints, validation: Reals, flagged: float = FLAGGED
) -> Card:
    """The card with the statistics of training embeddings [N, D] of classes `targets` [N].

    The cut is set so that of pictures like the validation embeddings [M, D] a share of `flagged`
    is over it; scores are in units of it. The card stays as it is where there is too little to
    learn from.
    """
    facts = fit(training, targets)
    if facts is None or not len(validation):
        return card
    cut = BEYOND * novelty_cut(Novelty.from_facts(facts).scores(validation), flagged)
    labels = replace(card.labels, max_novelty=1.0)
    return card.with_(novelty={**facts, "scale": facts["scale"] * cut}, labels=labels)


def fit(embeddings: Reals, targets: Ints, seed: int = 0) -> dict[str, Any] | None:
    """Statistics of training embeddings [N, D] for the card; None for too few or too wide ones.

    The covariance is that of probabilistic PCA (Tipping and Bishop 1999): as it is along the main
    directions, the same in all others, so that it can be inverted however few pictures there are.
    """
    some = np.random.default_rng(seed).permutation(len(embeddings))[:MOST_PICTURES]
    values, (_, own) = normalised(embeddings[some]), np.unique(targets[some], return_inverse=True)
    count, features = values.shape
    classes = int(own.max(initial=0)) + 1
    room = (MOST_VALUES - features) // (features + classes)
    rank = min(DIRECTIONS, room, count - classes - 1, features - 1)
    if rank < 1:
        return None
    mean = values.mean(axis=0)
    away = values - mean
    centres = np.stack([away[own == c].mean(axis=0) for c in range(classes)])
    pca = PCA(rank, svd_solver="randomized", random_state=seed)
    with np.errstate(invalid="ignore"):  # of pictures that are all the same no share is explained
        pca.fit(away - centres[own])
    spread = np.maximum(pca.explained_variance_, TINY)
    left = ((away - centres[own]) ** 2).sum() / (count - classes) - spread.sum()
    rest = max(float(left) / (features - rank), TINY)
    found = Novelty(mean, pca.components_, centres @ pca.components_.T, spread, rest, 1.0)
    return found.to_facts()


def novelty_cut(scores: NDArray[np.float64], flagged: float = FLAGGED) -> float:
    """The score that a share of `flagged` of new ordinary pictures is over, from held-out ones [M].

    An order statistic: a new picture is over the k-th largest of M with chance k / (M + 1)
    (Vovk et al. 2005). Of few pictures none is far enough out: a log-normal tail stands in.
    """
    ordered = np.sort(np.maximum(scores, 1e-6))
    over = int(flagged * (len(ordered) + 1))
    if over:
        return float(ordered[-over])
    logs = np.log(ordered)
    return float(max(ordered[-1], np.exp(logs.mean() + TAIL * logs.std())))
