"""Pictures inside shards: a few large files instead of many small ones.

A shard is a tar (WebDataset) or an uncompressed Parquet file, in which each picture's bytes lie
in one piece. `SHARD@OFFSET+SIZE+CRC32#NAME` stands where a file's path could stand, as
`images/train-00003.tar@1536+20345+1a2b3c4d#00000071_nice.jpg`: it says all that it takes to read
the picture, and to see that it is the one that was written, without an index.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

KINDS = {"webdataset": "tar", "parquet": "parquet"}  # by the suffix of a shard
SHARD = re.compile(r"(train|validation|test)-(\d{5,})\.(tar|parquet)")
_PLACE = re.compile(
    r"(.+\.(?:tar|parquet))@(\d{1,16})\+(\d{1,10})\+([0-9a-f]{8})#([^/\\#]+)", re.DOTALL
)
GAP = 1 << 20  # bytes between two pictures that are still read in one run

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies in a shard: `size` bytes from `offset` on, and their CRC-32."""

    shard: str
    offset: int
    size: int
    crc: int
    name: str

    def __str__(self) -> str:
        return f"{self.shard}@{self.offset}+{self.size}+{self.crc:08x}#{self.name}"

    @property
    def shown(self) -> str:
        """The place as a person reads it: SHARD#NAME."""
        return f"{self.shard}#{self.name}"


def find_place(path: Path | str) -> Place | None:
    """The place in a shard that a path stands for; None for the path of a file."""
    found = _PLACE.fullmatch(str(path))
    if found is None:
        return None
    shard, offset, size, crc, name = found.groups()
    return Place(shard, int(offset), int(size), int(crc, 16), name)


def shown(path: Path | str) -> str:
    """A path as a person reads it; SHARD#NAME for a picture in a shard."""
    place = find_place(path)
    return place.shown if place else str(path)


def read_place(place: Place) -> bytes:
    """The picture's bytes; raises `ImageError` where they are not those that were written."""
    try:
        with open(place.shard, "rb") as file:
            file.seek(place.offset)
            data = file.read(place.size)
            end = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise ImageError(f"its shard {place.shard} is gone") from None
    except OSError as error:
        raise ImageError(f"can't read {place.shard}: {error.strerror or error}") from None
    if len(data) < place.size:
        raise ImageError(
            f"its shard {place.shard} was cut off: it has {end:,} bytes, "
            f"expected {place.offset + place.size:,} or more"
        )
    if zlib.crc32(data) != place.crc:
        raise ImageError(f"its bytes in the shard {place.shard} are not those that were written")
    return data


def copy_bytes(path: Path) -> bytes:
    """The bytes of a written copy, a file of its own or in a shard: `OSError` or `ImageError`."""
    place = find_place(path)
    return path.read_bytes() if place is None or path.is_file() else read_place(place)


def absent(paths: Iterable[Path]) -> list[Path]:
    """The copies that are gone: no file, or no shard that is long enough. A shard is asked once."""
    ends: dict[str, int] = {}
    gone = []
    for path in paths:
        place = find_place(path)
        if place is None:
            there = path.is_file()
        else:
            if place.shard not in ends:
                shard = Path(place.shard)
                ends[place.shard] = shard.stat().st_size if shard.is_file() else 0
            there = place.offset + place.size <= ends[place.shard]
        if not there:
            gone.append(path)
    return gone


@dataclass(frozen=True)
class Layout:
    """Where pictures lie: the number of each one's shard, its first byte and its end, int64 [N]."""

    shards: tuple[str, ...]
    shard: Places
    start: Places
    end: Places

    @classmethod
    def of(cls, paths: Iterable[Path | str]) -> Layout | None:
        """The layout of copies; None where any of them is a file of its own."""
        numbers: dict[str, int] = {}
        found: list[tuple[int, int, int]] = []
        for path in paths:
            place = _PLACE.fullmatch(str(path))
            if place is None:
                return None
            shard, offset, size = place.group(1, 2, 3)
            start = int(offset)
            found.append((numbers.setdefault(shard, len(numbers)), start, start + int(size)))
        if not found:
            return None
        return cls(tuple(numbers), *np.array(found, np.int64).T.copy())

    def runs(self) -> list[Places]:
        """The pictures of each shard, in the order in which they lie in it."""
        order = np.lexsort((self.start, self.shard))
        return np.split(order, np.flatnonzero(np.diff(self.shard[order])) + 1)

    def read_ahead(self, pictures: Places) -> None:
        """Ask the system to read these pictures now, in as long runs as they allow.

        Where it can't be asked, and where a shard is gone, nothing happens: reading tells.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        asked = np.unique(pictures)
        order = asked[np.lexsort((self.start[asked], self.shard[asked]))]
        shard, start, end = self.shard[order], self.start[order], self.end[order]
        new = (shard[1:] != shard[:-1]) | (start[1:] - end[:-1] > GAP)
        firsts = np.flatnonzero(np.r_[True, new])
        lasts = np.r_[firsts[1:] - 1, len(order) - 1]
        for number, first, last in zip(shard[firsts], start[firsts], end[lasts], strict=True):
            _advise(self.shards[number], int(first), int(last))


def _advise(shard: str, start: int, end: int) -> None:
    try:
        handle = os.open(shard, os.O_RDONLY)
    except OSError:
        return
    try:
        os.posix_fadvise(handle, start, end - start, os.POSIX_FADV_WILLNEED)
    except OSError:
        return
    finally:
        os.close(handle)
