"""All pairs of 64-bit hashes that differ in few bits, exactly and without looking at all pairs.

Multi-index hashing (Norouzi, Punjani and Fleet 2012): a hash is cut into bands. Two hashes within
`d` bits agree, up to a few bits, in at least one band; so each hash looks up its own bands, and
those that differ from them in so few bits, in a table of all hashes by that band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import comb, exp
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]
Hashes = NDArray[np.uint64]


class Close(Protocol):
    """What finds the packed places of distinct sorted hashes that differ in few bits."""

    def __call__(self, values: Hashes, distance: int) -> Hashes: ...


HASH_BITS = 64
CHUNK = 4096  # hashes that look up at once: their answers fit in a processor's cache
WIDEST = 22  # bits of a band: a table of 4 million entries
FULL_CLUSTER = 64  # up to so many pictures of one hash are compared each with each
CHAIN = 4  # each of larger ones is compared with so many that follow
ACROSS = 8  # of larger ones so many are compared with another hash's
CROWD = 32  # so many neighbours of one hash are enough
ROW = 4  # hashes of a row, where a bucket holds few
ROWS, COLUMNS = 64, 4096  # hashes compared each with each at once: 2 MB
LOOKUP, A_ROW, ENTRY, BUCKET = 10.0, 19.0, 1.0, 25_000.0  # measured nanoseconds of each


def near_pairs(hashes: Sequence[int] | Hashes, distance: int, close: Close | None = None) -> Pairs:
    """Pairs (i < j) of 64-bit hashes that differ in at most `distance` bits, [P, 2], sorted.

    Crowds are thinned out, so that memory stays in proportion to the number of hashes: of more
    than 64 pictures with one hash, each is paired with the first and with the next four; and of a
    hash with more than 32 others near it, 32 at least are given. `close` compares the different
    hashes, where another than this process does (see `blocks`).
    """
    values, place = np.unique(np.asarray(hashes, np.uint64), return_inverse=True)
    order, counts = np.argsort(place, kind="stable"), np.bincount(place, minlength=len(values))
    starts = np.cumsum(counts) - counts
    left, right = unpack((close or _close)(values, distance))
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


class Band(NamedTuple):
    """Some bits of a hash, and in how many of them two hashes may differ to be compared."""

    low: int
    bits: int
    radius: int

    def of(self, hashes: Hashes) -> Hashes:
        """These bits of each hash."""
        return (hashes >> np.uint64(self.low)) & np.uint64((1 << self.bits) - 1)


class Table(NamedTuple):
    """Hashes by one band: bucket `k` lies in the rows from `first[k]` to `first[k + 1]`."""

    keys: NDArray[np.int32]  # the band of each hash, [N], sorted
    values: Hashes  # the hashes in that order, [N]
    order: Pairs  # where each stood before, [N]
    first: NDArray[np.int32]  # [2 ** bits + 1]
    rows: Hashes  # [R, width]; what is left over is 0
    places: Pairs  # the place in `values` of each entry of `rows`, -1 for none, [R * width]
    own: NDArray[np.int32]  # the row of each hash, [N]


class Askers(NamedTuple):
    """Hashes of a table that look up in it, from the place `start` on."""

    start: int
    seen: Pairs  # how many each has found so far, [A]; it grows


def _close(values: Hashes, distance: int) -> Hashes:
    """Packed places of distinct hashes within `distance`; each pair once."""
    found, done = [np.zeros(0, np.uint64)], list[Band]()
    neighbours = np.zeros(len(values), np.int64)
    for band in bands(len(values), distance) if distance else ():
        table = table_by(values, band, row_for(len(values), band))
        for start in range(0, len(values), CHUNK):
            chunk = table.order[start : start + CHUNK]
            askers = Askers(start, neighbours[chunk])
            for who, place in look_up(table, askers, band, distance, done):
                found.append(pack(table.order[who], table.order[place]))
            neighbours[chunk] = askers.seen
        done.append(band)
    return np.concatenate(found)


def bands(count: int, distance: int) -> list[Band]:
    """The cheapest cut into bands.

    The radii + 1 add up to distance + 1: were each exceeded, so were the distance.
    """
    cuts = []
    for number in range(-(-HASH_BITS // WIDEST), max(distance + 1, 3) + 1):
        edges = np.linspace(0, HASH_BITS, number + 1).astype(int).tolist()
        least, more = divmod(distance + 1, number)
        cut = [
            Band(low, high - low, least + (i < more) - 1)
            for i, (low, high) in enumerate(pairwise(edges))
        ]
        cuts.append([band for band in cut if band.radius >= 0])
    return min(cuts, key=lambda cut: sum(_cost(count, band) for band in cut))


def _cost(count: int, band: Band) -> float:
    """Nanoseconds that one band takes, about."""
    return min(_costs(count, band))


def _costs(count: int, band: Band) -> tuple[float, float]:
    """The same, hash by hash and bucket by bucket."""
    buckets, fill = 1 << band.bits, count / (1 << band.bits)
    lookups = count * sum(comb(band.bits, n) for n in range(band.radius + 1)) / 2
    rows = fill / ROW + (1 - exp(-fill)) / 2
    by_hashes = LOOKUP * buckets + lookups * (LOOKUP + rows * A_ROW)
    return by_hashes, BUCKET * buckets + lookups * fill * ENTRY


def row_for(count: int, band: Band) -> int:
    """How many hashes a row of the table holds; 1 where whole buckets are compared."""
    by_hashes, by_buckets = _costs(count, band)
    return ROW if by_hashes < by_buckets else 1


def table_by(values: Hashes, band: Band, width: int) -> Table:
    """The table of hashes by a band, in rows of `width`; a bucket keeps the order of `values`."""
    keys = band.of(values).astype(np.int32)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
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
    return Table(keys, values[order], order, first, rows.reshape(-1, width), places, own)


def look_up(
    table: Table, askers: Askers, band: Band, distance: int, done: Sequence[Band]
) -> Iterator[tuple[Pairs, Pairs]]:
    """What some hashes find in all near buckets: places of the two in the table, some at a time.

    Each pair is found once: from the smaller key, within a bucket from the earlier place, and in
    the first band that shows it. A hash that has found enough asks no more.
    """
    search = _by_buckets if table.rows.shape[1] == 1 else _by_hashes
    for who, place in search(table, askers, band, distance):
        differ = table.values[who] ^ table.values[place]
        new = np.ones(len(who), np.bool_)
        for earlier in done:
            new &= np.bitwise_count(earlier.of(differ)) > earlier.radius
        who, place = who[new], place[new]
        asker, number = who - askers.start, np.arange(len(who))
        rank = number - np.maximum.accumulate(number * (np.diff(who, prepend=-1) != 0))
        few = askers.seen[asker] + rank < CROWD
        askers.seen[:] += np.bincount(asker[few], minlength=len(askers.seen))
        yield who[few], place[few]


def _by_hashes(
    table: Table, askers: Askers, band: Band, distance: int
) -> Iterator[tuple[Pairs, Pairs]]:
    """One row of a bucket after the other, for many hashes at once: where most are empty."""
    start, seen = askers.start, askers.seen
    chunk = slice(start, start + len(seen))
    keys, values, ends = table.keys[chunk], table.values[chunk, None], table.first[1:]
    for change in changes(band):  # `take` is twice as fast as indexing
        asking = np.flatnonzero(keys & _top(change) == 0)
        other = keys.take(asking) ^ np.int32(change)
        row, end = table.first.take(other) if change else table.own[chunk], ends.take(other)
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
                yield start + asking[who[new]], place[new]
            row = row + 1


def _by_buckets(
    table: Table, askers: Askers, band: Band, distance: int
) -> Iterator[tuple[Pairs, Pairs]]:
    """All hashes of a bucket with all of those near it: where they hold many."""
    start, stop = askers.start, askers.start + len(askers.seen)
    flips = np.fromiter(changes(band), np.int64)
    tops = np.array([int(_top(change)) for change in flips.tolist()])
    keys = table.keys[start:stop]
    edges = np.flatnonzero(np.diff(keys, prepend=-1, append=-1)).tolist()
    for low, high in pairwise(edges):
        key = int(keys[low])
        other = key ^ flips[key & tops == 0]
        first = table.first[other].astype(np.int64)
        counts = table.first[other + 1] - first
        ends = np.cumsum(counts)
        places = np.arange(ends[-1]) + np.repeat(first - (ends - counts), counts)
        for some in range(low, high, ROWS):
            rows = np.arange(some, min(some + ROWS, high))
            yield from _each_with_each(table, askers, rows, places, int(counts[0]), distance)


def _each_with_each(
    table: Table, askers: Askers, rows: Pairs, places: Pairs, own: int, distance: int
) -> Iterator[tuple[Pairs, Pairs]]:
    """Some askers with the hashes at `places`, of which the first `own` are their own bucket's."""
    for column in range(0, len(places), COLUMNS):
        rows = rows[askers.seen[rows] < CROWD]
        if not len(rows):
            return
        some = places[column : column + COLUMNS]
        differ = table.values[askers.start + rows][:, None] ^ table.values.take(some)
        near = np.flatnonzero(np.bitwise_count(differ) <= distance)
        if len(near):
            who, which = np.divmod(near, len(some))
            who, place = askers.start + rows[who], some[which]
            new = (place > who) | (column + which >= own)
            yield who[new], place[new]


def changes(band: Band) -> Iterator[int]:
    """The bits of a band that may change, fewer first."""
    for number in range(band.radius + 1):
        for places in combinations(range(band.bits), number):
            yield sum(1 << place for place in places)


def _top(change: int) -> np.int32:
    return np.int32(1 << change.bit_length() >> 1)
