"""Label faults that a person marks in the report, as lines of the decisions.csv of `prepare`.

A decision names the label of the source, and a data set is always made with one whole file: the
lines that it was made with go on into the next.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.manifest import Dataset, Row, read_facts
from ...errors import DatasetError

FILE = "decisions.csv"
COLUMNS = ("path", "label", "sha256", "decision", "new_label")
RELABEL = "relabel"

Line = tuple[str, ...]  # one cell for each column


@dataclass(frozen=True)
class Marks:
    """What marking starts from: earlier decisions, and the command that applies all of them.

    `fingerprint` is the data set's: marks that are not saved yet stay with it in the browser.
    """

    lines: Sequence[Line] = ()
    fingerprint: str = ""
    command: str = ""


def read_marks(dataset: Dataset) -> Marks:
    """The decisions that a DATASET was made with, none where there is no sound file; and how."""
    try:
        text = (dataset.root / FILE).read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        lines = tuple(tuple(row[column] for column in COLUMNS) for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        lines = ()
    whole = tuple(line for line in lines if all(isinstance(cell, str) for cell in line))
    return Marks(whole, dataset.fingerprint, _made_by(dataset))


def _made_by(dataset: Dataset) -> str:
    """The command that made a data set; one to fill in where `prepare` did not note it yet."""
    try:
        command = str(read_facts(dataset.root).get("command"))
        if shlex.split(command)[:2] == ["pizzaiolo", "prepare"]:
            return command
    except (DatasetError, ValueError):  # no file of ours; a quote that does not end
        pass
    return replay_command(dataset.root)


def replay_command(dataset: Path | str) -> str:
    """The command that makes a data set again, for a person who knows the source."""
    return f"pizzaiolo prepare SOURCE --out {quoted(dataset)}"


def with_source(command: str, source: str) -> str:
    """A `prepare` command that takes one more source."""
    words = shlex.split(command)
    words.insert(words.index("--out") if "--out" in words else len(words), source)
    return shlex.join(words)


def quoted(word: Path | str) -> str:
    """A word as a shell needs it."""
    return shlex.quote(str(word))


def source_label(row: Row, marks: Marks) -> str:
    """The label that a row has in its source: a decision may have changed it since."""
    for path, label, sha256, decision, new_label in marks.lines:
        if (path, decision, new_label) == (row.path, RELABEL, row.label):
            return label if sha256 in ("", row.sha256) else row.label
    return row.label
