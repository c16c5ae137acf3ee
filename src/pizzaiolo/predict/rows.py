"""An answer as a row: the columns of CSV and Parquet, and the CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..console import results
from ..core.bundle import atomic_path
from ..core.labels import Labels
from ..errors import UsageError
from .answer import Answer

STDOUT = "-"
CLASS = "p_"  # before a class's name: the column of its probabilities
TEXTS, NUMBERS = ("path", "label", "verdict", "reason"), ("confidence", "novelty")
ERRORS = ("error_code", "error")


def columns(labels: Labels) -> list[str]:
    """The names of the columns."""
    classes = [f"{CLASS}{name}" for name in labels.names]
    return ["path", "label", "confidence", "verdict", "reason", "novelty", *classes, *ERRORS]


def row(answer: Answer) -> dict[str, Any]:
    """The answer by column; what has no value is left out or None."""
    values = {name: getattr(answer, name) for name in (*TEXTS, *NUMBERS)}
    values["path"] = plain(answer.path or "")
    for name, probability in (answer.probabilities or {}).items():
        values[f"{CLASS}{name}"] = probability
    if answer.error is not None:
        values["error_code"] = answer.error["code"]
        values["error"] = plain(answer.error["message"])
    return values


def plain(text: str) -> str:
    """The text with bytes that are no UTF-8 escaped, as `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def check_suffix(flag: str, file: Path | str, suffix: str) -> None:
    """Raise `UsageError` for another ending: a mistyped name must not cost a person's file."""
    if Path(file).suffix.lower() != suffix:
        raise UsageError(
            f"{flag} {file} ends with {Path(file).suffix or 'nothing'!r}, expected {suffix}",
            hint=f"for example {flag} answers{suffix}",
        )


class CsvRows:
    """Takes answers, writes rows."""

    def __init__(self, stream: TextIO, labels: Labels) -> None:
        self.writer = csv.DictWriter(stream, columns(labels), lineterminator="\n")
        self.writer.writeheader()

    def add(self, answer: Answer) -> None:
        """Write a row."""
        self.writer.writerow(row(answer))


@contextmanager
def csv_rows(file: str, labels: Labels) -> Iterator[CsvRows]:
    """Rows to a CSV file, whole or not at all, or as they come to stdout for `-`."""
    if file == STDOUT:
        yield CsvRows(results(), labels)
        return
    with atomic_path(Path(file)) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        yield CsvRows(stream, labels)
