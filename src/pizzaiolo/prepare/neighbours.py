"""Pictures that look alike to the backbone: the nearest neighbours of every embedding.

Up to some thousands by blocked products, exactly. Beyond, by a graph index (HNSW, Malkov and
Yashunin 2016) over the embeddings' main directions: near-linear in time and memory, and, as one
thread builds it, the same for the same input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from ..console import progress
from .hamming import Hashes, Pairs, families, pack, unpack

Features = NDArray[np.float32]
Found = tuple[Hashes, Features]  # packed pairs and their cosines

NEIGHBOURS = 8  # of each picture. Measured on 2,860 hard copies of 1,631 photos: 99 % among them
LEAST_COSINE = 0.3  # true copies have more; the rest is not worth a look
EXACT = 10_000  # pictures up to which all products are formed
BLOCK = 4_000_000  # products held at once: 16 MB
DIRECTIONS, SAMPLE = 256, 8192  # main directions kept by the index, and embeddings they come from
LINKS, WIDTH_ADD, WIDTH_SEARCH = 16, 128, 64  # of the graph: enough for 99 % of the neighbours


def nearest(features: Features) -> Pairs:
    """Pairs (i < j) of embeddings [N, D] of which one is among the other's nearest, [P, 2].

    The closest pairs come first. Equal embeddings count as one.
    """
    first, order, counts = _equals(features)
    same = families(order, counts)
    find = _by_products if len(first) <= EXACT else _by_index
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
    unit, count = _unit(features[rows]), min(NEIGHBOURS, len(rows) - 1)
    for block in _blocks(len(rows), len(rows)) if count > 0 else ():
        cosines = unit[block] @ unit.T
        own = np.arange(block.start, block.stop)
        cosines[own - block.start, own] = -2
        best = np.argpartition(cosines, -count, axis=1)[:, -count:]
        yield _found(rows[own], rows[best], np.take_along_axis(cosines, best, 1))


def _by_index(features: Features, rows: Pairs) -> Iterator[Found]:
    main = _main_directions(features)
    index = Index(
        ndim=main.shape[1], metric="cos", dtype="f16", connectivity=LINKS,
        expansion_add=WIDTH_ADD, expansion_search=WIDTH_SEARCH,
    )  # fmt: skip
    small = np.empty((len(rows), main.shape[1]), np.float16)
    with progress("looking for neighbours", 2 * len(rows)) as advance:
        for block in _blocks(len(rows), features.shape[1]):
            small[block] = _unit(_unit(features[rows[block]]) @ main)
            index.add(np.arange(block.start, block.stop), small[block], threads=1)
            advance(block.stop - block.start)
        for block in _blocks(len(rows), features.shape[1]):
            own = np.arange(block.start, block.stop)
            matches: Any = index.search(small[block], NEIGHBOURS + 1)
            there = np.arange(NEIGHBOURS + 1) < matches.counts[:, None]
            keys = np.where(there, matches.keys, 0).astype(np.int64)
            there &= keys != own[:, None]
            cosines = 1 - np.where(there, matches.distances, 2)
            yield _found(rows[own], rows[keys], cosines)
            advance(len(own))


def _found(own: Pairs, others: Pairs, cosines: Features) -> Found:
    row, column = np.nonzero(cosines >= LEAST_COSINE)
    return pack(own[row], others[row, column]), cosines[row, column].astype(np.float32)


def _main_directions(features: Features) -> Features:
    """The directions [D, 256] in which a sample of the embeddings is largest."""
    step = -(-len(features) // SAMPLE)
    sample = _unit(features[::step])
    _, directions = np.linalg.eigh(sample.T @ sample)
    return np.asarray(directions[:, -DIRECTIONS:])


def _unit(features: Features) -> Features:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12), np.float32)


def _blocks(count: int, width: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, width))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
