"""Which pictures are meant: files, folders, globs, stores and lists on stdin, one after the other.

Nothing is collected: of a folder tree only the names of the folders on the way are in memory.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from ..console import log
from ..core.image import SUFFIXES
from ..errors import InputError

if TYPE_CHECKING:
    from ..core.stores import Stored

    # Where a picture lies: on this machine, or in an object store.
    Place: TypeAlias = Path | Stored

STDIN = "-"
_CHUNK = 1 << 16  # bytes read at once from stdin


def expand(inputs: Iterable[str], without: Path | None = None) -> Iterator[Place]:
    """Pictures behind the arguments: files as they are, folders, globs and stores searched, sorted.

    What lies in the folder `without` is left out. Raises `InputError` for an empty name and for
    a folder or glob without pictures.
    """
    for text in inputs:
        if not text:
            raise InputError("a name is empty", hint="expected a picture, a folder or a glob")
        found = False
        for path in _search(text, without):
            found = True
            yield path
        if not found:
            raise InputError(
                f"{text} holds no pictures", hint=f"known: {' '.join(sorted(SUFFIXES))}"
            )


def listed(lines: Iterable[bytes | None], without: Path | None = None) -> Iterator[Place | None]:
    """Pictures behind the lines of a list, as `expand` finds them, and None where more is to come.

    A line that leads to no picture stays as it is, so that it gets its answer. Raises
    `InputError` for a list without any line.
    """
    empty = True
    for line in lines:
        if line is None:
            yield None
        elif line.strip():
            empty = False
            text = os.fsdecode(line)
            found = False
            for path in _search(text, without):
                found = True
                yield path
            if not found:
                yield _lost(text)
    if empty:
        raise InputError("the list on stdin names no picture", hint="expected one path a line")


def lines_of(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines of a stream as they come; None before a wait for more."""
    try:
        handle = stream.fileno()
    except OSError:  # a stream in memory
        yield from (line.rstrip(b"\r\n") for line in stream)
        return
    rest = b""
    while True:
        if not _ready(handle):
            yield None
        chunk = os.read(handle, _CHUNK)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r") for line in whole)
        if not chunk:
            break
    if rest:
        yield rest.rstrip(b"\r")


def _ready(handle: int) -> bool:
    try:
        return bool(select.select([handle], [], [], 0)[0])
    except (OSError, ValueError):  # Windows asks sockets only
        return False


def _search(text: str, without: Path | None) -> Iterator[Place]:
    from glob import glob

    if in_store(text):
        yield from _stored(text)
    elif os.path.isdir(text):
        yield from _walk(Path(text), without)
    elif any(c in text for c in "*?[") and not os.path.exists(text):
        inside = os.path.join(os.path.realpath(without), "") if without else None
        for name in sorted(glob(text, recursive=True)):
            if os.path.isfile(name) and not (inside and os.path.realpath(name).startswith(inside)):
                yield Path(name)
    else:
        yield Path(text)


def in_store(text: str) -> bool:
    """Whether a picture's name is its address in a store."""
    if "://" not in text:  # what knows of stores is loaded for those who ask for one
        return False
    from ..core.stores import is_store

    return is_store(text)


def _lost(text: str) -> Place:
    """A place where nothing is, to be answered."""
    if not in_store(text):
        return Path(text)
    from ..core.stores import Stored

    return Stored(text)


def _stored(uri: str) -> Iterator[Place]:
    """What lies in a store; a picture that isn't there stays to be answered."""
    from ..core.stores import listing

    found = False
    for picture in listing(uri):
        found = True
        yield picture
    if not found and os.path.splitext(uri)[1].lower() in SUFFIXES:
        yield _lost(uri)


def _walk(folder: Path, without: Path | None) -> Iterator[Path]:
    """The pictures of a folder tree by name; links to folders aren't followed."""
    if without and without.exists() and folder.samefile(without):
        return
    try:
        with os.scandir(folder) as entries:
            kept = [
                (entry.name, is_folder)
                for entry in entries
                if (is_folder := entry.is_dir(follow_symlinks=False))
                or os.path.splitext(entry.name)[1].lower() in SUFFIXES
            ]
    except OSError as error:
        log.warning("the folder %s can't be searched: %s", folder, error.strerror)
        return
    for name, is_folder in sorted(kept):
        path = folder / name
        if is_folder:
            yield from _walk(path, without)
        elif not path.is_dir():
            yield path
