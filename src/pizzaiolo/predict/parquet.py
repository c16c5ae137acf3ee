"""Answers as a Parquet file, written in parts, so that a job that was killed can go on.

While a job runs, its parts lie in `FILE.unfinished`, each whole; at the end they become FILE in one
step. Each path has one row there, its latest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..core.bundle import atomic_path
from ..core.labels import Labels
from ..core.locks import take
from ..core.predictions import LABELS_KEY
from ..core.stores import Stored
from ..errors import InputError, UsageError
from .answer import Answer
from .rows import NUMBERS, columns, plain, row

if TYPE_CHECKING:
    from .sources import Place

MODEL_KEY = b"pizzaiolo_model"  # of the file's metadata: the SHA-256 of the model file
PART_ROWS, PART_SECONDS = 1000, 20.0  # what a killed job has to answer again, at most
GROUP_ROWS = 50_000  # of a row group of the whole file
FACTS = ("bytes", "modified_ns")
_KEY = "S16"  # of a path: 16 bytes of its hash


@dataclass(frozen=True)
class Facts:
    """What a file was when it was read: bytes, and when it was last changed (ns)."""

    size: int | None
    modified_ns: int | None

    @classmethod
    def of(cls, path: Place) -> Facts:
        """The facts of a file; None where there is none."""
        if isinstance(path, Stored):
            return cls(path.size, path.modified_ns)
        try:
            status = path.stat()
        except (OSError, ValueError):
            return cls(None, None)
        return cls(status.st_size, status.st_mtime_ns)


def fingerprint(model: Path) -> str:
    """The SHA-256 of a model file."""
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ParquetRows:
    """Takes answers, keeps them on disk, knows those of an earlier job of the same model.

    Raises `InputError` for a file of another kind or of another model, and `UsageError` for parts
    of an unfinished job that would be lost.
    """

    def __init__(self, path: Path, labels: Labels, model: str, resume: bool) -> None:
        self.path, self.model = path, model
        self.parts = path.with_name(f"{path.name}.unfinished")
        self.schema = _schema(labels, model)
        self.lock: int | None = _locked(self.parts, path)
        try:
            self.earlier = self._earlier(resume)
            self.known = Known(self.earlier)
        except BaseException:
            self._leave()
            raise
        self.number = len(self._numbered())
        self.waiting: list[dict[str, Any]] = []
        self.since = time.monotonic()

    def _numbered(self) -> list[Path]:
        return sorted(self.parts.glob("[0-9]*.parquet"), key=lambda file: int(file.stem))

    def _earlier(self, resume: bool) -> list[Path]:
        parts = self._numbered()
        if parts and not resume:
            raise UsageError(
                f"an unfinished job has left answers in {self.parts}",
                hint=f"--resume goes on with them; to start anew, remove {self.parts}",
            )
        files = [self.path, *parts] if resume and self.path.exists() else parts
        for file in files:
            self._check(file)
        return files

    def _check(self, file: Path) -> None:
        """Raise `InputError` for a file that is none of ours, or of another model."""
        try:
            found = pq.read_schema(file)
        except (OSError, pa.ArrowException) as error:
            raise _stranger(file, str(error).splitlines()[0][:200]) from None
        told = (found.metadata or {}).get(MODEL_KEY)
        if told is None:
            raise _stranger(file, "it doesn't say which model answered")
        if told.decode(errors="replace") != self.model:
            raise InputError(
                f"{file} is of another model, {told[:12].decode(errors='replace')}..., "
                f"and this one is {self.model[:12]}...",
                hint="name the model of that job with --model, or another file with --parquet",
            )
        if found.names != self.schema.names:
            raise _stranger(file, f"it has the columns {', '.join(found.names)}"[:300])

    def unanswered(self, path: Place) -> Facts | None:
        """What the file is now; None where it was answered as it is."""
        facts = Facts.of(path)
        return None if (path, facts) in self.known else facts

    def add(self, answer: Answer, facts: Facts) -> None:
        """Keep an answer; every so often those that wait go to disk together."""
        read = answer.error is None
        kept = {"bytes": facts.size, "modified_ns": facts.modified_ns} if read else {}
        self.waiting.append(row(answer) | kept)
        late = time.monotonic() - self.since > PART_SECONDS
        if late or len(self.waiting) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a part."""
        if self.waiting:
            table = pa.Table.from_pylist(self.waiting, self.schema)
            with atomic_path(self.parts / f"{self.number:06}.parquet") as draft:
                pq.write_table(table, draft)
            self.number += 1
        self.waiting, self.since = [], time.monotonic()

    def finish(self) -> int:
        """Make the parts, and what FILE held, FILE; give the number of its rows."""
        self.flush()
        held = [self.path] if self.path in self.earlier else []
        files = [*held, *self._numbered()]
        keep = _latest(files)
        with atomic_path(self.path) as draft, pq.ParquetWriter(draft, self.schema) as writer:
            for table in _kept(files, keep, self.schema):
                writer.write_table(table)
        self._leave()
        shutil.rmtree(self.parts, ignore_errors=True)
        return int(keep.sum())

    def stop(self) -> int:
        """Leave the parts to `--resume`; give the number of answers that they hold."""
        try:
            self.flush()
        finally:
            self._leave()
        return sum(pq.read_metadata(file).num_rows for file in self._numbered())

    def _leave(self) -> None:
        """Let others have the parts; where there are none, nothing is left."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None
        if not self._numbered():
            shutil.rmtree(self.parts, ignore_errors=True)


class Known:
    """The pictures that were answered, by path, size and time: 32 bytes of memory for each."""

    def __init__(self, files: Iterable[Path]) -> None:
        keys, facts = [np.zeros(0, _KEY)], [np.zeros((0, 2), np.int64)]
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(columns=["path", *FACTS]):
                keys.append(_keys(batch["path"].to_pylist()))
                told = [batch[name].fill_null(-1).to_numpy() for name in FACTS]
                facts.append(np.stack(told, axis=1))
        found, together = np.concatenate(keys), np.concatenate(facts)
        latest = np.flatnonzero(_last(found))
        order = latest[np.argsort(found[latest])]
        self.keys, self.facts = found[order], together[order]

    def __contains__(self, picture: tuple[Place, Facts]) -> bool:
        path, facts = picture
        key = _keys([plain(str(path))])
        place = int(np.searchsorted(self.keys, key)[0])
        if place == len(self.keys) or self.keys[place] != key[0] or facts.size is None:
            return False
        return bool((self.facts[place] == (facts.size, facts.modified_ns)).all())


def _schema(labels: Labels, model: str) -> Any:
    def kind(name: str) -> Any:
        return pa.float64() if name in NUMBERS or name.startswith("p_") else pa.string()

    fields = [(name, kind(name)) for name in columns(labels)]
    facts = {LABELS_KEY: json.dumps(labels.to_dict()).encode(), MODEL_KEY: model.encode()}
    return pa.schema([*fields, *((name, pa.int64()) for name in FACTS)], metadata=facts)


def _locked(folder: Path, path: Path) -> int:
    """Hold the folder; the system frees it however this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return take(folder / "lock", wait=False)
    except OSError:
        raise UsageError(f"another job is writing {path}", hint="name another file") from None


def _keys(paths: list[str]) -> NDArray[np.bytes_]:
    hashes = [hashlib.blake2b(path.encode(), digest_size=16).digest() for path in paths]
    return np.array(hashes, _KEY)


def _last(keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which keys [N] don't come again later."""
    _, places = np.unique(keys[::-1], return_index=True)
    last = np.zeros(len(keys), np.bool_)
    last[len(keys) - 1 - places] = True
    return last


def _latest(files: list[Path]) -> NDArray[np.bool_]:
    """Which rows of all files are the latest of their path."""
    keys = [np.zeros(0, _KEY)]
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(columns=["path"]):
            keys.append(_keys(batch["path"].to_pylist()))
    return _last(np.concatenate(keys))


def _kept(files: list[Path], keep: NDArray[np.bool_], schema: Any) -> Iterator[Any]:
    """The rows that are kept, as tables of a row group each."""
    gathered: list[Any] = []
    start = 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches():
            chosen = keep[start : start + len(batch)]
            start += len(batch)
            gathered.append(batch.filter(pa.array(chosen)).replace_schema_metadata(schema.metadata))
            if sum(map(len, gathered)) >= GROUP_ROWS:
                yield pa.Table.from_batches(gathered, schema)
                gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered, schema)


def _stranger(file: Path, why: str) -> InputError:
    return InputError(
        f"{file} holds no answers to go on with: {why}",
        hint="name a file that `pizzaiolo predict --parquet` wrote, or a new one",
    )
