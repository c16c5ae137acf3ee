"""Do the shards of a DATASET hold what the manifest says, and nothing else?"""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.manifest import Row
from ..core.shards import SHARD, Place, find_place
from .shards import members

Found = tuple[str, str, str]  # a fault's kind, the path and what is wrong
ROWS_AT_ONCE = 1024


def shard_of(row: Row) -> str | None:
    """The shard that holds a row's picture; None for a file of its own."""
    place = find_place(row.file or "")
    return place.shard if place else None


def belongs(shard: str, split: str | None) -> bool:
    """Whether a shard's path is one of those that `prepare` gives to a split."""
    path = PurePosixPath(shard)
    named = SHARD.fullmatch(path.name)
    return path.parts[:-1] == ("images",) and named is not None and named[1] == split


def shard_faults(root: Path, rows: Sequence[Row], names: Sequence[str]) -> Iterator[Found]:
    """What is wrong with shards beside the pictures' own bytes; `names` are the classes."""
    by_shard: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        place = find_place(row.file or "")
        if place and belongs(place.shard, row.split):
            by_shard[place.shard][place.name] = row
    for shard, held in sorted(by_shard.items()):
        if (root / shard).is_file():
            look = _in_tar if shard.endswith(".tar") else _in_parquet
            try:
                yield from look(root, shard, held, names)
            except (OSError, tarfile.TarError, pa.ArrowException, ValueError) as error:
                yield "unreadable", shard, f"not as it was written: {str(error)[:100]}"


def _in_tar(
    root: Path, shard: str, held: Mapping[str, Row], names: Sequence[str]
) -> Iterator[Found]:
    waiting = dict(_expected(held, names))
    count = len(waiting)
    with tarfile.open(root / shard, "r:") as tar:
        for member in tar:
            is_right = waiting.pop(member.name, None)
            if is_right is None:
                yield "unknown_file", f"{shard}#{member.name}", "no row of the manifest names it"
            elif not is_right(tar, member):
                yield "changed", f"{shard}#{member.name}", "not what was written"
    if waiting:
        detail = f"{len(waiting)} of its {count} members are not found, as {min(waiting)}"
        yield "unreadable", shard, detail


Judge = Callable[[tarfile.TarFile, tarfile.TarInfo], bool]


def _expected(held: Mapping[str, Row], names: Sequence[str]) -> Iterator[tuple[str, Judge]]:
    """Each member that a tar should have, and what tells whether it is the right one."""
    for name, row in held.items():
        place = find_place(row.file or "")
        assert place is not None
        yield name, _lies_at(place)
        for kind, content in members(row, names.index(row.label)).items():
            yield f"{name.partition('.')[0]}.{kind}", _holds(content)


def _lies_at(place: Place) -> Judge:
    return lambda tar, member: (member.offset_data, member.size) == (place.offset, place.size)


def _holds(content: bytes) -> Judge:
    def is_right(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
        file = tar.extractfile(member) if member.size == len(content) else None
        return file is not None and file.read() == content

    return is_right


def _in_parquet(
    root: Path, shard: str, held: Mapping[str, Row], names: Sequence[str]
) -> Iterator[Found]:
    waiting = {row.path: row for row in held.values()}
    with pq.ParquetFile(root / shard) as table:
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=["path", "label", "sha256"]):
            for found in batch.to_pylist():
                row = waiting.pop(found["path"], None)
                if row is None:
                    detail = "no row of the manifest names it"
                    yield "unknown_file", f"{shard}#{found['path']}", detail
                elif (row.label, row.sha256) != (found["label"], found["sha256"]):
                    yield "changed", row.file or row.path, "its label or hash is another"
    for row in waiting.values():
        yield "missing", row.file or row.path, f"{shard} has no row of it"
