"""Tables of pictures: CSV, TSV, JSON lines or Parquet with `path`, `label`, `split`, `group`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ..core.manifest import SPLITS
from ..errors import SourceError, explain_os_error, nearest

COLUMNS = ("path", "label", "split", "group")
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_UNFIT = re.compile(r"[\0\ud800-\udfff]")  # no file name and no UTF-8 text holds these
TableRow = tuple[Path, str, str, str | None, str | None]


def is_table(path: Path) -> bool:
    """Whether the name is that of a table."""
    return path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet")


def read_table(table: Path) -> Iterator[TableRow]:
    """Rows (file, path, label, split, group); paths are relative to the table's folder.

    Raises `SourceError` naming the row for an unknown column, a missing column or a value.
    """
    for number, row in enumerate(_rows(table), start=1):
        _check_columns(table, number, row)
        values = {column: _text(table, number, column, row.get(column)) for column in COLUMNS}
        for column in ("path", "label"):
            if not values[column]:
                raise SourceError(
                    f"{table.name} row {number} has an empty {column!r}",
                    hint="every picture needs a path and a label",
                )
        path = values["path"]
        split = _split(table, number, values["split"])
        group = values["group"] or None
        yield table.parent / path, Path(path).as_posix(), values["label"], split, group


def _text(table: Path, number: int, column: str, value: Any) -> str:
    """A cell as text; none, empty and not-a-number are empty, 0 is not."""
    text = "" if value is None or value != value else str(value).strip()
    if isinstance(value, (list, dict, bytes)) or _UNFIT.search(text):
        raise SourceError(
            f"{table.name} row {number} has the {column} {value!r}", hint="expected plain text"
        )
    return text


def _check_columns(table: Path, number: int, row: dict[str, Any]) -> None:
    names = [str(name) for name in row if name is not None]
    if None in row:
        raise SourceError(
            f"{table.name} row {number} has more cells than there are columns",
            hint='put a path or label that holds a comma into "quotes"',
        )
    if "url" in names:
        raise SourceError(
            f"{table.name} has a column 'url': not yet, this version reads local files only",
            hint="download the pictures and give their 'path'",
        )
    for name in names:
        if name not in COLUMNS:
            raise SourceError(
                f"{table.name} has an unknown column {name!r}", hint=nearest(name, COLUMNS)
            )
    for column in ("path", "label"):
        if column not in names:
            raise SourceError(
                f"{table.name} has no column {column!r}",
                hint=f"columns found: {', '.join(names)}; expected path and label",
            )


def _split(table: Path, number: int, value: str) -> str | None:
    if not value:
        return None
    name = SPLIT_NAMES.get(value.lower())
    if name is None:
        raise SourceError(
            f"{table.name} row {number} has split {value!r}", hint=nearest(value.lower(), SPLITS)
        )
    return name


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    try:
        if table.suffix.lower() == ".parquet":
            yield from pq.read_table(table).to_pylist()
        elif table.suffix.lower() == ".jsonl":
            yield from _json_lines(table)
        else:
            delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
            with table.open(newline="", encoding="utf-8-sig") as file:
                yield from csv.DictReader(file, delimiter=delimiter)
    except UnicodeDecodeError as error:
        raise SourceError(f"{table} can't be read: {error}", hint="save it as UTF-8") from None
    except (ValueError, csv.Error, RecursionError) as error:  # ArrowInvalid is a ValueError
        raise SourceError(f"{table} can't be read: {error}") from None
    except OSError as error:
        raise explain_os_error(error) from None


def _json_lines(table: Path) -> Iterator[dict[str, Any]]:
    with table.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number}: {error.msg}") from None
                if not isinstance(row, dict):
                    raise ValueError(f"line {number}: expected an object, received {row!r}")
                yield row
