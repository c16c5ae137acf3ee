"""The search for near hashes in blocks, which many processes may share: the pairs are the same.

A block holds the hashes that agree in the first bits of a band. Two hashes that this band shows
lie in one block, or in two whose first bits differ in few. So the hashes of a block have to look
into few others, and nothing else has to be in one memory. A shuffle by the band alone would not
do, for in near hashes it may differ in up to `radius` bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .hamming import CHUNK, Askers, Band, Hashes, bands, look_up, pack, row_for, table_by


class Block(NamedTuple):
    """Some of the hashes, ascending, and the place of each among all."""

    values: Hashes
    order: NDArray[np.uint32]


class Search(NamedTuple):
    """What one band asks: `total` hashes cut into 2**`prefix` blocks."""

    total: int
    distance: int
    band: Band
    done: tuple[Band, ...]  # what they show is known
    prefix: int


def searches(count: int, distance: int, blocks: int) -> list[Search]:
    """The bands one after the other, each in `blocks` blocks or a few more."""
    cut, wanted = bands(count, distance) if distance else [], (blocks - 1).bit_length()
    return [
        Search(count, distance, band, tuple(cut[:i]), max(0, min(wanted, band.bits)))
        for i, band in enumerate(cut)
    ]


def cut(values: Hashes, start: int, search: Search) -> list[Block]:
    """The blocks of some ascending hashes, of which the first stands at `start` among all."""
    number = search.band.of(values) >> np.uint64(search.band.bits - search.prefix)
    order = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number.astype(np.int64), minlength=1 << search.prefix))[:-1]
    parts = np.split(order, ends)
    return [Block(values[part], (start + part).astype(np.uint32)) for part in parts]


def joined(parts: Sequence[Block]) -> Block:
    """One block of several."""
    return Block(*(np.concatenate([part[i] for part in parts]) for i in range(2)))


def looked_into(search: Search, number: int) -> list[int]:
    """The blocks that the hashes of block `number` have to look into, itself the first."""
    return [
        other
        for other in range(number, 1 << search.prefix)
        if (other ^ number).bit_count() <= search.band.radius
    ]


def search_blocks(search: Search, blocks: Sequence[Block], seen: NDArray[np.uint8]) -> Hashes:
    """Packed pairs that the hashes of the first block find in all of `blocks`.

    `seen` tells what each of all hashes has found in earlier bands.
    """
    values, order = joined(blocks)
    table = table_by(values, search.band, row_for(search.total, search.band))
    places, found = order[table.order].astype(np.int64), [np.zeros(0, np.uint64)]
    asking = len(blocks[0].values)  # their keys are the smallest
    for start in range(0, asking, CHUNK):
        counts = seen[places[start : min(start + CHUNK, asking)]]
        askers = Askers(start, counts.astype(np.int64))
        for who, place in look_up(table, askers, search.band, search.distance, search.done):
            found.append(pack(places[who], places[place]))
    return np.concatenate(found)
