"""`s3://bucket/folder`, `gs://bucket/folder`: class folders of an object store.

What arrives whole is kept in the cache folder under the hash of its address, size and time, so a
later run fetches only what is new or has changed. What the store refuses to give is a fault.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...config import PrepareConfig
from ...console import progress
from ...core.bundle import atomic_path, cache_folder
from ...core.stores import Stored, listing, read
from ...errors import ImageError, SourceError
from ..candidate import Candidate, one_line
from .tables import SPLIT_NAMES

REASON = "download_failed"
Fault = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Object:
    """A file of the store and the parts of its name below the source."""

    stored: Stored
    parts: tuple[str, ...]

    def hidden(self, depth: int) -> bool:
        """Whether one of the first folders has a name that hides it."""
        return any(part.startswith((".", "__MACOSX")) for part in self.parts[:-1][:depth])


def read_store(
    source: str, config: PrepareConfig, notes: list[str], prefix: str = ""
) -> Iterator[Candidate]:
    """The pictures of the class folders at an address, fetched into the cache folder.

    Folders may lie in folders of the split. Raises `SourceError` where there are none, and the
    errors of `listing` and `read` for a store that refuses or doesn't answer.
    """
    root = source.rstrip("/")
    every = [_Object(s, _parts(s.uri, root)) for s in listing(source, every=True)]
    splits = _splits([found for found in every if not found.hidden(1)])
    depth = 2 if splits else 1
    shown = [found for found in every if not found.hidden(depth)]
    if len(shown) < len(every):
        notes.append(one_line(f"{len(every) - len(shown)} files of hidden folders are left out"))
    inside = [found for found in shown if len(found.parts) > depth]
    if not inside:
        raise SourceError(
            f"{source} holds {'no class folders' if every else 'nothing'}",
            hint="expected one folder per class, with its pictures inside",
        )
    if loose := len(shown) - len(inside):
        notes.append(one_line(f"{loose} files beside the class folders of {source} are left out"))
    faults = fetch_all((found.stored for found in inside), config, len(inside))
    for found, fault in zip(inside, faults, strict=True):
        label, split = found.parts[depth - 1], splits.get(found.parts[0])
        file, path = kept_at(found.stored), prefix + "/".join(found.parts)
        yield Candidate(file, path, label, split, fault=fault)


def _parts(uri: str, root: str) -> tuple[str, ...]:
    return tuple(uri.removeprefix(root).strip("/").split("/"))


def _splits(found: Sequence[_Object]) -> dict[str, str]:
    """First folders that are named like splits and hold class folders; none where they are
    classes."""
    deepest = Counter[str]()
    for each in found:
        if len(each.parts) > 1:
            deepest[each.parts[0]] = max(deepest[each.parts[0]], len(each.parts))
    named = {n: SPLIT_NAMES[n.lower()] for n in deepest if n.lower() in SPLIT_NAMES}
    all_there = len(named) == len(deepest) and len(set(named.values())) > 1
    return named if all_there and all(deepest[name] > 2 for name in named) else {}


def kept_at(stored: Stored) -> Path:
    """Where a picture of a store lies once it is fetched; another where it has changed."""
    told = f"{stored.uri}\0{stored.size}\0{stored.modified_ns}"
    name = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder() / "downloads" / name


def fetch_all(
    wanted: Iterable[Stored], config: PrepareConfig, count: int
) -> Iterator[Fault | None]:
    """Fetch what is not here yet, several at once; for each its fault (reason, detail), in order.

    Raises what `read` raises for a store that doesn't answer; what has arrived is kept.
    """
    pool = ThreadPoolExecutor(config.download_connections)
    jobs = (pool.submit(_fetch, stored, config.max_bytes) for stored in wanted)
    try:
        with progress("downloading", count) as advance:
            waiting: deque[Future[Fault | None]] = deque()
            waiting.extend(islice(jobs, 4 * config.download_connections))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(islice(jobs, 1))
                advance()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _fetch(stored: Stored, limit: int) -> Fault | None:
    place = kept_at(stored)
    if place.is_file():
        return None
    try:
        data = read(stored.uri, limit)
    except ImageError as error:
        return REASON, error.message
    with atomic_path(place) as part:
        part.write_bytes(data)
    return None
