"""Copies: exact by content, near by perceptual hash, conflicts where labels disagree.

Pure functions on hashes; never all pairs in memory. Hashes that differ in at most d bits agree
in full in at least one of d + 1 bands, so only pictures that share a band are compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64
MAX_BUCKET = 200  # a band value shared by more pictures says nothing of their likeness
MIN_CORRELATION = 0.88  # of the 32 x 32 grey pictures, for a pair to count as near-duplicates
SURE_CORRELATION = 0.97  # enough to call two labels of one photo a conflict


def near_pairs(hashes: Sequence[int], distance: int) -> Iterator[tuple[int, int]]:
    """Pairs (i < j) of 64-bit hashes that differ in at most `distance` bits."""
    bands = distance + 1
    edges = np.linspace(0, HASH_BITS, bands + 1).astype(int).tolist()
    seen: set[tuple[int, int]] = set()
    for low, high in pairwise(edges):
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, value in enumerate(hashes):
            buckets[value >> low & ((1 << (high - low)) - 1)].append(index)
        for members in buckets.values():
            for pair in _close(hashes, members[:MAX_BUCKET], distance):
                if pair not in seen:
                    seen.add(pair)
                    yield pair


def _close(hashes: Sequence[int], members: list[int], distance: int) -> Iterator[tuple[int, int]]:
    for place, i in enumerate(members):
        for j in members[place + 1 :]:
            if (hashes[i] ^ hashes[j]).bit_count() <= distance:
                yield i, j


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson correlation of two grey pictures of one shape, -1 to 1; 0 for a flat one."""
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm > 0 else 0.0


def groups_of(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `count` items the smallest item that it is linked to (union-find)."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in pairs:
        x, y = sorted((root(a), root(b)))
        parent[y] = x
    return [root(item) for item in range(count)]
