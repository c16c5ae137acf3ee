"""Pictures that look alike to the backbone: the nearest neighbours of every embedding.

Up to some thousands by blocked products, exactly. Beyond, in cells: each picture is compared with
those in the cells whose centres are closest, along the embeddings' main directions (an inverted
file, Sivic and Zisserman 2003). All work is matrix products, and the same input gives the same
pairs. On 100,000 clustered embeddings a graph index (HNSW) took six times as long and found 98 %
of the planted copies instead of all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from ..console import track
from .hamming import Hashes, Pairs, families, pack, unpack
from .vectors import Features, unit

Found = tuple[Hashes, Features]  # packed pairs and their cosines

NEIGHBOURS = 8  # of each picture. Measured on 2,860 hard copies of 1,631 photos: 99 % among them
LEAST_COSINE = 0.3  # true copies have more; the rest is not worth a look
EXACT = 10_000  # pictures up to which all products are formed
BLOCK = 4_000_000  # products held at once: 16 MB
DIRECTIONS, SAMPLE = 256, 8192  # main directions kept, and embeddings they come from
CELLS, PER_CELL, ROUNDS = 2.0, 32, 5  # cells by the root of the pictures; of their k-means
LOOKED_INTO = 24  # cells, for each picture


def nearest(features: Features) -> Pairs:
    """Pairs (i < j) of embeddings [N, D] of which one is among the other's nearest, [P, 2].

    The closest pairs come first. Equal embeddings count as one.
    """
    first, order, counts = _equals(features)
    same = families(order, counts)
    find = _by_products if len(first) <= EXACT else _by_cells
    found = [(same, np.full(len(same), 2.0, np.float32)), *find(features, first)]
    keys, cosines = (np.concatenate(part) for part in zip(*found, strict=True))
    closest = np.argsort(-cosines, kind="stable")
    pairs = np.sort(np.stack(unpack(keys[closest]), axis=1), axis=1)
    _, once = np.unique(pack(*pairs.T), return_index=True)
    return np.asarray(pairs[np.sort(once)])


def _equals(features: Features) -> tuple[Pairs, Pairs, Pairs]:
    """The first of each family of equal rows, all members family by family, and their counts."""
    factors = np.random.default_rng(0).integers(0, 2**64, features.shape[1], np.uint64)
    sums = np.zeros(len(features), np.uint64)
    for rows in _blocks(len(features), features.shape[1]):
        bits = np.ascontiguousarray(features[rows], np.float32).view(np.uint32)
        sums[rows] = (bits * factors).sum(axis=1)
    _, first, place, counts = np.unique(
        sums, return_index=True, return_inverse=True, return_counts=True
    )
    return np.sort(first), np.argsort(place, kind="stable"), counts


def _by_products(features: Features, rows: Pairs) -> Iterator[Found]:
    points, count = unit(features[rows]), min(NEIGHBOURS, len(rows) - 1)
    for block in _blocks(len(rows), len(rows)) if count > 0 else ():
        cosines = points[block] @ points.T
        own = np.arange(block.start, block.stop)
        cosines[own - block.start, own] = -2
        best = np.argpartition(cosines, -count, axis=1)[:, -count:]
        yield _found(rows[own], rows[best], np.take_along_axis(cosines, best, 1))


def _by_cells(features: Features, rows: Pairs) -> Iterator[Found]:
    small = _projected(features, rows)
    centres = _centres(small)
    looks = min(LOOKED_INTO, len(centres))
    cells = np.concatenate([
        np.argpartition(-(small[block] @ centres.T), looks - 1, axis=1)[:, :looks].astype(np.int32)
        for block in _blocks(len(small), len(centres))
    ])  # fmt: skip
    members = _split(_closest(small, centres), len(centres))
    asking = _split(cells.ravel(), len(centres))
    best = np.full((len(small), NEIGHBOURS), -2, np.float32)
    who = np.zeros((len(small), NEIGHBOURS), np.int64)
    for inside, asked in track(zip(members, asking, strict=True), "comparing", len(centres)):
        for block in _blocks(len(asked), len(inside)) if len(inside) else ():
            _keep_best(best, who, asked[block] // looks, inside, small)
    for block in _blocks(len(small), NEIGHBOURS):
        yield _found(rows[block], rows[who[block]], best[block])


def _keep_best(best: Features, who: Pairs, asking: Pairs, inside: Pairs, small: Features) -> None:
    """Update the best cosines and whose they are, [N, 8], of those asking with all inside."""
    cosines = small[asking] @ small[inside].T
    cosines[asking[:, None] == inside] = -2
    count = min(NEIGHBOURS, len(inside))
    top = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    values = np.concatenate([best[asking], np.take_along_axis(cosines, top, 1)], axis=1)
    names = np.concatenate([who[asking], inside[top]], axis=1)
    kept = np.argpartition(-values, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    best[asking] = np.take_along_axis(values, kept, 1)
    who[asking] = np.take_along_axis(names, kept, 1)


def _split(labels: NDArray[np.integer], count: int) -> list[Pairs]:
    """The places of each label from 0 to count - 1."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, count)))


def _centres(small: Features) -> Features:
    """The centres of cells that hold about as many pictures each: spherical k-means."""
    cells = int(CELLS * np.sqrt(len(small)))
    sample = small[:: max(1, len(small) // (cells * PER_CELL))]
    centres = sample[:: max(1, len(sample) // cells)][:cells]
    for _ in range(ROUNDS):
        label, place = _closest(sample, centres), np.arange(len(sample))
        ones = np.ones(len(sample), np.float32)
        sums = coo_array((ones, (label, place)), shape=(len(centres), len(sample))) @ sample
        empty = np.bincount(label, minlength=len(centres)) == 0
        centres = unit(np.where(empty[:, None], centres, sums))
    return centres


def _closest(small: Features, centres: Features) -> Pairs:
    """The closest centre of each, [N]."""
    blocks = _blocks(len(small), len(centres))
    return np.concatenate([(small[block] @ centres.T).argmax(1) for block in blocks])


def _projected(features: Features, rows: Pairs) -> Features:
    main = _main_directions(features)
    blocks = _blocks(len(rows), features.shape[1])
    return np.concatenate([unit(unit(features[rows[block]]) @ main) for block in blocks])


def _found(own: Pairs, others: Pairs, cosines: Features) -> Found:
    row, column = np.nonzero(cosines >= LEAST_COSINE)
    return pack(own[row], others[row, column]), cosines[row, column].astype(np.float32)


def _main_directions(features: Features) -> Features:
    """The directions [D, 256] in which a sample of the embeddings is largest."""
    step = -(-len(features) // SAMPLE)
    sample = unit(features[::step])
    _, directions = np.linalg.eigh(sample.T @ sample)
    return np.asarray(directions[:, -DIRECTIONS:])


def _blocks(count: int, width: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, width))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
