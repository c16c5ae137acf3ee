"""What people correct: the picture goes into a folder of the class that they name.

`prepare` takes the folder as a source, so that a mistake of today is a lesson of the next training.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from threading import Lock

from ..core.bundle import atomic_path
from ..core.image import Limits, read_picture
from ..core.labels import Labels
from ..errors import ImageError, StorageError
from ..predict.place import class_folders
from .problems import Problem, of_picture

MEGABYTE = 1_000_000


class Feedback:
    """Keeps corrected pictures in `folder`, at most `most` megabytes of them."""

    def __init__(self, folder: Path, labels: Labels, most: int) -> None:
        self.folder, self.most = folder, most * MEGABYTE
        self.folders = class_folders(labels.names)
        self.lock = Lock()
        self.bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    def keep(self, data: bytes, label: str, limits: Limits) -> bool:
        """Keep a picture under a class; False where it is there already.

        A later correction of the same picture moves it. Raises `Problem` for another class, for
        what is no picture, and where the folder is full or can't be written.
        """
        if label not in self.folders:
            known = ", ".join(self.folders)
            raise Problem(422, "unknown_label", f"the label is none of {known}")
        try:
            _, header = read_picture(data, limits)  # all of it: a damaged one teaches nothing
        except ImageError as error:
            raise of_picture({"code": error.code, "message": error.message}) from None
        suffix = {"JPEG": "jpg", "TIFF": "tif", "MPO": "jpg"}.get(header.format, header.format)
        name = f"{hashlib.sha256(data).hexdigest()[:40]}.{suffix.lower()}"
        with self.lock:
            try:
                return self._place(name, data, self.folders[label])
            except (OSError, StorageError) as error:
                raise Problem(507, "not_kept", f"the picture can't be kept: {error}") from None

    def _place(self, name: str, data: bytes, place: str) -> bool:
        target = self.folder / place / name
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        for other in self.folders.values():
            if (earlier := self.folder / other / name).exists():
                earlier.replace(target)
                return True
        if self.bytes + len(data) > self.most:
            raise Problem(507, "feedback_full", "the folder for corrections is full")
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)
        self.bytes += len(data)
        return True
