"""Test pictures that have near-copies in training, whatever data set those came from.

`prepare` keeps near-copies of one source together. Here the case is training pictures from
elsewhere: the same photo saved again, at another size, slightly cropped. A perceptual hash and the
model's own embedding look at every pair; what one alone can't tell the other decides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.card import Card
from ..core.manifest import Dataset, Row
from ..errors import DatasetError
from .looks import run_of

Reals = NDArray[np.float32]
Indices = NDArray[np.int64]

PAIRS_AT_ONCE = 2_000_000  # 100 MB of bits, distances and scores
NEIGHBOURS = 10  # the distance to the tenth tells how far pictures of this kind lie apart
# Measured with 633 copies of 211 validation photos (cropped by up to 14 %, 0.4 to 1.3 times the
# size, JPEG quality 40 to 90) and with 987 training photos: a distance (1 is that to the tenth
# neighbour) and as many sixtieths as bits differ add up to at most 1.1 for 99 % of the copies, and
# to 1.12 or more for all strangers. By the hash alone, strangers differ in 12 bits or more.
BITS_WEIGHT, MOST_SCORE, MOST_BITS, SURE_BITS = 1 / 60, 1.1, 10, 8
HASH_BITS = 64
# A network that tells little apart brings strangers close. So no cut is nearer to what training
# pictures keep from each other than three of its standard deviations (1.20 here).
SAMPLE, SPREADS, NORMAL_LOW = 512, 3.0, 0.16
ROUNDING = 1e-4  # of a length: what embeddings differ by when they do not differ


@dataclass(frozen=True)
class Pictures:
    """What is compared: perceptual hashes (16 hexadecimal digits) and embeddings [N, D].

    `groups` names those that are near-copies of each other already.
    """

    hashes: Sequence[str | None]
    embeddings: NDArray[np.floating[Any]] | None = None
    groups: Sequence[str | None] | None = None

    @classmethod
    def of(
        cls, rows: Sequence[Row], embeddings: NDArray[np.floating[Any]] | None = None
    ) -> Pictures:
        """The pictures of a manifest's rows."""
        return cls([row.phash for row in rows], embeddings, [row.group for row in rows])


@dataclass(frozen=True)
class Leak:
    """A tested picture and the trained one that it is a near-copy of, by their places.

    `bits` of the 64 of their hashes differ; `distance` is that of their embeddings as a share of
    the distance at which neighbours usually lie.
    """

    tested: int
    trained: int
    bits: int | None
    distance: float | None


def training_data(model: Path | str, card: Card, evaluated: Dataset) -> Dataset | None:
    """The DATASET that the model was trained on; None where it is gone or has changed since."""
    wanted = card.data.get("fingerprint")
    if wanted == evaluated.fingerprint:
        return evaluated
    run = run_of(model)
    if run is None:
        return None
    try:
        named = json.loads((run / "run.json").read_text(encoding="utf-8"))["dataset"]
        data = Dataset.open(Path(named))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, DatasetError):
        return None
    return data if data.fingerprint == wanted else None


def find_leaks(tested: Pictures, trained: Pictures) -> list[Leak]:
    """The tested pictures that have a near-copy among the trained ones, each once.

    Embeddings are looked at where both sides have them. However many pictures there are, only
    some rows of the table of all pairs are in memory.
    """
    if not len(tested.hashes) or not len(trained.hashes):
        return []
    left, right = _Side.of(tested.hashes), _Side.of(trained.hashes)
    most = float(MOST_BITS)
    if tested.embeddings is not None and trained.embeddings is not None:
        middle = trained.embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
        left = left._replace(directions=_directions(tested.embeddings, middle))
        right = right._replace(directions=_directions(trained.embeddings, middle))
        most = min(MOST_SCORE, _score_of_strangers(right, trained.groups))
    best = _nearest(left, right)
    found = np.flatnonzero((best.score <= most) | (best.bits <= SURE_BITS))
    return [best.leak(i) for i in found.tolist()]


class _Nearest(NamedTuple):
    """Of each of T pictures: the likeliest original among others, and how likely it is."""

    score: Reals
    place: Indices
    bits: Indices
    distance: Reals

    def leak(self, i: int) -> Leak:
        bits, distance = int(self.bits[i]), float(self.distance[i])
        told = bits if bits <= HASH_BITS else None
        return Leak(i, int(self.place[i]), told, None if np.isnan(distance) else distance)


class _Side(NamedTuple):
    """Hashes [N] as numbers, which of them are known, and directions of embeddings [N, D]."""

    hashes: NDArray[np.uint64]
    known: NDArray[np.bool_]
    directions: Reals | None = None

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> _Side:
        values = [int(text, 16) if text else 0 for text in texts]
        return cls(np.array(values, np.uint64), np.array([bool(text) for text in texts]))

    def some(self, which: Any) -> _Side:
        directions = None if self.directions is None else self.directions[which]
        return _Side(self.hashes[which], self.known[which], directions)

    def differing(self, other: _Side) -> Indices:
        """Bits that differ, [N, M]; more than there are where one of both is not known."""
        bits = np.bitwise_count(self.hashes[:, None] ^ other.hashes)
        return np.where(self.known[:, None] & other.known, bits, HASH_BITS + 1)


def _nearest(left: _Side, right: _Side, other: NDArray[np.bool_] | None = None) -> _Nearest:
    """The likeliest original of each; pairs that `other` [T, N] denies are not looked at."""
    step, parts = max(1, PAIRS_AT_ONCE // len(right.known)), []
    floor = _usual_reach(left, right) / 2
    for start in range(0, len(left.known), step):
        rows = slice(start, start + step)
        part = left.some(rows)
        bits, distance = part.differing(right), _distances(part, right, floor)
        score = np.asarray(bits, np.float32)
        if left.directions is not None:
            unsaid = bits > HASH_BITS  # strangers differ in half of the bits, the nearest in fewer
            worth = np.where(unsaid, HASH_BITS // 4, bits)
            score = np.asarray(distance + BITS_WEIGHT * worth, np.float32)
        if other is not None:
            score = np.where(other[rows], score, np.inf)
        place = score.argmin(axis=1)
        at = (np.arange(len(place)), place)
        parts.append(_Nearest(score[at], place, bits[at], distance[at]))
    return _Nearest(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _directions(embeddings: NDArray[np.floating[Any]], middle: Reals) -> Reals:
    """Embeddings [N, D] as float32 directions from the middle of training."""
    away = np.asarray(embeddings, np.float32) - middle
    least = ROUNDING * float(np.linalg.norm(middle)) + 1e-12
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), least)
    return away


def _distances(left: _Side, right: _Side, floor: float) -> Reals:
    """Distances [T, N], 1 for the tenth neighbour; nan where there are no embeddings."""
    if left.directions is None or right.directions is None:
        return np.full((len(left.known), len(right.known)), np.nan, np.float32)
    distance = np.sqrt(np.maximum(2 - 2 * left.directions @ right.directions.T, 1e-6))
    return np.asarray(distance / np.maximum(_reach(distance), floor)[:, None], np.float32)


def _reach(distance: Reals) -> Reals:
    """The distance to the tenth neighbour, [T]."""
    place = min(NEIGHBOURS, distance.shape[1]) - 1
    return np.asarray(np.partition(distance, place, axis=1)[:, place])


def _usual_reach(left: _Side, right: _Side) -> float:
    """The usual distance to the tenth neighbour: ten copies of one picture must not set it."""
    if left.directions is None or right.directions is None:
        return 0.0
    some = left.directions[:: max(1, len(left.known) // SAMPLE)][:SAMPLE]
    step = max(1, PAIRS_AT_ONCE // len(right.known))
    reach = [
        _reach(np.sqrt(np.maximum(2 - 2 * some[i : i + step] @ right.directions.T, 1e-6)))
        for i in range(0, len(some), step)
    ]
    return float(np.median(np.concatenate(reach)))


def _score_of_strangers(trained: _Side, groups: Sequence[str | None] | None) -> float:
    """The score that nearly all training pictures have, or more, with those of other groups."""
    count = len(trained.known)
    named = enumerate(groups or [None] * count)
    own = np.unique([str(i) if g is None else f"={g}" for i, g in named], return_inverse=True)[1]
    some = np.arange(0, count, max(1, count // SAMPLE))[:SAMPLE]
    scores = _nearest(trained.some(some), trained, own[some][:, None] != own).score
    known = scores[np.isfinite(scores)]
    if not len(known):
        return np.inf
    low, middle = np.quantile(known, [NORMAL_LOW, 0.5])  # near-copies in training move neither
    return float(middle - SPREADS * (middle - low))
