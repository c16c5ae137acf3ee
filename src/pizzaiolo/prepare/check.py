"""Is a DATASET still what `prepare` wrote, and does nothing leak? Every copy is read anew."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import starmap
from pathlib import Path, PurePosixPath
from tempfile import gettempdir
from typing import Any

import numpy as np

from ..config import PrepareConfig
from ..console import progress
from ..core.image import read_bytes, read_image
from ..core.manifest import SPLITS, Dataset, Row, fingerprint
from ..errors import ImageError
from .candidate import one_line, readable
from .columns import Some
from .duplicates import families_of, find_near
from .inspect import look_closely, perceptual_hashes
from .likeness import Greys, Indices
from .placement import leaks
from .shard_check import belongs, shard_faults, shard_of
from .sight import small_grey
from .spool import GreysOf, spooled

BATCH = 256  # copies handed to the threads at once
SHOWN = 20  # lines of each kind that a person sees
# A written copy's hash differs from its source's by 2 bits of 64 at most (2,055 photos), so two
# copies are called alike only where their sources were surely so.
MARGIN_BITS = 4
SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

KINDS = {
    "missing": "copies that are gone",
    "unreadable": "copies that can't be read",
    "changed": "copies that are not what was written",
    "misplaced": "copies that lie elsewhere than their split says",
    "unknown_file": "files that the manifest does not know",
    "fingerprint": "manifest and dataset.json that do not belong together",
    "empty_class": "classes without a picture in a split",
    "group_leak": "groups that lie in two splits",
    "exact_leak": "copies of one file in two splits",
    "near_leak": "near-copies in two splits",
}


@dataclass(frozen=True)
class Fault:
    """One finding: its kind (see `KINDS`), the path in the data set, and what is wrong."""

    kind: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Look:
    """What one copy holds, or what is wrong with it."""

    sha256: str | None = None
    phash: int | None = None
    mirror: int | None = None
    kind: str | None = None
    detail: str = ""


def check(root: Path | str) -> dict[str, Any]:
    """Compare a DATASET's manifest with its folder, and look for leaks between the splits.

    Returns what `prepare DATASET --check --json` prints. Raises `DatasetError` for a folder that
    is no DATASET or whose manifest is damaged.
    """
    started, data = time.monotonic(), Dataset.open(root)
    rows = [row for row in data.rows if row.kept]
    looks = _look_at_all(data, rows)
    faults = [
        *_copies(rows, looks),
        *starmap(Fault, shard_faults(data.root, rows, data.labels.names)),
        *_strangers(data.root, rows),
        *_records(data, rows),
        *_torn_groups(rows),
        *_same_bytes(rows, looks),
        *_near_copies(data, rows, looks),
    ]
    counts = Counter(fault.kind for fault in faults)
    return {
        "dataset": str(root),
        "pictures": len(rows),
        "faults": len(faults),
        "counts": {kind: counts[kind] for kind in KINDS if counts[kind]},
        "findings": [asdict(fault) for fault in faults],
        "seconds": round(time.monotonic() - started, 2),
    }  # fmt: skip


def report_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """What `check` found, for people: a few lines of each kind, and how many there are."""
    seconds = f"{result['seconds']:.1f} s"
    yield f"Checked  {result['pictures']} pictures of {result['dataset']} ({seconds})"
    for kind, count in result["counts"].items():
        yield f"{count} {kind}: {KINDS[kind]}"
        found = [fault for fault in result["findings"] if fault["kind"] == kind]
        yield from (one_line(f"  {fault['path']}: {fault['detail']}") for fault in found[:SHOWN])
        if count > SHOWN:
            yield f"  ... and {count - SHOWN} more; --json lists all"
    counts = ", ".join(f"{count} {kind}" for kind, count in result["counts"].items())
    good = "none: every copy is there as it was written, and nothing leaks"
    yield f"Faults   {counts or good}"


def _look_at_all(data: Dataset, rows: Sequence[Row]) -> list[_Look]:
    looks = []
    with progress("checking", len(rows)) as advance, ThreadPoolExecutor() as threads:
        for start in range(0, len(rows), BATCH):
            for look in threads.map(lambda row: _look(data, row), rows[start : start + BATCH]):
                looks.append(look)
                advance()
    return looks


def _look(data: Dataset, row: Row) -> _Look:
    place, shard = PurePosixPath(row.file or ""), shard_of(row)
    within = place.parts[:2] == ("images", row.split) and ".." not in place.parts
    if not (belongs(shard, row.split) if shard else within):
        return _Look(kind="misplaced", detail=f"expected below images/{row.split}")
    path = data.picture(row)
    try:
        if not (data.root / (shard or place)).exists():
            return _Look(kind="missing", detail=f"the copy of {row.path} is gone")
        content = read_bytes(path)
        sha256 = hashlib.sha256(content).hexdigest()
        hashes = perceptual_hashes(look_closely(read_image(content))[0])
    except (ImageError, OSError) as error:
        return _Look(kind="unreadable", detail=str(error))
    if row.copy_sha256 not in (None, sha256):
        return _Look(sha256, *hashes, "changed", f"not the copy of {row.path} that was written")
    return _Look(sha256, *hashes)


def _copies(rows: Sequence[Row], looks: Sequence[_Look]) -> Iterator[Fault]:
    for row, look in zip(rows, looks, strict=True):
        if look.kind:
            yield Fault(look.kind, row.file or row.path, look.detail)


def _strangers(root: Path, rows: Sequence[Row]) -> Iterator[Fault]:
    known = {shard_of(row) or row.file for row in rows}
    for parent, folders, names in os.walk(root / "images"):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted((*names, *links)):
            place = (Path(parent) / name).relative_to(root).as_posix()
            if place not in known and name not in SYSTEM_FILES and not name.startswith("._"):
                yield Fault("unknown_file", readable(place), "no row of the manifest names it")


def _records(data: Dataset, rows: Sequence[Row]) -> Iterator[Fault]:
    found = fingerprint(rows)
    if found != data.fingerprint:
        detail = (
            f"its fingerprint is {found[:12]}, dataset.json says {data.fingerprint[:12]}: "
            "rows, labels or splits were changed"
        )
        yield Fault("fingerprint", "manifest.parquet", detail)
    held = {(row.split, row.label) for row in rows}
    for split in SPLITS:
        for label in data.labels.names:
            if (split, label) not in held:
                yield Fault("empty_class", f"images/{split}", f"no picture of the class {label!r}")


def _torn_groups(rows: Sequence[Row]) -> Iterator[Fault]:
    members = defaultdict(list)
    for row in rows:
        members[row.group].append(row)
    for group in leaks(rows):
        own = sorted(members[group], key=lambda row: SPLITS.index(row.split or ""))
        other = own[-1]
        detail = f"in one group with {own[0].file} in {own[0].split}: {len(own)} near-copies"
        yield Fault("group_leak", other.file or other.path, detail)


def _same_bytes(rows: Sequence[Row], looks: Sequence[_Look]) -> Iterator[Fault]:
    """Equal sources or equal copies on two sides; each picture once."""
    first: dict[tuple[str, str], Row] = {}
    order = sorted(range(len(rows)), key=lambda i: SPLITS.index(rows[i].split or ""))
    for i in order:
        row, keys = rows[i], [("source", rows[i].sha256), ("copy", looks[i].sha256)]
        owners = [first.setdefault((what, sha), row) for what, sha in keys if sha]
        other = next((own for own in owners if own.split != row.split), None)
        if other:
            detail = f"the same bytes as {other.file} in {other.split}"
            yield Fault("exact_leak", row.file or row.path, detail)


def _near_copies(data: Dataset, rows: Sequence[Row], looks: Sequence[_Look]) -> Iterator[Fault]:
    """Pictures on two sides that look the same, by the rule that groups them, and that no group
    and no hash of bytes gave away."""
    good = np.array([i for i, look in enumerate(looks) if look.phash is not None], np.int64)
    if len(good) < 2:
        return
    hashes, mirrored = (np.array([getattr(looks[i], name) for i in good], np.uint64)
                        for name in ("phash", "mirror"))  # fmt: skip
    distance = max(0, _near_distance(data) - MARGIN_BITS)
    with _greys(data, Some(rows, good)) as greys:
        near = find_near(hashes, mirrored, greys, None, distance).near
    for family in families_of(len(good), near):
        heads: dict[str | None, int] = {}  # the first picture of each split
        for i in sorted(good[family].tolist(), key=lambda i: SPLITS.index(rows[i].split or "")):
            other = next((j for j in heads.values() if _unsaid(rows, looks, i, j)), None)
            heads.setdefault(rows[i].split, i)
            if other is not None:
                detail = f"looks the same as {rows[other].file} in {rows[other].split}"
                yield Fault("near_leak", rows[i].file or rows[i].path, detail)


@contextmanager
def _greys(data: Dataset, rows: Sequence[Row]) -> Iterator[GreysOf]:
    with ThreadPoolExecutor() as threads:

        def read(places: Indices) -> Greys:
            files = (data.picture(rows[i]) for i in places.tolist())
            return np.stack(list(threads.map(small_grey, files)))

        with spooled(len(rows), read, Path(gettempdir())) as remembered:
            yield remembered


def _near_distance(data: Dataset) -> int:
    distance = data.settings.get("near_distance")
    return distance if isinstance(distance, int) else PrepareConfig().near_distance


def _unsaid(rows: Sequence[Row], looks: Sequence[_Look], a: int, b: int) -> bool:
    one, other = rows[a], rows[b]
    return (
        one.split != other.split
        and (one.group is None or one.group != other.group)
        and (one.sha256 is None or one.sha256 != other.sha256)
        and looks[a].sha256 != looks[b].sha256
    )
