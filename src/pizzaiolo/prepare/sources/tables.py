"""Tables of pictures: CSV, TSV, JSON lines or Parquet with `path` or `url`, `label`, ..."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from ...core.manifest import SPLITS
from ...errors import SourceError, explain_os_error, nearest

COLUMNS = ("path", "url", "label", "split", "group")
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_BATCH = 10_000  # rows of a Parquet file in memory at once
_UNFIT = re.compile(r"[\0\ud800-\udfff]")  # no file name and no UTF-8 text holds these


class TableRow(NamedTuple):
    """One picture of a table: a file beside the table, or an address where `path` is empty."""

    path: str
    url: str
    label: str
    split: str | None = None
    group: str | None = None


def is_table(path: Path) -> bool:
    """Whether the name is that of a table."""
    return path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet")


def read_table(table: Path) -> Iterator[TableRow]:
    """The rows, one at a time; a `path` is relative to the table's folder and goes before a `url`.

    Raises `SourceError` naming the row for an unknown column, a missing column or a value.
    """
    for number, row in enumerate(_rows(table), start=1):
        _check_columns(table, number, row)
        cell = {column: _text(table, number, column, row.get(column)) for column in COLUMNS}
        places = [column for column in ("path", "url") if column in row]
        found = any(cell[column] for column in places)
        empty = [c for c in (*places, "label") if not (found if c in places else cell[c])]
        if empty:
            raise SourceError(
                f"{table.name} row {number} has an empty {' and '.join(map(repr, empty))}",
                hint="every picture needs a path or a url, and a label",
            )
        path, url = cell["path"], "" if cell["path"] else cell["url"]
        split = _split(table, number, cell["split"])
        yield TableRow(path, url, cell["label"], split, cell["group"] or None)


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
    for name in names:
        if name not in COLUMNS:
            raise SourceError(
                f"{table.name} has an unknown column {name!r}", hint=nearest(name, COLUMNS)
            )
    missing = [] if {"path", "url"} & set(names) else ["'path' or 'url'"]
    missing += [] if "label" in names else ["'label'"]
    if missing:
        raise SourceError(
            f"{table.name} has no column {' and none '.join(missing)}",
            hint=f"columns found: {', '.join(names)}; expected path or url, and label",
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
            with pq.ParquetFile(table) as file:
                for batch in file.iter_batches(_BATCH):
                    yield from batch.to_pylist()
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
