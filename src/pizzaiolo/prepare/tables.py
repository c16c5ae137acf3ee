"""Tables of pictures: CSV, TSV, JSON lines or Parquet with `path`, `label`, `split`, `group`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.manifest import SPLITS, arrow
from ..errors import SourceError, nearest

COLUMNS = ("path", "label", "split", "group")
_NAMES = {"val": "validation", "valid": "validation"}
TableRow = tuple[Path, str, str, str | None, str | None]


def is_table(path: Path) -> bool:
    """Whether the name is that of a table."""
    return path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet")


def read_table(table: Path) -> Iterator[TableRow]:
    """Rows (file, path, label, split, group); paths are relative to the table's folder.

    Raises `SourceError` naming the line for a missing column or value.
    """
    for number, row in enumerate(_rows(table), start=1):
        if "url" in row and "path" not in row:
            raise SourceError(
                f"{table.name} has a column 'url', and this version reads local files only",
                hint="download the pictures and give their 'path'",
            )
        for column in ("path", "label"):
            if not str(row.get(column) or "").strip():
                what = "has no column" if column not in row else f"row {number} has an empty"
                raise SourceError(
                    f"{table.name} {what} {column!r}",
                    hint=f"columns found: {', '.join(map(str, row))}; expected path and label",
                )
        path = str(row["path"])
        split = _split(table, number, row.get("split"))
        group = str(row["group"]) if row.get("group") not in (None, "") else None
        yield table.parent / path, path, str(row["label"]), split, group


def _split(table: Path, number: int, value: Any) -> str | None:
    if value in (None, ""):
        return None
    name = _NAMES.get(str(value).lower(), str(value).lower())
    if name not in SPLITS:
        raise SourceError(
            f"{table.name} row {number} has split {value!r}", hint=nearest(name, SPLITS)
        )
    return name


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    try:
        if table.suffix.lower() == ".parquet":
            yield from arrow()[1].read_table(table).to_pylist()
        elif table.suffix.lower() == ".jsonl":
            yield from _json_lines(table)
        else:
            delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
            with table.open(newline="", encoding="utf-8-sig") as file:
                yield from csv.DictReader(file, delimiter=delimiter)
    except (ValueError, csv.Error) as error:  # ArrowInvalid and UnicodeDecodeError are ValueErrors
        raise SourceError(f"{table} can't be read: {error}") from None


def _json_lines(table: Path) -> Iterator[dict[str, Any]]:
    with table.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"expected one object per line, received {row!r}")
                yield row
