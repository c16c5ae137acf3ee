"""What was taken from a stream of pictures so far, so that a run that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Entry:
    """One picture: its row in the stream, its label, and its file or what is wrong with it."""

    row: int
    label: str
    file: str
    fault: str | None = None


@dataclass(frozen=True)
class Place:
    """How far the stream was read: rows, those without a label, and where it goes on."""

    rows: int = 0
    unlabelled: int = 0
    state: dict[str, Any] | None = None
    done: bool = False


@dataclass
class Ledger:
    """Entries and the last place, in a file of JSON lines that only grows.

    What was written after the last place is not trusted: it is taken from the stream again.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)
    place: Place = Place()
    _end: int = 0

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Read a ledger up to its last place; one that is absent or damaged is empty."""
        ledger, fresh, end = cls(path), [], 0
        try:
            for line in path.read_bytes().splitlines(keepends=True):
                values, end = json.loads(line), end + len(line)
                if "row" in values:
                    fresh.append(Entry(**values))
                else:
                    ledger.place, ledger._end = Place(**values), end
                    ledger.entries += fresh
                    fresh = []
        except (OSError, ValueError, TypeError):
            pass  # a line that was cut off in the middle, or no file yet
        return ledger

    @contextmanager
    def going_on(self) -> Iterator[IO[bytes]]:
        """The file, open behind the last place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.truncate(self._end)
            yield file

    def add(self, file: IO[bytes], entry: Entry) -> None:
        """Note a picture; it counts once a place is marked."""
        self.entries.append(entry)
        file.write(_line(entry))

    def mark(self, file: IO[bytes], place: Place) -> None:
        """All up to here is taken."""
        self.place = place
        file.write(_line(place))
        file.flush()
        self._end = file.tell()


def _line(value: Entry | Place) -> bytes:
    return json.dumps(asdict(value)).encode() + b"\n"
