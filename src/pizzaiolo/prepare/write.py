"""The DATASET folder: opened, cleared, filled with copies, and never half-written."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..core.bundle import new_folder, write_text
from ..core.manifest import Row
from ..errors import explain_os_error

UNFINISHED = ".unfinished"
STAGING = "images/.staging"
_OURS = ("dataset.json", "manifest.parquet", "rejected.csv", "report.html")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # of Windows
_MAX_NAME = 120  # bytes; file systems take 255


def open_folder(out: Path) -> Path:
    """An empty folder, or one of an earlier or interrupted run, which is cleared."""
    own = UNFINISHED if (out / UNFINISHED).exists() else "dataset.json"
    folder = new_folder(out, "data set", own)
    write_text(folder / UNFINISHED, "This data set is being written.\n")
    start_clean(folder, marker=False)
    return folder


def start_clean(folder: Path, *, marker: bool = True, quietly: bool = False) -> None:
    """Remove what a run of `prepare` writes, and only that; dataset.json goes first."""
    try:
        for name in _OURS:
            (folder / name).unlink(missing_ok=True)
        if (folder / "images").exists():
            shutil.rmtree(folder / "images")
        if marker:
            (folder / UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        if not quietly:
            raise explain_os_error(error) from None


def finish(folder: Path) -> None:
    """The data set is whole: take the mark away."""
    with suppress(OSError):
        (folder / UNFINISHED).unlink(missing_ok=True)


def place_copies(folder: Path, rows: Sequence[Row], suffix: str) -> list[Row]:
    """Move the copies of kept pictures to images/<split>/<class>/; drop the others."""
    classes = _class_folders({row.label for row in rows})
    taken: set[str] = set()
    placed = []
    try:
        for row in rows:
            if row.kept:
                place = f"images/{row.split}/{classes[row.label]}"
                name = _free_name(f"{place}/{safe_name(Path(row.path).stem)}", suffix, taken)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / STAGING / f"{row.sha256}.{suffix}").replace(folder / name)
                row = replace(row, file=name)
            placed.append(row)
        shutil.rmtree(folder / STAGING)
    except OSError as error:
        raise explain_os_error(error) from None
    return placed


def _class_folders(labels: set[str]) -> dict[str, str]:
    """A folder name for each class; no two alike, ignoring case."""
    taken: set[str] = set()
    return {label: _free_name(safe_name(label), "", taken) for label in sorted(labels)}


def _free_name(stem: str, suffix: str, taken: set[str]) -> str:
    """A name that is not taken yet, ignoring case; it is taken from now on."""
    ending, number = f".{suffix}" if suffix else "", 2
    name = f"{stem}{ending}"
    while name.casefold() in taken:
        name = f"{stem}-{number}{ending}"
        number += 1
    taken.add(name.casefold())
    return name


def safe_name(text: str) -> str:
    """A file name that every system takes: no control characters, separators or devices."""
    name = re.sub(r"[^\w .()+-]", "_", text).strip(". ")
    name = name.encode()[:_MAX_NAME].decode(errors="ignore").rstrip(". ")
    return f"_{name}" if not name or _DEVICES.match(name) else name


def write_rejected(path: Path, rows: Sequence[Row]) -> None:
    """Write rejected.csv: one line per file that was not kept, and why."""
    buffer = io.StringIO()
    columns = ("path", "label", "reason", "detail", "duplicate_of")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows([getattr(row, c) for c in columns] for row in rows if not row.kept)
    write_text(path, buffer.getvalue())
