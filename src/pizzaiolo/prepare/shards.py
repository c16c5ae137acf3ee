"""The copies of kept pictures as shards: a few large files that are read in long runs.

A shard is a fair sample of its split: the order is a shuffle by the seed and each picture's
content. The shards of a split have the same size, but for a picture, and the same bytes each time.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..config import PrepareConfig
from ..console import Advance, progress
from ..core.manifest import SPLITS, Row
from ..core.names import safe_name
from ..core.shards import KINDS, Place
from .columns import Some, amend
from .looks import copy_path
from .table import Rows

MEGABYTE = 1_000_000
BLOCK, RECORD = 512, 10_240  # bytes of tar: what parts start at, and what a whole file is made of
ROW_GROUP = 8 << 20  # bytes of pictures in a row group of Parquet, so that a reader can stream
_MAX_STEM = 80  # bytes; a tar takes names of 100 without a header of their own
SCHEMA = pa.schema(
    [
        pa.field("image", pa.binary(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("path", pa.string()),
        pa.field("sha256", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Item:
    """A picture on its way into a shard: its copy, its name there, its row and its class."""

    file: Path
    name: str
    row: Row
    label: int

    @property
    def key(self) -> str:
        """The name without its suffix: what the members of a sample share in a WebDataset."""
        return self.name.partition(".")[0]


Write = Callable[[Path, Sequence[Item], Advance], Iterator[tuple[int, int, int]]]


def place_in_shards(
    folder: Path, staging: Path, rows: Rows, names: Sequence[str], config: PrepareConfig
) -> Sequence[Row]:
    """Write the copies of kept pictures to images/<split>-00000.tar (or .parquet) and so on.

    `names` are the classes in order. Returns the rows in the order in which their pictures lie,
    those without one last: who reads them in order reads the shards from end to end.
    """
    suffix = KINDS[config.shards or "webdataset"]
    write: Write = write_tar if suffix == "tar" else write_parquet
    orders = _orders(rows, config.seed)
    with progress("writing shards", sum(map(len, orders))) as advance:
        for split, order in zip(SPLITS, orders, strict=True):
            items = _Items(rows, order, names, partial(copy_path, staging, config=config), config)
            for number, part in enumerate(_even(items.sizes(), config.shard_mb * MEGABYTE)):
                shard = f"images/{split}-{number:05}.{suffix}"
                chosen = [items[i] for i in part.tolist()]
                found = list(write(folder / shard, chosen, advance))
                for i, item, (start, size, crc) in zip(order[part], chosen, found, strict=True):
                    amend(rows, int(i), file=str(Place(shard, start, size, crc, item.name)))
    rest = np.array([i for i, row in enumerate(rows) if not row.kept], np.int64)
    return Some(rows, np.concatenate([*orders, rest]))


@dataclass(frozen=True)
class _Items:
    """The pictures of a split in their order, each made when it is asked for."""

    rows: Rows
    order: NDArray[np.int64]
    names: Sequence[str]
    copy: Callable[[str], Path]
    config: PrepareConfig

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of the copies."""
        files = (self.copy(self.rows[i].sha256 or "") for i in self.order.tolist())
        return np.fromiter((file.stat().st_size for file in files), np.int64, len(self.order))

    def __getitem__(self, place: int) -> Item:
        row = self.rows[int(self.order[place])]
        stem = safe_name(PurePosixPath(row.path).stem).replace(".", "_").encode()[:_MAX_STEM]
        name = f"{place:08}_{stem.decode(errors='ignore')}.{self.config.format}"
        return Item(self.copy(row.sha256 or ""), name, row, self.names.index(row.label))


def _orders(rows: Rows, seed: int) -> list[NDArray[np.int64]]:
    """Of each split the places of its kept rows, shuffled by seed and content."""
    places: dict[str, list[int]] = {split: [] for split in SPLITS}
    keys: dict[str, list[int]] = {split: [] for split in SPLITS}
    for i, row in enumerate(rows):
        if row.kept and row.split:
            digest = hashlib.blake2b(f"{seed} {row.sha256}".encode(), digest_size=8).digest()
            places[row.split].append(i)
            keys[row.split].append(int.from_bytes(digest))
    return [
        np.array(places[split], np.int64)[np.argsort(np.array(keys[split], np.uint64))]
        for split in SPLITS
    ]


def _even(sizes: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
    """Consecutive parts of about the same sum, as few as keep to `most` on the mean."""
    if not len(sizes):
        return []
    ends = np.cumsum(sizes)
    count = -(-int(ends[-1]) // most)
    part = ((ends - sizes / 2) * count / ends[-1]).astype(np.int64)
    return np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(part)) + 1)


def members(row: Row, label: int) -> dict[str, bytes]:
    """What stands beside a picture in a WebDataset: its class's index, and its facts as JSON."""
    facts = {"label": row.label, "path": row.path, "sha256": row.sha256}
    return {"cls": str(label).encode(), "json": json.dumps(facts).encode()}


def write_tar(
    path: Path, items: Sequence[Item], advance: Advance
) -> Iterator[tuple[int, int, int]]:
    """Write a shard of a WebDataset; gives offset, size and CRC-32 of each picture."""
    with path.open("xb") as file:
        for item in items:
            data = item.file.read_bytes()
            start = file.tell() + BLOCK
            _add(file, item.name, data)
            for kind, content in members(item.row, item.label).items():
                _add(file, f"{item.key}.{kind}", content)
            advance()
            yield start, len(data), zlib.crc32(data)
        file.write(bytes(2 * BLOCK))
        file.write(bytes(-file.tell() % RECORD))


def _add(file: IO[bytes], name: str, content: bytes) -> None:
    head = tarfile.TarInfo(name)  # mode 0644, time 0, no owner
    head.size = len(content)
    file.write(head.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))
    file.write(content)
    file.write(bytes(-len(content) % BLOCK))


def write_parquet(
    path: Path, items: Sequence[Item], advance: Advance
) -> Iterator[tuple[int, int, int]]:
    """Write a shard of Parquet; gives offset, size and CRC-32 of each picture.

    The pictures are neither compressed nor coded, so that each lies in the file in one piece.
    """
    texts = ["label", "path", "sha256"]
    with pq.ParquetWriter(
        path, SCHEMA, compression="none", use_dictionary=["label"], write_statistics=texts
    ) as writer:
        for group in _groups(items):
            rows = [item.row for item in group]
            columns = {name: [getattr(row, name) for row in rows] for name in texts}
            images = [item.file.read_bytes() for item in group]
            writer.write_table(pa.table({"image": images, **columns}, schema=SCHEMA))
            advance(len(group))
    yield from _pieces(path)


def _groups(items: Sequence[Item]) -> Iterator[list[Item]]:
    group: list[Item] = []
    size = 0
    for item in items:
        group.append(item)
        size += item.file.stat().st_size
        if size >= ROW_GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _pieces(path: Path) -> Iterator[tuple[int, int, int]]:
    """Offset, size and CRC-32 of each picture in a shard of Parquet, found by reading it back."""
    with path.open("rb") as file, pq.ParquetFile(path) as table:
        for group in range(table.num_row_groups):
            column = table.metadata.row_group(group).column(0)
            file.seek(column.data_page_offset)
            pages, start = file.read(column.total_compressed_size), 0
            for image in table.read_row_group(group, columns=["image"]).column(0).to_pylist():
                start = pages.find(image, start)
                assert start >= 0, "a picture is not in one piece"
                yield column.data_page_offset + start, len(image), zlib.crc32(image)
                start += len(image)
