"""Copies: near by perceptual hash and by embedding, each pair verified by aligning the pictures.

Pure functions on arrays; never all pairs in memory. Candidates are cheap and generous: hashes
that differ in few bits, plain and mirrored, and nearest neighbours among the embeddings. What
counts is whether the pictures' detail agrees once they are aligned (see `likeness`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..console import progress
from .hamming import Hashes, Pairs, hash_bits, near_pairs, pack, unique_pairs
from .likeness import MIDDLE, Greys, Indices, likeness, shrunk
from .neighbours import nearest
from .vectors import Features

BATCH = 8192  # candidate pairs between two looks at what is tied together by now
SEEN_AT_ONCE = 512  # pairs whose pictures are in memory at once: 4 MB
# Least agreement of the detail of a copy and its original. Measured on 1,631 photos, many of them
# of similar dishes: of mirrored, cropped, framed, captioned, grey and slightly turned copies 99 %
# have more than 0.79; of all 1.3 million pairs of strangers none has more than 0.4.
COPY = 0.7
SAME_BITS, SAME_CORRELATION = 2, 0.98  # the same photo, saved again


class NearPairs(Protocol):
    """Gives the pairs of hashes that differ in few bits, as `near_pairs` does."""

    def __call__(self, hashes: Hashes, distance: int) -> Pairs: ...


class Copies(NamedTuple):
    """Pairs (i < j) of pictures, each [P, 2] and sorted.

    `near`: near-duplicates, enough of them to tie every group together: cropped, mirrored,
    framed, captioned, grey, turned a little, and all of `same`. `same`: one photo, saved again:
    the same framing, though smaller, brighter or compressed; a crop or a mirror image is not.
    """

    near: Pairs
    same: Pairs


def find_near(
    hashes: NDArray[np.uint64],
    mirrored: NDArray[np.uint64],
    greys: Callable[[Indices], Greys],
    features: Features | None,
    distance: int,
    near: NearPairs = near_pairs,
) -> Copies:
    """Near-duplicates among N pictures, by their pHash and that of their mirror image, [N] each.

    `greys` gives the uint8 [K, 64, 64] grey pictures of K indices, and is asked for those of
    candidates only. `features` are embeddings [N, D]; without them only what the hashes show is
    found: mirror images and light changes, few crops, frames and turned pictures. `near` is what
    compares the hashes.
    """
    plain, flipped = by_hash(hashes, mirrored, max(distance, SAME_BITS), near)
    bits = hash_bits(hashes, plain)
    same = _same_photos(plain[bits <= SAME_BITS], greys)
    candidates = [plain[np.argsort(bits, kind="stable")][np.sort(bits) <= distance], flipped]
    if features is not None and len(features) > 1:
        candidates.append(nearest(features))
    found = _verified(len(hashes), np.concatenate(candidates), same, greys)
    return Copies(unique_pairs(pack(*found.T)), same)


def by_hash(
    hashes: Hashes, mirrored: Hashes, distance: int, near: NearPairs = near_pairs
) -> tuple[Pairs, Pairs]:
    """Pairs whose hashes are close, and pairs close to each other's mirror image."""
    count = len(hashes)
    pairs = near(np.concatenate([hashes, mirrored]), distance)
    plain = pairs[:, 1] < count
    flipped = (pairs[:, 0] < count) & ~plain
    return pairs[plain], unique_pairs(pack(*(pairs[flipped] % count).T))


def _batches(pairs: Pairs, greys: Callable[[Indices], Greys]) -> Iterator[tuple[Greys, Pairs]]:
    """The pictures of some pairs at a time, and the pairs as places among them."""
    for start in range(0, len(pairs), SEEN_AT_ONCE):
        used, places = np.unique(pairs[start : start + SEEN_AT_ONCE], return_inverse=True)
        yield greys(used), places.reshape(-1, 2)


def _same_photos(pairs: Pairs, greys: Callable[[Indices], Greys]) -> Pairs:
    found = [correlations(shrunk(pictures, MIDDLE), places) >= SAME_CORRELATION
             for pictures, places in _batches(pairs, greys)]  # fmt: skip
    return np.asarray(pairs[np.concatenate([np.zeros(0, np.bool_), *found])])


def _verified(
    count: int, candidates: Pairs, near: Pairs, greys: Callable[[Indices], Greys]
) -> Pairs:
    """`near` with those candidates that are copies and join what was apart; the first come first.

    What is tied together already is not looked at again: a crowd of copies costs one look each.
    """
    root = _roots(count, near)
    with progress("comparing look-alikes", len(candidates)) as advance:
        for start in range(0, len(candidates), BATCH):
            some = candidates[start : start + BATCH]
            advance(len(some))
            some = some[root[some[:, 0]] != root[some[:, 1]]]
            some = some[np.lexsort(some.T[::-1])]
            alike = [likeness(*batch) >= COPY for batch in _batches(some, greys)]
            copies = some[np.concatenate([np.zeros(0, np.bool_), *alike])]
            if len(copies):
                near = np.concatenate([near, copies])
                root = _roots(count, near)
    return near


def _roots(count: int, pairs: Pairs) -> Pairs:
    """For each of `count` items the smallest that it is linked to, [count]."""
    ones = np.ones(len(pairs), np.bool_)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    return np.asarray(first[label], np.int64)


def groups_of(count: int, pairs: Pairs | Iterable[tuple[int, int]]) -> list[int]:
    """For each of `count` items the smallest item that it is linked to."""
    links = np.asarray(pairs if isinstance(pairs, np.ndarray) else list(pairs), np.int64)
    return _roots(count, links.reshape(-1, 2)).tolist() if count else []


def families_of(count: int, pairs: Pairs | Iterable[tuple[int, int]]) -> list[list[int]]:
    """The families of more than one among `count` items that pairs link: their members in order,
    the family with the smallest member first."""
    root = np.asarray(groups_of(count, pairs), np.int64)
    others = np.flatnonzero(root != np.arange(count))
    found: dict[int, list[int]] = {}
    for i, first in zip(others.tolist(), root[others].tolist(), strict=True):
        found.setdefault(first, [first]).append(i)
    return [found[first] for first in sorted(found)]


def correlations(greys: NDArray[np.generic], pairs: Pairs) -> NDArray[np.float64]:
    """Pearson correlation of the grey pictures [N, S, S] of each pair, [P]; 0 for a flat one."""
    result = np.zeros(len(pairs))
    for start in range(0, len(pairs), SEEN_AT_ONCE):
        part = pairs[start : start + SEEN_AT_ONCE]
        x, y = (_centred(greys[part[:, side]]) for side in (0, 1))
        norm = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        product = (x * y).sum(axis=1)
        result[start : start + SEEN_AT_ONCE] = np.divide(
            product, norm, out=np.zeros(len(part)), where=norm > 0
        )
    return result


def _centred(greys: NDArray[np.generic]) -> NDArray[np.float64]:
    flat = greys.reshape(len(greys), -1).astype(np.float64)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True), np.float64)
