"""Pictures that do not belong: unlike the others of their class, or graphics among photos.

Pure functions on arrays. What is common in its own class is no outlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .vectors import Features, unit

Values = NDArray[np.float64]

NEIGHBOURS, COMPARED_MOST, BLOCK = 10, 4000, 1024
# How far from its neighbours, in robust standard deviations of its class.
FAR = 3.5
PRIOR = 15  # pictures that the spread of all classes counts for in that of one
SPREAD_LEAST, TINY = 0.05, 1e-6  # of the median distance; least median distance

# ImageNet classes that are printed, drawn or shown on a screen, whatever the data is about.
PRINTED = {
    692: "packet",
    916: "web site",
    917: "comic book",
    921: "book jacket",
    922: "menu",
}
# Measured with EfficientNet-Lite0: over 3.0 are 0.6 % of 1,400 photos of dishes, many of them with
# a package in sight, and 71 to 78 % of posters, packages, menus and pages.
GRAPHIC = 3.0
COMMON = 1.5  # standard deviations over the upper quartile of its class are no rarity


@dataclass(frozen=True)
class Outliers:
    """Pictures that look irrelevant, the surest first.

    `indices` [F] are their places, `scores` [F] how sure that is (0.5 to 1).
    """

    indices: NDArray[np.int64]
    scores: Values


def outliers(
    features: Features, labels: Sequence[str], groups: Sequence[str], signs: Values
) -> Outliers:
    """The pictures that do not belong; embeddings [N, D], labels, groups and `graphic_signs` [N].

    Each class is measured by its own kind: a class of screenshots has no graphics for outliers.
    """
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    far = _far(features, members, group)
    strength = np.maximum(far, _over(signs, members))
    places = np.flatnonzero(strength > 0)
    ranked = places[np.argsort(-strength[places], kind="stable")]
    scores = 1 - 0.5 * np.exp(-strength[ranked])
    return Outliers(ranked, scores)


def graphic_signs(features: Features, head: tuple[Features, float], lines: Values) -> Values:
    """How much each picture looks printed, drawn or shown on a screen, [N]; photos are about 0.5.

    `features` [N, D] and `head` (see `printed_head`) are of one backbone; `lines` [N] of
    `straight_lines`.
    """
    weights, bias = head
    return np.asarray((features @ weights).astype(np.float64) + bias + lines, np.float64)


def printed_head(name: str) -> tuple[Features, float]:
    """Weights [D] and bias: the mean of the logits of `PRINTED`, from an embedded ImageNet head."""
    from ..model.embedded import embedded_layer  # PyTorch, which the rest does without

    layer = embedded_layer(name)
    weights, bias = (p.detach().numpy()[list(PRINTED)].mean(axis=0) for p in layer.parameters())
    return np.asarray(weights, np.float32), float(bias)


def _far(
    features: Features, members: Sequence[NDArray[np.int64]], group: NDArray[np.int64]
) -> Values:
    """Over 0 for what is too far from its neighbours of the same class, [N]."""
    ratio = np.full(len(features), np.nan)
    for own in members:
        distance = neighbour_distance(features[own], group[own])
        known = distance[np.isfinite(distance)]
        typical = float(np.median(known)) if len(known) else 1.0
        ratio[own] = distance / max(typical, TINY) - 1
    together = _upper_spread(ratio)
    far = np.full(len(features), -np.inf)
    for own in members:
        known = np.isfinite(ratio[own]).sum()
        spread = (known * _upper_spread(ratio[own]) + PRIOR * together) / (known + PRIOR)
        far[own] = ratio[own] / max(spread, SPREAD_LEAST) - FAR
    return np.where(np.isnan(far), -np.inf, far)


def neighbour_distance(features: Features, group: NDArray[np.int64]) -> Values:
    """Mean cosine distance to the 10 nearest pictures of other groups, [N]; NaN without any.

    Of a large class every picture is compared with the same 4,000.
    """
    points = unit(features)
    step = -(-len(points) // COMPARED_MOST)
    others = np.lexsort((*points[:, :2].T, points.sum(axis=1)))[::step]
    found = np.full(len(points), np.nan)
    for start in range(0, len(points), BLOCK):
        part = slice(start, start + BLOCK)
        distance = 1 - points[part] @ points[others].T
        distance[group[part, None] == group[None, others]] = np.inf
        near = np.sort(np.partition(distance, min(NEIGHBOURS, len(others)) - 1)[:, :NEIGHBOURS])
        known = np.isfinite(near)
        count = known.sum(axis=1)
        total = np.where(known, near, 0).sum(axis=1)
        found[part] = np.divide(total, count, out=found[part], where=count > 0)
    return found


def _upper_spread(values: Values) -> float:
    """The standard deviation of a normal distribution with the same median and upper quartile."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0
    middle, high = np.quantile(known, (0.5, 0.75))
    return float(high - middle) / 0.6745


def _over(signs: Values, members: Sequence[NDArray[np.int64]]) -> Values:
    """Over 0 for graphics that their class is not full of, [N]."""
    over = np.full(len(signs), -np.inf)
    for own in members:
        low, middle, high = np.quantile(signs[own], (0.25, 0.5, 0.75))
        common = high + COMMON * (middle - low) / 0.6745  # a fifth of odd ones leaves both alone
        over[own] = signs[own] - max(GRAPHIC, common)
    return over
