"""All pairs of 64-bit hashes that differ in few bits, exactly and without looking at all pairs.

Multi-index hashing (Norouzi, Punjani and Fleet 2012): a hash is cut into bands. Two hashes within
`d` bits agree, up to a few bits, in at least one band; so each hash looks up its own bands, and
those that differ from them in so few bits, in a table of all hashes by that band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import comb, exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]
Hashes = NDArray[np.uint64]

HASH_BITS = 64
CHUNK = 4096  # hashes that look up at once: their answers fit in a processor's cache
WIDEST = 22  # bits of a band: a table of 4 million entries
FULL_CLUSTER = 64  # up to so many pictures of one hash are compared each with each
CHAIN = 4  # each of larger ones is compared with so many that follow
ACROSS = 8  # of larger ones so many are compared with another hash's
CROWD = 32  # so many neighbours of one hash are enough
LOOKUP, ROW, ENTRY = 10.0, 15.0, 1.0  # measured nanoseconds: of each, and of an entry of a row


def near_pairs(hashes: Sequence[int] | Hashes, distance: int) -> Pairs:
    """Pairs (i < j) of 64-bit hashes that differ in at most `distance` bits, [P, 2], sorted.

    Crowds are thinned out, so that memory stays in proportion to the number of hashes: of more
    than 64 pictures with one hash, each is paired with the first and with the next four; and of a
    hash with more than 32 others near it, at least 32 are given.
    """
    values, place = np.unique(np.asarray(hashes, np.uint64), return_inverse=True)
    order, counts = np.argsort(place, kind="stable"), np.bincount(place, minlength=len(values))
    starts = np.cumsum(counts) - counts
    left, right = unpack(_close(values, distance))
    return unique_pairs(
        np.concatenate([families(order, counts), _across(order, starts, counts, left, right)])
    )


def hash_bits(hashes: Sequence[int] | Hashes, pairs: Pairs) -> NDArray[np.int64]:
    """How many bits differ, for each pair [P]."""
    values = np.asarray(hashes, np.uint64)
    different = values[pairs[:, 0]] ^ values[pairs[:, 1]]
    return np.asarray(np.bitwise_count(different), np.int64)


def unique_pairs(packed: Hashes) -> Pairs:
    """Packed pairs as (i < j), [P, 2], sorted, each once and none of an item with itself."""
    left, right = unpack(packed)
    low, high = np.minimum(left, right), np.maximum(left, right)
    both = np.unique(pack(low, high)[low != high])
    return np.stack(unpack(both), axis=1)


def pack(left: Pairs, right: Pairs) -> Hashes:
    """Two indices below 2**32 as one number, which sorts fast."""
    return (left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)


def unpack(packed: Hashes) -> tuple[Pairs, Pairs]:
    """The two indices of packed pairs."""
    low = packed & np.uint64(0xFFFFFFFF)
    return (packed >> np.uint64(32)).astype(np.int64), low.astype(np.int64)


def families(order: Pairs, counts: Pairs) -> Hashes:
    """Packed pairs inside families of equals; `order` lists the members family by family.

    In a large family each member is linked to the next few and to the first.
    """
    size = np.repeat(counts, counts)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    small, found = size <= FULL_CLUSTER, [np.zeros(0, np.uint64)]
    for step in range(1, min(FULL_CLUSTER, counts.max(initial=0))):
        i = np.flatnonzero((rank + step < size) & (small | (step <= CHAIN)))
        found.append(pack(order[i], order[i + step]))
    rest = np.flatnonzero(~small & (rank > CHAIN))
    found.append(pack(order[rest - rank[rest]], order[rest]))
    return np.concatenate(found)


def _across(order: Pairs, starts: Pairs, counts: Pairs, left: Pairs, right: Pairs) -> Hashes:
    """Packed pairs between families whose hashes are close."""
    large = counts[left] * counts[right] > FULL_CLUSTER
    m, n = (np.where(large, np.minimum(counts[side], ACROSS), counts[side])
            for side in (left, right))  # fmt: skip
    which = np.repeat(np.arange(len(left)), m * n)
    step = np.arange(len(which)) - np.repeat(np.cumsum(m * n) - m * n, m * n)
    a, b = step // n[which], step % n[which]
    return pack(order[starts[left[which]] + a], order[starts[right[which]] + b])


class _Band(NamedTuple):
    """Some bits of a hash, and in how many of them two hashes may differ to be compared."""

    low: int
    bits: int
    radius: int

    def of(self, hashes: Hashes) -> Hashes:
        return (hashes >> np.uint64(self.low)) & np.uint64((1 << self.bits) - 1)


class _Table(NamedTuple):
    """Hashes by one band: bucket `k` lies in the rows from `first[k]` to `first[k + 1]`."""

    keys: NDArray[np.int32]  # the band of each hash, [N], sorted
    values: Hashes  # the hashes in that order, [N]
    order: Pairs  # where each stood before, [N]
    first: NDArray[np.int32]  # [2 ** bits + 1]
    rows: Hashes  # [R, width]; what is left over is 0
    places: Pairs  # the place in `values` of each entry of `rows`, -1 for none, [R * width]
    own: NDArray[np.int32]  # the row of each hash, [N]


def _close(values: Hashes, distance: int) -> Hashes:
    """Packed places of distinct hashes within `distance`; each pair once."""
    found, done = [np.zeros(0, np.uint64)], list[_Band]()
    neighbours = np.zeros(len(values), np.int64)
    for band in _bands(len(values), distance) if distance else ():
        table = _table(values, band)
        for start in range(0, len(values), CHUNK):
            found += _look_up(table, start, band, distance, neighbours, done)
        done.append(band)
    return np.concatenate(found)


def _bands(count: int, distance: int) -> list[_Band]:
    """The cheapest cut into bands.

    The radii + 1 add up to distance + 1: were each exceeded, so were the distance.
    """
    cuts = []
    for number in range(-(-HASH_BITS // WIDEST), max(distance + 1, 3) + 1):
        edges = np.linspace(0, HASH_BITS, number + 1).astype(int).tolist()
        least, more = divmod(distance + 1, number)
        bands = [
            _Band(low, high - low, least + (i < more) - 1)
            for i, (low, high) in enumerate(pairwise(edges))
        ]
        cuts.append([band for band in bands if band.radius >= 0])
    return min(cuts, key=lambda bands: sum(_cost(count, band) for band in bands))


def _cost(count: int, band: _Band) -> float:
    """Nanoseconds that one band takes, about."""
    fill = count / (1 << band.bits)
    lookups = count * sum(comb(band.bits, n) for n in range(band.radius + 1)) / 2
    rows = fill / _width(fill) + (1 - exp(-fill)) / 2
    return LOOKUP * (1 << band.bits) + lookups * (LOOKUP + rows * (ROW + _width(fill) * ENTRY))


def _width(fill: float) -> int:
    """How many hashes a row of the table holds, by the hashes in a bucket."""
    return 16 if fill > 4 else 4


def _table(values: Hashes, band: _Band) -> _Table:
    keys = band.of(values).astype(np.int32)
    order = np.argsort(keys, kind="stable")
    keys, width = keys[order], _width(len(values) / (1 << band.bits))
    counts = np.bincount(keys, minlength=1 << band.bits)
    first = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(-(-counts // width), out=first[1:])
    rank = np.arange(len(keys)) - (np.cumsum(counts) - counts)[keys]
    place = first[keys].astype(np.int64) * width + rank
    rows = np.zeros(int(first[-1]) * width, np.uint64)
    rows[place] = values[order]
    places = np.full(len(rows), -1, np.int64)
    places[place] = np.arange(len(keys))
    own = (place // width).astype(np.int32)
    return _Table(keys, values[order], order, first, rows.reshape(-1, width), places, own)


def _look_up(
    table: _Table,
    start: int,
    band: _Band,
    distance: int,
    neighbours: Pairs,
    done: Sequence[_Band],
) -> list[Hashes]:
    """Packed pairs of the hashes from `start` on with those in all near buckets.

    Each pair is found once: from the smaller key, within a bucket from the earlier place, and in
    the first band that shows it. `neighbours` counts what each hash has found so far.
    """
    chunk, found = slice(start, start + CHUNK), []
    keys, values, own = table.keys[chunk], table.values[chunk, None], table.own[chunk]
    seen, ends = neighbours[table.order[chunk]], table.first[1:]
    for change in _changes(band):  # `take` is twice as fast as indexing
        asking = np.flatnonzero(keys & _top(change) == 0)
        other = keys.take(asking) ^ np.int32(change)
        row, end = table.first.take(other) if change else own, ends.take(other)
        while len(asking):
            going = np.flatnonzero((row < end) & (seen.take(asking) < CROWD))
            asking, row, end = asking.take(going), row.take(going), end.take(going)
            differ = table.rows.take(row, axis=0)
            differ ^= values.take(asking, axis=0)
            near = np.bitwise_count(differ) <= distance
            if near.any():
                who, column = np.nonzero(near)
                place = table.places[row[who].astype(np.int64) * near.shape[1] + column]
                new = place > (-1 if change else start + asking[who])
                for earlier in done:
                    new &= np.bitwise_count(earlier.of(differ[who, column])) > earlier.radius
                who, place = asking[who[new]], place[new]
                seen += np.bincount(who, minlength=len(seen))
                found.append(pack(table.order[start + who], table.order[place]))
            row = row + 1
    neighbours[table.order[chunk]] = seen
    return found


def _changes(band: _Band) -> Iterator[int]:
    for number in range(band.radius + 1):
        for places in combinations(range(band.bits), number):
            yield sum(1 << place for place in places)


def _top(change: int) -> np.int32:
    return np.int32(1 << change.bit_length() >> 1)
