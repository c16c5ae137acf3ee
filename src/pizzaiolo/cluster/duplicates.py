"""The search for near hashes on a cluster: the very pairs of one machine, in blocks.

The hashes lie in shards. For each band every shard is cut by the band's value, and the cuts that
belong together become a block (a shuffle); then the hashes of each block look into the few blocks
whose value is near. A group-by alone would find equal values only, and with bands so short that
near hashes share one whole, the groups would grow with the square of the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..console import progress
from ..prepare.blocks import Block, Search, cut, joined, looked_into, search_blocks, searches
from ..prepare.duplicates import NearPairs
from ..prepare.hamming import CROWD, Hashes, Pairs, near_pairs, unpack
from .session import Cluster

WORTH = 500_000  # hashes; fewer are compared sooner by one process
IN_BLOCK = 100_000  # hashes, about: 50 MB of tables
BLOCKS_EACH = 4  # blocks for each processor at least, since some take longer


def near_pairs_on(cluster: Cluster, worth: int = WORTH) -> NearPairs:
    """`near_pairs` by all machines; of fewer than `worth` hashes by this process alone."""

    def near(hashes: Hashes, distance: int) -> Pairs:
        if len(hashes) < worth:
            return near_pairs(hashes, distance)
        return near_pairs(hashes, distance, lambda values, bits: _close(cluster, values, bits))

    return near


def _close(cluster: Cluster, values: Hashes, distance: int) -> Hashes:
    """Packed places of distinct sorted hashes within `distance`; each pair once."""
    import ray

    seen, found = np.zeros(len(values), np.uint8), [np.zeros(0, np.uint64)]
    parts = np.array_split(values, max(1, -(-len(values) // IN_BLOCK)))
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    shards = [(ray.put(part), start) for part, start in zip(parts, starts, strict=False)]
    blocks = max(BLOCKS_EACH * max(1, cluster.cpus), len(parts))
    for search in searches(len(values), distance, blocks):
        results = np.concatenate(list(_results(search, shards, ray.put(seen))))
        found.append(results)
        counts = seen + np.bincount(unpack(results)[0], minlength=len(seen))
        seen = np.minimum(counts, CROWD).astype(np.uint8)
    return np.concatenate(found)


def _results(search: Search, shards: Sequence[tuple[Any, int]], seen: Any) -> Iterator[Hashes]:
    import ray

    count = 1 << search.prefix
    cutting = ray.remote(num_cpus=1, num_returns=count)(_cut)
    joining, looking = ray.remote(num_cpus=1)(_joined), ray.remote(num_cpus=1)(_search)
    pieces = [cutting.remote(values, start, search) for values, start in shards]
    pieces = [[piece] if count == 1 else piece for piece in pieces]
    blocks = [joining.remote(*(piece[t] for piece in pieces)) for t in range(count)]
    # Those that look into most come first: the lower, so that no one waits for them at the end.
    waiting = [
        looking.remote(search, seen, *(blocks[u] for u in looked_into(search, t)))
        for t in range(count)
    ]
    del pieces, blocks
    with progress(f"near hashes, band {len(search.done) + 1}", count) as advance:
        while waiting:
            (ready,), waiting = ray.wait(waiting)
            yield ray.get(ready)
            advance()


def _cut(values: Hashes, start: int, search: Search) -> list[Block] | Block:
    parts = cut(values, start, search)
    return parts if len(parts) > 1 else parts[0]


def _joined(*parts: Block) -> Block:
    return joined(parts)


def _search(search: Search, seen: NDArray[np.uint8], *blocks: Block) -> Hashes:
    return search_blocks(search, blocks, seen)
