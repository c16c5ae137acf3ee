"""The manifest: one row per source picture, kept or not, with its reason; and the DATASET."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DatasetError, UsageError, explain_os_error
from .bundle import atomic_path, write_text
from .labels import Labels

SPLITS = ("train", "validation", "test")
FORMAT_VERSION = 1
ROWS_AT_ONCE = 4096  # of the manifest, while it is written


@dataclass(frozen=True, slots=True)
class Row:
    """One source picture. Sides are upright pixels; `phash` is 16 hexadecimal digits.

    `captured` (ISO 8601, the camera's clock) and `camera` are EXIF facts. `quality` lists what
    the pixels suffer from, as `blurry, dark`. `outlier` and `label_suspect` are set for flagged
    pictures only, 0 to 1, the higher the surer; `suggested` is the label that looks right.
    """

    path: str
    label: str
    status: str = "kept"
    reason: str | None = None
    detail: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    group: str | None = None
    split: str | None = None
    file: str | None = None
    copy_sha256: str | None = None
    duplicate_of: str | None = None
    phash: str | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    captured: str | None = None
    camera: str | None = None
    quality: str | None = None
    outlier: float | None = None
    label_suspect: float | None = None
    suggested: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the picture is part of the data set."""
        return self.status == "kept"


COLUMNS = tuple(f.name for f in fields(Row))
_WHOLE = {"bytes", "width", "height"}
_REAL = {"brightness", "contrast", "sharpness", "outlier", "label_suspect"}


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write `manifest.parquet`, whole or not at all."""
    schema = _schema(COLUMNS)
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, max(1, len(rows)), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            columns = {name: [getattr(row, name) for row in part] for name in COLUMNS}
            writer.write_table(pa.table(columns, schema=schema))


def _schema(names: Sequence[str]) -> Any:
    kinds = [
        pa.int64() if name in _WHOLE else pa.float64() if name in _REAL else pa.string()
        for name in names
    ]
    return pa.schema(list(zip(names, kinds, strict=True)))


def read_rows(path: Path) -> list[Row]:
    """Read `manifest.parquet`; unknown columns of a later version are ignored."""
    try:
        with pq.ParquetFile(path) as file:  # pq.read_table would load pandas
            table = file.read()
        names = [name for name in COLUMNS if name in table.column_names]
        table = table.select(names).cast(_schema(names))
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"can't read {path}: {error}", hint=_HINT) from None
    if not {"path", "label"} <= set(names) or table["path"].null_count or table["label"].null_count:
        raise DatasetError(f"{path} lacks paths or labels", hint=_HINT)
    return [Row(**values) for values in table.to_pylist()]


def read_columns(path: Path, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Some columns of a `manifest.parquet`, row by row, a few thousand in memory at a time."""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(names)):
                table = batch.cast(_schema(names)).to_pydict()
                yield from zip(*(table[name] for name in names), strict=True)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"can't read {path}: {error}", hint=_HINT) from None


_HINT = "pizzaiolo prepare SOURCE --out DATASET makes one"


@dataclass(frozen=True)
class Dataset:
    """A DATASET folder: classes in order, settings, fingerprint and the manifest's rows."""

    root: Path
    labels: Labels
    settings: dict[str, Any]
    fingerprint: str
    rows: Sequence[Row]

    @classmethod
    def open(cls, root: Path | str) -> Dataset:
        """Read a DATASET; raises `DatasetError` with a hint for any other folder."""
        root = Path(root)
        facts = read_facts(root)
        rows = tuple(read_rows(root / "manifest.parquet"))
        try:
            labels = Labels(facts["classes"], positive=facts.get("positive"))
        except UsageError as error:
            raise DatasetError(f"{root / 'dataset.json'} is damaged: {error}", hint=_HINT) from None
        kept = [row for row in rows if row.kept]
        _check_known("classes", {row.label for row in kept}, labels.names)
        _check_known("splits", {row.split for row in kept}, SPLITS)
        return cls(root, labels, facts.get("settings", {}), facts["fingerprint"], rows)

    def split(self, name: str) -> list[Row]:
        """The kept rows of one split, in the manifest's order."""
        return [row for row in self.rows if row.kept and row.split == name]

    def picture(self, row: Row) -> Path:
        """Where the upright copy of a kept row lies."""
        if row.file is None:
            raise DatasetError(f"{row.path} has no picture in {self.root}")
        return self.root / row.file

    def counts(self) -> dict[str, int]:
        """Kept pictures per split."""
        found = Counter(row.split for row in self.rows if row.kept)
        return {name: found[name] for name in SPLITS}

    def save(self, extra: dict[str, Any]) -> None:
        """Write `manifest.parquet`, then `dataset.json`: a folder without the latter is none."""
        write_rows(self.rows, self.root / "manifest.parquet")
        facts = {
            "format_version": FORMAT_VERSION,
            "classes": list(self.labels.names),
            "positive": self.labels.positive,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "splits": self.counts(),
            **extra,
        }
        write_text(self.root / "dataset.json", json.dumps(facts, indent=2, ensure_ascii=False))


def is_dataset(root: Path) -> bool:
    """Whether a folder holds what `prepare` wrote: any other dataset.json is a stranger's."""
    try:
        return bool(read_facts(root))
    except DatasetError:
        return False


def _check_known(what: str, found: Set[str | None], known: Sequence[str]) -> None:
    if strangers := sorted(map(str, found - set(known))):
        raise DatasetError(f"the manifest holds the {what} {strangers}, expected {known}")


def read_facts(root: Path) -> dict[str, Any]:
    """What `dataset.json` says; raises `DatasetError` where it is none of a DATASET."""
    path = root / "dataset.json"
    if not path.is_file():
        what = "is not a folder" if not root.is_dir() else "has no dataset.json"
        raise DatasetError(f"{root} {what}, expected a DATASET", hint=_HINT)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version, _, _ = int(facts["format_version"]), facts["classes"], facts["fingerprint"]
    except OSError as error:
        raise explain_os_error(error) from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged: {error}", hint=_HINT) from None
    if version > FORMAT_VERSION:
        raise DatasetError(
            f"{path} has version {version}, this pizzaiolo reads up to {FORMAT_VERSION}",
            hint="pip install --upgrade pizzaiolo",
        )
    return dict(facts)


def fingerprint(rows: Iterable[Row]) -> str:
    """A hash of what is kept: content, label and split of every picture, in any order."""
    lines = sorted(f"{r.sha256} {r.label} {r.split}" for r in rows if r.kept)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
