"""Copies of the pictures in one folder for each verdict; nothing that is there is overwritten."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.labels import NOT_SURE, Labels
from ..core.names import safe_name
from ..core.stores import is_store, read
from ..errors import ImageError, UsageError, explain_os_error
from .answer import Answer

UNSURE, UNREADABLE = "not_sure", "unreadable"


def check_folder(folder: Path, inputs: Iterable[str]) -> None:
    """Raise `UsageError` where the folder is a file, or one of the inputs."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--copy-to {folder} is a file, expected a folder", hint="name another")
    if folder.is_dir() and any(os.path.isdir(i) and folder.samefile(i) for i in inputs):
        raise UsageError(f"--copy-to {folder} is the folder of the pictures", hint="name another")


class Copier:
    """Copies pictures to DIR/<class>, DIR/not_sure and DIR/unreadable, and counts them.

    A name that another picture has gets a number. The same picture under the same name is not
    copied again, so a job that was cut off leaves no doubles when it goes on.
    """

    def __init__(self, folder: Path, labels: Labels) -> None:
        self.folder = folder
        self.folders = class_folders(labels.names)
        self.copied: Counter[str] = Counter()
        self.already = 0
        self.lost = 0

    def add(self, answer: Answer) -> None:
        """Copy one picture; one that isn't there is counted as lost.

        Raises `StorageError` where the folder can't be written.
        """
        with _at_hand(answer.path or "") as source:
            if source is None:
                self.lost += 1
            else:
                self._add(answer, source)

    def _add(self, answer: Answer, source: Path) -> None:
        place = self._place(answer)
        try:
            (self.folder / place).mkdir(parents=True, exist_ok=True)
            is_new = _copy(source, self.folder / place / source.name)
        except OSError as error:
            raise explain_os_error(error) from None
        self.copied[place] += is_new
        self.already += not is_new

    def _place(self, answer: Answer) -> str:
        if answer.error is not None:
            return UNREADABLE
        return UNSURE if answer.verdict == NOT_SURE else self.folders[str(answer.label)]

    @property
    def told(self) -> str:
        """What was copied, for people."""
        text = f"{self.copied.total():,} pictures copied to {self.folder}"
        if parts := [f"{name} {count:,}" for name, count in sorted(self.copied.items()) if count]:
            text += f": {', '.join(parts)}"
        if self.already:
            text += f"; {self.already:,} were there already"
        return text + (f"; {self.lost:,} could not be copied" if self.lost else "")


def class_folders(names: Iterable[str]) -> dict[str, str]:
    """A folder for each class, unlike those for what is no class."""
    taken, chosen = {UNSURE, UNREADABLE}, {}
    for name in names:
        folder = safe_name(name)
        while folder.casefold() in taken:
            folder += "_"
        taken.add(folder.casefold())
        chosen[name] = folder
    return chosen


@contextmanager
def _at_hand(path: str) -> Iterator[Path | None]:
    """The picture as a file, fetched where it lies in a store; None where it can't be read."""
    if not is_store(path):
        source = Path(path)
        yield source if _can_be_read(source) else None
        return
    with tempfile.TemporaryDirectory(prefix="pizzaiolo-") as folder:
        fetched = Path(folder) / path.rpartition("/")[2]
        try:
            fetched.write_bytes(read(path))
        except ImageError:
            yield None
        else:
            yield fetched


def _can_be_read(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # a name that no disk can hold
        return False


def _copy(source: Path, target: Path) -> bool:
    """Copy, whole or not at all, to the first free name; False where the copy is there already."""
    handle, name = tempfile.mkstemp(prefix=".copy-", suffix=".tmp", dir=target.parent)
    os.close(handle)
    try:
        shutil.copyfile(source, name)
        shutil.copystat(source, name)
        number, free = 1, target
        while not _named(name, free):
            if free.is_file() and filecmp.cmp(source, free, shallow=False):
                return False
            number += 1
            free = target.with_name(f"{target.stem}-{number}{target.suffix}")
        return True
    finally:
        Path(name).unlink(missing_ok=True)


def _named(temporary: str, target: Path) -> bool:
    """Give the file its name; False where the name is taken."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:  # a disk without hard links
        if target.exists():
            return False
        os.rename(temporary, target)
    return True
