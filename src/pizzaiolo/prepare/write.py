"""The DATASET folder: whose it is, the copies of the pictures, and the list of rejections."""

from __future__ import annotations

import csv
import io
import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..core.bundle import write_text
from ..core.manifest import Row, is_dataset
from ..errors import StorageError, explain_os_error

STAGING = "images/.staging"
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # of Windows
_MAX_NAME = 120  # bytes; file systems take 255


def refuse_strangers(out: Path) -> None:
    """Raise for a folder whose dataset.json and images/ are not of an earlier data set."""
    if (out / "dataset.json").exists() and not is_dataset(out):
        raise StorageError(
            f"{out / 'dataset.json'} is of no data set that prepare wrote",
            hint="choose an empty or a new folder with --out",
        )


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
    name = re.sub(r"[^\w .()+-]", "_", unicodedata.normalize("NFC", text)).strip(". ")
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
