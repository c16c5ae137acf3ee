"""`hf:owner/name`: the labelled pictures of a data set of the Hugging Face hub, as a stream.

The files are kept as they are, undecoded, in the cache folder; a later run asks for none of them
again, and one that was cut off goes on where it stopped.
"""

from __future__ import annotations

import gc
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import fsspec  # type: ignore[import-untyped]

from ...config import PrepareConfig
from ...console import progress
from ...core.bundle import cache_folder, write_text
from ...errors import SourceError
from ..candidate import Candidate
from .hub_columns import class_names, find_columns, label_text
from .ledger import Entry, Ledger, Place
from .tables import SPLIT_NAMES

REASON = "download_failed"
MAX_CLASSES = 1000  # a column of texts with more different values is no label
MARK_EVERY = 100  # rows
PATIENCE = 1000  # rows without any label at the start of a split: the rest is not read
_SPEC = re.compile(r"hf:([^:#]+)(?::([^#]+))?(?:#(.+))?")
_CHAIN = re.compile(r"(?:zip://[^:]*::)?([^:]+|hf://[^:]+)")  # a file, or a file in an archive
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class HubSource:
    """What `hf:NAME:SUBSET#COLUMN,COLUMN` says; the last two parts may be missing."""

    name: str
    subset: str | None
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, source: str) -> HubSource:
        """Raises `SourceError` for a text that names no data set."""
        found = _SPEC.fullmatch(source)
        if not found or not (_NAME.fullmatch(found[1]) or Path(found[1]).is_dir()):
            raise SourceError(
                f"{source!r} names no data set", hint="expected hf:owner/name, hf:owner/name:subset"
            )
        columns = tuple(name.strip() for name in (found[3] or "").split(",") if name.strip())
        return cls(found[1], found[2], columns)

    def __str__(self) -> str:
        return f"hf:{self.name}" + (f":{self.subset}" if self.subset else "")

    def folder(self, per_class: int) -> Path:
        """Where its pictures are kept: one place for what was asked for."""
        files = sorted(p for p in Path(self.name).rglob("*") if p.is_file())  # none: on the hub
        state = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
        key = json.dumps([self.name, self.subset, self.columns, per_class, state])
        return cache_folder() / "hub" / sha256(key.encode()).hexdigest()[:20]


def read_hub(source: str, config: PrepareConfig, notes: list[str]) -> Iterator[Candidate]:
    """At most `config.per_class` pictures of each class, of each split where it has several.

    The first ones of the stream, in its order. Adds to `notes` what was left out. Raises
    `SourceError` for a data set that is not there, or whose columns are not clear.
    """
    wanted = HubSource.parse(source)
    folder = wanted.folder(config.per_class)
    splits, left_out = _plan(folder / "splits.json", wanted)
    notes.extend(left_out)
    for name, split in splits.items():
        ledger = Ledger.open(folder / f"{name}.jsonl")
        if not ledger.place.done:
            _Stream(wanted, name, ledger, config).read(folder / name)
            gc.collect()  # the library's open files lie in circles: let them go while Arrow lives
        if ledger.place.unlabelled:
            some = f"{ledger.place.unlabelled} pictures without a label"
            notes.append(f"{some} in the split {name} of {wanted} are left out")
        for entry in ledger.entries:
            yield Candidate(
                folder / name / entry.file,
                f"{wanted}/{name}/{entry.file}",
                entry.label,
                split,
                fault=(REASON, entry.fault) if entry.fault else None,
            )


def _plan(path: Path, wanted: HubSource) -> tuple[dict[str, str | None], list[str]]:
    """Which splits are read and what they are for us; kept, so that a later run asks nobody."""
    if not path.is_file():
        write_text(path, json.dumps(plan_splits(list(_load(wanted)), str(wanted))))
    splits, notes = json.loads(path.read_text(encoding="utf-8"))
    return splits, notes


def plan_splits(names: Sequence[str], source: str) -> tuple[dict[str, str | None], list[str]]:
    """Our split by the data set's own name, None where `prepare` decides; and a note.

    Its split counts where it has two or more of train, validation and test.
    """
    known = {name: SPLIT_NAMES[name.lower()] for name in names if name.lower() in SPLIT_NAMES}
    if len(set(known.values())) > 1:
        others = [name for name in names if name not in known]
        note = f"{source} has the further splits {', '.join(others)}, which are left out"
        return {**known}, [note] if others else []
    note = f"{source} has the splits {', '.join(names)}, which are taken together"
    return dict.fromkeys(names), [note] if len(names) > 1 else []


def _load(wanted: HubSource) -> Mapping[str, Any]:
    """The splits as streams. No code of the data set is run and nothing is unpickled."""
    with _explained(wanted):
        streams: Mapping[str, Any] = datasets.load_dataset(
            wanted.name, wanted.subset, streaming=True
        )
    return streams


@contextmanager
def _explained(wanted: HubSource) -> Iterator[None]:
    """Around calls of the library only: it raises many kinds, from many packages."""
    try:
        yield
    except _NoPictureError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = (lines or [type(error).__name__])[0][:300]
        hint = "check the name; a private data set needs `hf auth login`"
        if isinstance(error, ConnectionError):
            hint = "check the connection and try again: it goes on where it stopped"
        elif isinstance(error, ValueError):
            hint = "a subset is named like this: hf:owner/name:SUBSET"
        raise SourceError(f"{wanted} can't be read: {why}", hint=hint) from None


class _Stream:
    """One split, read from where its ledger ends."""

    def __init__(
        self, wanted: HubSource, split: str, ledger: Ledger, config: PrepareConfig
    ) -> None:
        self._wanted, self._split, self._ledger, self._config = wanted, split, ledger, config
        stream = _load(wanted)[split]
        self._picture, self._label = find_columns(stream.features, wanted.columns, str(wanted))
        self._names = class_names(stream.features[self._label])
        with _explained(wanted):
            # Not cast_column: a stream from the hub may have been set up to decode already.
            self._stream = stream.decode(False).select_columns([self._picture, self._label])
            if ledger.place.state:
                self._stream.load_state_dict(ledger.place.state)

    def read(self, folder: Path) -> None:
        """Write the pictures into `folder` until each class has enough or the split ends."""
        folder.mkdir(parents=True, exist_ok=True)
        taken = Counter(entry.label for entry in self._ledger.entries)
        rows, unlabelled = self._ledger.place.rows, self._ledger.place.unlabelled
        with (
            self._ledger.going_on() as file,
            progress(f"reading {self._wanted} {self._split}") as advance,
        ):
            for example in self._examples():
                label = label_text(example[self._label], self._names)
                if label is None:
                    unlabelled += 1
                elif taken[label] < self._config.per_class:
                    taken[label] += 1
                    self._ledger.add(file, self._keep(example[self._picture], rows, label, folder))
                    advance()
                rows += 1
                if self._is_enough(taken) or unlabelled == rows == PATIENCE:
                    break
                if rows % MARK_EVERY == 0:
                    place = Place(rows, unlabelled, self._stream.state_dict())
                    self._ledger.mark(file, place)
            self._ledger.mark(file, Place(rows, unlabelled, done=True))

    def _examples(self) -> Iterator[dict[str, Any]]:
        examples = iter(self._stream)
        while True:
            with _explained(self._wanted):
                example = next(examples, None)
            if example is None:
                return
            yield example

    def _is_enough(self, taken: Counter[str]) -> bool:
        if self._names is not None:
            return all(taken[name] >= self._config.per_class for name in self._names)
        if len(taken) > MAX_CLASSES:
            raise SourceError(
                f"the column {self._label!r} of {self._wanted} holds over {MAX_CLASSES} different "
                "values, which are no classes",
                hint="name the column of the labels: hf:owner/name#COLUMN",
            )
        return False

    def _keep(self, value: Any, row: int, label: str, folder: Path) -> Entry:
        value = value or {}
        suffix = PurePosixPath((value.get("path") or "").partition("::")[0]).suffix
        suffix = suffix if re.fullmatch(r"\.\w{1,5}", suffix) else ""
        entry = Entry(row, label, f"{row:08}{suffix}")
        try:
            data = self._content(value)
        except _NoPictureError as error:
            return Entry(row, label, entry.file, str(error))
        (folder / entry.file).write_bytes(data)
        return entry

    def _content(self, value: Mapping[str, Any]) -> bytes:
        """The file's own bytes: from the row, the hub or the data set's folder, nowhere else."""
        limit = self._config.max_bytes
        data, path = value.get("bytes"), value.get("path") or ""
        if data is None:
            chain = _CHAIN.fullmatch(path)
            if not chain or not (chain[1].startswith("hf://") or _lies_in(chain[1], self._wanted)):
                raise _NoPictureError("the data set holds no file here")
            with _explained(self._wanted):
                try:
                    with fsspec.open(path, "rb") as file:
                        data = file.read(limit + 1)
                except FileNotFoundError:
                    raise _NoPictureError("its file is missing") from None
        if len(data) > limit:
            raise _NoPictureError(f"larger than {limit:,} bytes")
        return bytes(data)


class _NoPictureError(Exception):
    """One picture that can't be had."""


def _lies_in(path: str, wanted: HubSource) -> bool:
    """Whether a file lies in the data set's own folder: its rows may name any other file."""
    real, root = os.path.realpath(path), os.path.realpath(wanted.name)
    return os.path.isdir(root) and real.startswith(root + os.sep)
