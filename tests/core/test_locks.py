"""Locks of files, and the signs of life that are made of them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from pizzaiolo.core import locks
from pizzaiolo.core.locks import Life, is_alive, take
from pizzaiolo.errors import StorageError

HOLD = """
import sys; from pathlib import Path; from pizzaiolo.core.locks import Life
print(Life(Path(sys.argv[1])).name, flush=True); sys.stdin.read()
"""


def test_a_process_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        (sys.executable, "-c", HOLD, str(tmp_path)),
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        name = process.stdout.readline().strip()
        assert name and is_alive(tmp_path, name)
        process.kill()
        process.wait()
        assert not is_alive(tmp_path, name)


def test_a_life_of_this_process_ends_with_its_file(tmp_path: Path) -> None:
    life = Life(tmp_path / "lives")
    assert is_alive(tmp_path / "lives", life.name)
    life.end()
    assert not is_alive(tmp_path / "lives", life.name) and not life.file.exists()


def test_a_file_system_without_locks_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pain: its error counted as a lock of another's, so that the dead lived for ever."""
    life = Life(tmp_path)

    def refused(handle: int, wait: bool) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", refused)
    for attempt in (lambda: take(tmp_path / "file"), lambda: is_alive(tmp_path, life.name)):
        with pytest.raises(StorageError, match="can't be locked: No locks available"):
            attempt()
    monkeypatch.undo()
    life.end()
