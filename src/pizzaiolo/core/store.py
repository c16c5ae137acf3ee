"""What can be made again, kept between runs: bytes by key in one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from weakref import finalize

from ..console import log

_AT_ONCE = 500  # keys in one query
_WAIT = 30.0  # for another process that writes, seconds


class Store:
    """A cache in the file `path`. Safe with several processes; a fault never stops the work.

    A damaged file is replaced by an empty one, and one that can't be written keeps nothing; both
    are logged once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._usable = True
        self._reading = threading.local()  # this thread's connection, and which file it reads

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of the keys that are known."""
        found: dict[bytes, bytes] = {}
        if not self.path.is_file():
            return found
        with self._guarded():
            database = self._reader()
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                return found  # another process is making the table
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value FROM entries WHERE key IN ({marks})"
                found.update(database.execute(query, part))
        return found

    def _reader(self) -> sqlite3.Connection:
        """A connection that stays open, for as long as it reads the file that is there now."""
        status = self.path.stat()
        file = (status.st_dev, status.st_ino)
        held: _Held | None = getattr(self._reading, "held", None)
        if held is None or held.file != file:
            held = self._reading.held = _Held(file, self.path)
        return held.database

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep the values, all or none, in place of earlier ones."""
        if not self._usable:
            return
        with self._guarded():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write(items)

    def _write(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        with self._connected() as database, database:
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
            )
            database.executemany("REPLACE INTO entries VALUES (?, ?)", items)

    def _connected(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.path, timeout=_WAIT))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            if self._usable:
                log.warning("the cache %s keeps nothing: %s", self.path, error)
            self._usable = False
        except sqlite3.DatabaseError as error:
            log.warning("the cache %s is damaged and starts anew: %s", self.path, error)
            with suppress(OSError):
                self.path.unlink()


class _Held:
    """A connection that is closed when no one holds it any more."""

    def __init__(self, file: tuple[int, int], path: Path) -> None:
        self.file = file
        self.database = sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)
        finalize(self, self.database.close)
