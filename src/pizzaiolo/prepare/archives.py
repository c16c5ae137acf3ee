"""Archives of pictures, unpacked within bounds: no path escapes, no links, no bombs."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import SourceError, explain_os_error

MAX_FILES = 5_000_000
MAX_BYTES = 500_000_000_000
MAX_RATIO = 200  # unpacked bytes per packed byte; pictures hardly shrink at all
_TARS = (".tar", ".tar.gz", ".tgz")


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive."""
    return path.name.lower().endswith((".zip", *_TARS))


def unpack(path: Path, stack: ExitStack) -> Path:
    """Unpack into a temporary folder that `stack` removes; raises `SourceError`."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pizzaiolo-")))
    allowed = min(MAX_BYTES, max(1_000_000_000, MAX_RATIO * path.stat().st_size))
    try:
        total = 0
        for count, (name, content, size) in enumerate(_members(path), start=1):
            total += size
            if total > allowed or count > MAX_FILES:
                raise SourceError(
                    f"{path} unpacks to more than {allowed:,} bytes or too many files"
                )
            _write(folder, name, content)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
        raise SourceError(f"{path} is damaged or locked: {error}") from None
    except OSError as error:
        raise explain_os_error(error) from None
    return folder


def _members(path: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    """Ordinary files only: links, devices and folders are passed over."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                is_link = (info.external_attr >> 28) == 0o12
                if not info.is_dir() and not is_link:
                    with archive.open(info) as content:
                        yield info.filename, content, info.file_size
        return
    with tarfile.open(path) as tar:
        for member in tar:
            opened = tar.extractfile(member) if member.isreg() else None
            if opened is not None:
                with opened:
                    yield member.name, opened, member.size


def _write(folder: Path, name: str, content: IO[bytes]) -> None:
    parts = [p for p in PurePosixPath(name.replace("\\", "/")).parts if p not in ("/", ".")]
    if not parts or ".." in parts or ":" in parts[0]:
        return  # a name that points out of the archive
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
