"""Unlabelled photos that are copies: of what a data set holds already, or of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.manifest import Dataset, Row
from ..core.novelty import Novelty
from ..evaluate.novelty import with_novelty
from ..predict import Predictor
from ..prepare.duplicates import find_near, groups_of
from ..prepare.likeness import Greys, Indices
from ..prepare.sight import small_grey
from ..prepare.vectors import Features, unit
from .unlabelled import NEAR, LeftOut, Photo

MOST = 10_000  # pictures of a data set whose embeddings are compared; of more, so many at random
NEIGHBOURS = 3  # of each photo, in the data set: where hard copies are looked for
NEAR_BITS = 10  # hashes that differ in at most so many bits are looked at closely
BLOCK = 4_000_000  # products held at once: 16 MB


@dataclass(frozen=True)
class Known:
    """The kept pictures of a data set, of all splits, with embeddings [N, D] of the model."""

    rows: tuple[Row, ...]
    files: tuple[Path, ...]
    embeddings: Features

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """The perceptual hashes [N]; a number at random, near no other, where there is none."""
        some = np.random.default_rng(0).integers(0, 2**64, len(self.rows), np.uint64)
        told = [int(row.phash, 16) if row.phash else None for row in self.rows]
        return np.array([s if t is None else t for s, t in zip(some, told, strict=True)], np.uint64)


def known_pictures(predictor: Predictor, data: Dataset) -> Known:
    """What the model sees in the pictures of a data set; frozen features come from the cache."""
    kept = [row for row in data.rows if row.kept]
    chosen = np.random.default_rng(0).permutation(len(kept))[:MOST]
    rows = tuple(kept[i] for i in sorted(chosen.tolist()))
    files = tuple(data.picture(row) for row in rows)
    digests = [row.copy_sha256 or "" for row in rows]
    known = digests if all(digests) else None
    embeddings = predictor.figures(files, "the data set", exact=False, digests=known)[1]
    return Known(rows, files, embeddings)


def with_known_novelty(predictor: Predictor, data: Dataset, known: Known) -> None:
    """Let a model that was not settled yet tell what is unlike its training."""
    if predictor.novelty is not None:
        return
    places = {name: [i for i, row in enumerate(known.rows) if row.split == name]
              for name in ("train", "validation")}  # fmt: skip
    names = data.labels.names
    targets = np.array([names.index(known.rows[i].label) for i in places["train"]], np.int64)
    training, validation = (known.embeddings[places[n]] for n in ("train", "validation"))
    card = with_novelty(predictor.card, training, targets, validation)
    predictor.novelty = None if card.novelty is None else Novelty.from_facts(card.novelty)


def without_copies(photos: Sequence[Photo], known: Known) -> tuple[list[Photo], list[LeftOut]]:
    """The photos, without copies of known pictures and, of copies of each other, with the first.

    Each likely pair is aligned before it counts, as `prepare` does (see `find_near`).
    """
    if not photos:
        return [], []
    features = np.stack([photo.embedding for photo in photos])
    plain, mirrored = (np.array([p.hashes[i] for p in photos], np.uint64) for i in (0, 1))
    near = _likely(known, features, plain, mirrored)
    count, own = len(near), known.hashes[near]

    def greys(places: Indices) -> Greys:
        found = [
            small_grey(known.files[near[i]]) if i < count else photos[i - count].grey
            for i in places.tolist()
        ]
        return np.stack(found)

    pairs = find_near(
        np.concatenate([own, plain]),
        np.concatenate([~own, mirrored]),  # unknown: one side's is enough
        greys,
        np.concatenate([known.embeddings[near], features]),
        NEAR_BITS,
    ).near
    first = groups_of(count + len(photos), pairs)
    kept, left = [], []
    for place, photo in enumerate(photos):
        original = first[count + place]
        if original == count + place:
            kept.append(photo)
        elif original < count:
            detail = f"looks like {known.rows[near[original]].path} of the data set"
            left.append(LeftOut(photo.file, NEAR, detail))
        else:
            left.append(LeftOut(photo.file, NEAR, f"looks like {photos[original - count].file}"))
    return kept, left


def _likely(
    known: Known, features: Features, plain: NDArray[np.uint64], mirrored: NDArray[np.uint64]
) -> Indices:
    """Places of the known pictures that some photo may be a copy of."""
    hashes, directions, wanted = known.hashes, unit(known.embeddings), set[int]()
    count = min(NEIGHBOURS, len(hashes))
    step = max(1, BLOCK // len(hashes))
    for start in range(0, len(features), step):
        rows = slice(start, start + step)
        cosines = unit(features[rows]) @ directions.T
        wanted.update(np.argpartition(-cosines, count - 1, axis=1)[:, :count].ravel().tolist())
        for own in (plain, mirrored):
            bits = np.bitwise_count(own[rows, None] ^ hashes)
            wanted.update(np.nonzero(bits <= NEAR_BITS)[1].tolist())
    return np.array(sorted(wanted), np.int64)
