"""Archives of pictures, unpacked within bounds: no path escapes, no links, no bombs."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

from ...errors import SourceError, explain_os_error

MAX_FILES = 5_000_000
MAX_BYTES = 500_000_000_000
FREE_BYTES = 1_000_000_000  # so much may always come out
MAX_RATIO = 200  # unpacked bytes per packed byte; pictures hardly shrink at all
_TARS = (".tar", ".tar.gz", ".tgz")
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, ValueError,
           NotImplementedError, zlib.error, lzma.LZMAError)  # fmt: skip
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
Member = tuple[str, IO[bytes] | None, int]


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive."""
    return path.name.lower().endswith((".zip", *_TARS))


def unpack(path: Path, stack: ExitStack) -> tuple[Path, int]:
    """A temporary folder with the archive's files, which `stack` removes, and how many entries
    were passed over because they are links, devices or point out of it.

    Raises `SourceError` for a damaged archive or one that is a bomb.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pizzaiolo-")))
    hint = "unpack it by hand, then name the folder"
    try:
        return folder, _unpack_into(folder, path)
    except _DAMAGE as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceError(f"{path} is damaged or locked: {why}", hint=hint) from None
    except OSError as error:
        if error.errno in _STORAGE:
            raise explain_os_error(error) from None
        name = os.path.relpath(error.filename, folder) if error.filename else path.name
        why = f"{error.strerror or error}: {name}"
        raise SourceError(f"{path} can't be unpacked: {why}", hint=hint) from None


def _unpack_into(folder: Path, path: Path) -> int:
    allowed = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * path.stat().st_size))
    total = skipped = 0
    for count, (name, content, size) in enumerate(_members(path), start=1):
        total += size
        if total > allowed or count > MAX_FILES:
            what = f"{MAX_FILES:,} files" if count > MAX_FILES else f"{allowed:,} bytes"
            raise SourceError(f"{path} unpacks to more than {what}, more than pictures would")
        target = _inside(folder, name)
        if content is None or target is None:
            skipped += 1
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)
    return skipped


def _members(path: Path) -> Iterator[Member]:
    """Every entry but folders: name, content, bytes. Links and devices have no content."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if (info.external_attr >> 28) == 0o12:  # a symbolic link
                    yield info.filename, None, 0
                elif not info.is_dir():
                    with archive.open(info) as content:
                        yield info.filename, content, info.file_size
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if member.size < 0:  # would lead back to itself, round and round
                raise tarfile.ReadError(f"{member.name!r} has a negative size")
            opened = tar.extractfile(member) if member.isreg() else None
            if opened is not None:
                with opened:
                    yield member.name, opened, member.size
            elif not member.isdir():
                yield member.name, None, 0
        while tar.fileobj and tar.fileobj.read(1 << 20):
            pass  # a compressed stream ends with its checksum


def _inside(folder: Path, name: str) -> Path | None:
    """Where an entry goes; None for a name that points out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    parts = tuple(p for p in parts if p not in ("/", "//", "."))
    if not parts or ".." in parts or ":" in parts[0]:
        return None
    return folder.joinpath(*parts)
