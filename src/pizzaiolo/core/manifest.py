"""The manifest: one row per source picture, kept or not, with its reason; and the DATASET."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DatasetError, require
from .bundle import atomic_path, write_text
from .labels import Labels

SPLITS = ("train", "validation", "test")
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One source picture. Sides are upright pixels; `phash` is 16 hexadecimal digits."""

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
    duplicate_of: str | None = None
    phash: str | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    outlier: float | None = None
    label_suspect: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the picture is part of the data set."""
        return self.status == "kept"


COLUMNS = tuple(f.name for f in fields(Row))
_WHOLE = {"bytes", "width", "height"}
_REAL = {"brightness", "contrast", "sharpness", "outlier", "label_suspect"}


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write `manifest.parquet`, whole or not at all."""
    pa, pq = arrow()
    kinds = [
        pa.int64() if name in _WHOLE else pa.float64() if name in _REAL else pa.string()
        for name in COLUMNS
    ]
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist([asdict(r) for r in rows], schema=schema), temporary)


def read_rows(path: Path) -> list[Row]:
    """Read `manifest.parquet`; unknown columns of a later version are ignored."""
    pa, pq = arrow()
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"can't read {path}: {error}", hint=_HINT) from None
    names = [name for name in COLUMNS if name in table.column_names]
    if "path" not in names or "label" not in names:
        raise DatasetError(f"{path} lacks the columns path and label", hint=_HINT)
    return [Row(**values) for values in table.select(names).to_pylist()]


def arrow() -> tuple[Any, Any]:
    """pyarrow and its parquet module, or the error that says how to install them."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise require("pyarrow", "train") from None
    return pa, pq


_HINT = "pizzaiolo prepare SOURCE --out DATASET makes one"


@dataclass(frozen=True)
class Dataset:
    """A DATASET folder: classes in order, settings, fingerprint and the manifest's rows."""

    root: Path
    labels: Labels
    settings: dict[str, Any]
    fingerprint: str
    rows: tuple[Row, ...]

    @classmethod
    def open(cls, root: Path | str) -> Dataset:
        """Read a DATASET; raises `DatasetError` with a hint for any other folder."""
        root = Path(root)
        facts = _read_facts(root)
        rows = tuple(read_rows(root / "manifest.parquet"))
        labels = Labels(tuple(facts["classes"]), positive=facts.get("positive"))
        dataset = cls(root, labels, facts.get("settings", {}), facts["fingerprint"], rows)
        strangers = {r.label for r in rows if r.kept} - set(labels.names)
        if strangers:
            raise DatasetError(f"the manifest holds classes {sorted(strangers)} of no dataset.json")
        return dataset

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


def _read_facts(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    if not path.is_file():
        what = "is not a folder" if not root.is_dir() else "has no dataset.json"
        raise DatasetError(f"{root} {what}, expected a DATASET", hint=_HINT)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version, _, _ = facts["format_version"], facts["classes"], facts["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
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
