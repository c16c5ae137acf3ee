"""Files that processes lock: the system frees them however a process ends.

On NFS they hold between machines too, with version 4, or with version 3 where lockd runs (Linux
makes `flock` a lock of the server). A machine that vanishes keeps its locks until its lease is over
with version 4 (90 seconds is usual), until it is back with version 3. Mounted with `nolock` or
`local_lock`, each machine sees its own locks only. A file system without locks is an error.
"""

from __future__ import annotations

import errno
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError

HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)  # what a lock of another's raises

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int, wait: bool) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int, wait: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def take(file: Path, wait: bool = True) -> int:
    """Lock a file, which is made where there is none; closing the handle frees it.

    Without `wait` raises `OSError` where another process, or another holder in this one, has it.
    Raises `StorageError` where the file system knows no locks.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        _lock(handle, wait)
    except OSError as error:
        os.close(handle)
        if error.errno in HELD:
            raise
        raise _no_locks(file, error) from None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _no_locks(file: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{file} can't be locked: {error.strerror or error}",
        hint="choose a folder on a file system with locks; NFS has them with version 4",
    )


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Wait until nobody else has the file locked; hold it."""
    handle = take(file)
    try:
        yield
    finally:
        os.close(handle)


class Lock:
    """A lock of a file as Optuna's journal takes it; a killed process leaves none behind."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.handle = -1

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.handle = take(self.file)
        return True

    def release(self) -> None:
        """Let others have it."""
        os.close(self.handle)


class Life:
    """A sign that this process is alive: a locked file of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = uuid.uuid4().hex
        self.file = folder / self.name
        self.handle = take(self.file)

    def end(self) -> None:
        """Take the sign away."""
        os.close(self.handle)
        self.file.unlink(missing_ok=True)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process that has the sign `name` in `folder` still runs.

    Raises `StorageError` where the file system knows no locks.
    """
    try:
        handle = os.open(folder / name, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        _lock(handle, wait=False)
    except OSError as error:
        if error.errno in HELD:
            return True
        raise _no_locks(folder / name, error) from None
    finally:
        os.close(handle)
    return False
