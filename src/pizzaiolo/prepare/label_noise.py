"""Suspicious labels: what a model that never saw a picture says of its label (confident learning).

Northcutt et al. 2021, https://arxiv.org/abs/1911.00068. Pure functions on arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from .vectors import Features, unit

Codes = NDArray[np.int64]
Probabilities = NDArray[np.float64]
Mask = NDArray[np.bool_]

FOLDS = 5
# Measured on mixtures of 150 to 1,400 photos with 3 to 10 % wrong labels: the ranking is best with
# 10, and falls off slowly to both sides.
STRENGTH = 10.0
TRAINED_MOST, CLASS_LEAST = 10_000, 50  # pictures that one fold learns from; of each class
# cleanlab finds how many labels are wrong and is careful about which. Where it finds noise, a
# label is suspect as well that is less likely than 35 to 65 against the best other one. Two wrong
# labels may be anywhere: without that a set of 30 hides them.
LIKELY, ODDS, WRONG_LEAST = 0.35, 0.08, 2


@dataclass(frozen=True)
class Suspects:
    """Pictures whose label looks wrong, the surest first.

    `indices` [F] are their places, `scores` [F] how sure that is (0.5 to 1), `suggested` the
    labels that look right.
    """

    indices: NDArray[np.int64]
    scores: NDArray[np.float64]
    suggested: tuple[str, ...]


def suspects(
    features: Features, labels: Sequence[str], groups: Sequence[str], seed: int = 0
) -> Suspects:
    """The pictures whose label the others contradict; embeddings [N, D], labels and groups [N].

    Pictures of one group never judge each other. The order of the pictures and the names of the
    classes make no difference.
    """
    order = _by_content(features, groups)
    names, codes = _codes([labels[i] for i in order])
    looks = two_looks(features[order], codes, [groups[i] for i in order], seed)
    if looks is None:
        return Suspects(np.zeros(0, np.int64), np.zeros(0), ())
    flagged, best, doubt = _suspect(codes, looks[1])
    places = np.flatnonzero(flagged)
    ranked = places[np.argsort(-doubt[places], kind="stable")]
    return Suspects(order[ranked], doubt[ranked], tuple(names[c] for c in best[ranked]))


def two_looks(
    features: Features, codes: Codes, groups: Sequence[str], seed: int = 0
) -> tuple[Probabilities, Probabilities] | None:
    """Class probabilities [N, C] of each picture by models of the others, twice.

    For the second look the labels that the first one doubts are not learnt from. None where there
    are too few groups or classes.
    """
    folds = _folds(codes, groups, seed)
    if len(np.unique(codes)) < 2 or not len(folds):
        return None
    first = out_of_fold(features, codes, folds, np.ones(len(codes), np.bool_), seed)
    trusted = _trusted(codes, _issues(codes, first))
    return first, out_of_fold(features, codes, folds, trusted, seed)


def out_of_fold(
    features: Features, codes: Codes, folds: Codes, trusted: Mask, seed: int
) -> Probabilities:
    """Class probabilities [N, C] of each picture by a model of the other folds' trusted pictures.

    A picture whose class those folds lack can't be judged: it keeps its label.
    """
    found = np.zeros((len(codes), codes.max() + 1))
    for fold in np.unique(folds):
        inside, learnt = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & trusted)
        learnt = _sample(learnt, codes, seed)
        known = np.unique(codes[learnt])
        if len(known) > 1:
            model = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not fully converged is good enough for a ranking
                model.fit(unit(features[learnt]), codes[learnt])
            found[inside[:, None], known] = model.predict_proba(unit(features[inside]))
        unjudged = inside[~np.isin(codes[inside], known) | (len(known) < 2)]
        found[unjudged] = 0
        found[unjudged, codes[unjudged]] = 1
    return found


def _by_content(features: Features, groups: Sequence[str]) -> Codes:
    """An order that does not depend on the given one."""
    keys = (*features[:, :2].T, features.sum(axis=1, dtype=np.float64), np.asarray(groups))
    return np.lexsort(keys).astype(np.int64)


def _codes(labels: Sequence[str]) -> tuple[list[str], Codes]:
    """Classes by first appearance, and their numbers [N]."""
    names = list(dict.fromkeys(labels))
    number = {name: code for code, name in enumerate(names)}
    return names, np.asarray([number[label] for label in labels], np.int64)


def _folds(codes: Codes, groups: Sequence[str], seed: int) -> Codes:
    """The fold of each picture [N], stratified by the first label of each group; or none."""
    first: dict[str, int] = {}
    for place, group in enumerate(groups):
        first.setdefault(group, place)
    leaders = codes[list(first.values())]
    count = min(FOLDS, int(np.bincount(leaders, minlength=1).max())) if len(leaders) else 0
    if count < 2:
        return np.zeros(0, np.int64)
    fold_of: dict[str, int] = {}
    names = list(first)
    for fold, members in enumerate(_deal(leaders, count, seed)):
        fold_of.update((names[m], fold) for m in members)
    return np.asarray([fold_of[group] for group in groups], np.int64)


def _deal(leaders: Codes, count: int, seed: int) -> Iterator[Codes]:
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer groups than folds is no fault here
        for _, members in splitter.split(leaders, leaders):
            yield members


def _sample(rows: Codes, codes: Codes, seed: int) -> Codes:
    """At most about `TRAINED_MOST` rows: of each class the same share, and no class left out."""
    if len(rows) <= TRAINED_MOST:
        return rows
    mixed = np.random.default_rng(seed).permutation(rows)
    _, place, counts = np.unique(codes[mixed], return_inverse=True, return_counts=True)
    by_class = np.argsort(place, kind="stable")
    rank = np.empty(len(mixed), np.int64)
    rank[by_class] = np.arange(len(mixed)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = np.maximum(counts * TRAINED_MOST / len(mixed), CLASS_LEAST)
    return np.sort(mixed[rank < share[place]])


def _issues(codes: Codes, likely: Probabilities) -> Mask:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(find_label_issues(codes, likely, n_jobs=1), np.bool_)


def _trusted(codes: Codes, doubted: Mask) -> Mask:
    """What the second look learns from: no class loses more than half of its pictures."""
    share = np.bincount(codes, doubted) / np.maximum(np.bincount(codes), 1)
    return np.asarray(~doubted | (share > 0.5)[codes], np.bool_)


def _suspect(codes: Codes, likely: Probabilities) -> tuple[Mask, Codes, NDArray[np.float64]]:
    """Which labels are suspect, the best other label, and its odds against the given one, [N]."""
    rows, others = np.arange(len(codes)), likely.copy()
    given = likely[rows, codes]
    others[rows, codes] = -1
    best = others.argmax(axis=1)
    doubt = 1 - given / np.maximum(given + others[rows, best], np.finfo(np.float64).tiny)
    issues = _issues(codes, likely) & (doubt > 0.5)
    noise = min(0.5, max(issues.sum(), WRONG_LEAST) / len(codes))
    wrong = noise * doubt / (noise * doubt + (1 - noise) * (1 - doubt))
    return issues | ((doubt > 1 - LIKELY) & (wrong > ODDS)), best, doubt
