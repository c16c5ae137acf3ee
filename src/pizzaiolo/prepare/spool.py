"""Small grey pictures that were asked for once, kept in a file: each is made only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..errors import explain_os_error
from .likeness import SIDE, Greys, Indices

GreysOf = Callable[[Indices], Greys]
PICTURE = SIDE * SIDE  # bytes
MADE_AT_ONCE = 1024


@contextmanager
def spooled(count: int, greys: GreysOf, folder: Path) -> Iterator[GreysOf]:
    """`greys` (K indices -> uint8 [K, 64, 64]), asked for each of `count` pictures at most once.

    What it gave lies in a file in `folder`, which is gone afterwards; memory stays flat.
    """
    with TemporaryFile(dir=folder) as file:
        yield _Spool(greys, file, np.zeros(count, np.bool_))


class _Spool:
    def __init__(self, greys: GreysOf, file: IO[bytes], known: NDArray[np.bool_]) -> None:
        self._greys, self._file, self._known = greys, file, known

    def __call__(self, indices: Indices) -> Greys:
        missing = np.unique(indices[~self._known[indices]])
        for start in range(0, len(missing), MADE_AT_ONCE):
            part = missing[start : start + MADE_AT_ONCE]
            self._write(part, self._greys(part))
            self._known[part] = True
        pictures = b"".join(map(self._read, indices.tolist()))
        return np.frombuffer(pictures, np.uint8).reshape(-1, SIDE, SIDE)

    def _write(self, indices: Indices, pictures: Greys) -> None:
        try:
            for index, picture in zip(indices.tolist(), pictures, strict=True):
                self._file.seek(index * PICTURE)
                self._file.write(picture.tobytes())
            self._file.flush()
        except OSError as error:
            raise explain_os_error(error) from None

    def _read(self, index: int) -> bytes:
        self._file.seek(index * PICTURE)
        return self._file.read(PICTURE)
