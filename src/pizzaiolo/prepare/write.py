"""The DATASET folder: whose it is, the copies of the pictures, and the list of rejections."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..config import PrepareConfig
from ..core.bundle import atomic_path
from ..core.manifest import Row, is_dataset
from ..core.names import safe_name
from ..errors import StorageError, explain_os_error
from .columns import amend
from .shards import place_in_shards
from .table import Rows

STAGING = "images/.staging"


def refuse_strangers(out: Path) -> None:
    """Raise for a folder whose dataset.json and images/ are not of an earlier data set."""
    if (out / "dataset.json").exists() and not is_dataset(out):
        raise StorageError(
            f"{out / 'dataset.json'} is of no data set that prepare wrote",
            hint="choose an empty or a new folder with --out",
        )


def store_copies(
    folder: Path, rows: Rows, names: Sequence[str], config: PrepareConfig
) -> Sequence[Row]:
    """Put the copies of kept pictures in their place, as files or in shards; drop the others.

    `names` are the classes in order. Returns the rows, of shards in the order of the pictures.
    """
    if config.shards is None:
        place_copies(folder, rows, config.format)
        return rows
    try:
        placed = place_in_shards(folder, folder / STAGING, rows, names, config)
        shutil.rmtree(folder / STAGING)
    except OSError as error:
        raise explain_os_error(error) from None
    return placed


def place_copies(folder: Path, rows: Rows, suffix: str) -> None:
    """Move the copies of kept pictures to images/<split>/<class>/; drop the others."""
    classes = _class_folders({row.label for row in rows})
    taken: set[int] = set()
    made: set[str] = set()
    try:
        for i, row in enumerate(rows):
            if row.kept:
                place = f"images/{row.split}/{classes[row.label]}"
                name = _free_name(
                    f"{place}/{safe_name(PurePosixPath(row.path).stem)}", suffix, taken
                )
                if place not in made:
                    (folder / place).mkdir(parents=True, exist_ok=True)
                    made.add(place)
                os.replace(f"{folder}/{STAGING}/{row.sha256}.{suffix}", f"{folder}/{name}")
                amend(rows, i, file=name)
        shutil.rmtree(folder / STAGING)
    except OSError as error:
        raise explain_os_error(error) from None


def _class_folders(labels: set[str]) -> dict[str, str]:
    """A folder name for each class; no two alike, ignoring case."""
    taken: set[int] = set()
    return {label: _free_name(safe_name(label), "", taken) for label in sorted(labels)}


def _free_name(stem: str, suffix: str, taken: set[int]) -> str:
    """A name that is not taken yet, ignoring case; it is taken from now on."""
    ending, number = f".{suffix}" if suffix else "", 2
    name = f"{stem}{ending}"
    while (key := _short(name.casefold())) in taken:
        name = f"{stem}-{number}{ending}"
        number += 1
    taken.add(key)
    return name


def _short(name: str) -> int:
    """8 bytes that stand for a name; should two share them, one is numbered without need."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def write_rejected(path: Path, rows: Sequence[Row]) -> None:
    """Write rejected.csv, whole or not at all: one line per file that was not kept, and why."""
    columns = ("path", "label", "reason", "detail", "duplicate_of")
    try:
        with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([getattr(row, c) for c in columns] for row in rows if not row.kept)
    except OSError as error:
        raise explain_os_error(error) from None
