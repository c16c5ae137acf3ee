"""What the prepared copies look like, for those who compare pictures: asked for when needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np
from PIL import Image

from ..config import BACKBONE, PrepareConfig
from ..core.bundle import cache_folder
from ..core.image import read_image
from ..core.manifest import Row
from .likeness import SIDE, Greys, Indices
from .looks import copy_path
from .spool import GreysOf, spooled
from .vectors import Features

if TYPE_CHECKING:
    from ..model.features import Compute

READERS = 4  # threads; Pillow lets go of the interpreter while it decodes


class Sight(Protocol):
    """Pictures of rows, as `find_near` and the flags look at them."""

    def greys(self, rows: Sequence[Row]) -> AbstractContextManager[GreysOf]:
        """What gives the small grey pictures, uint8 [K, 64, 64], of K places in `rows`."""

    def features(self, rows: Sequence[Row]) -> Features | None:
        """Embeddings, float32 [N, D], or None where they are not wanted."""


@dataclass(frozen=True)
class CopiesOnDisk:
    """The sight of the copies that lie in `staging`.

    The embeddings are those of the default backbone: training with its settings reuses them.
    `compute` makes those that are not known, this process where it is None.
    """

    staging: Path
    config: PrepareConfig
    compute: Compute | None = None

    @contextmanager
    def greys(self, rows: Sequence[Row]) -> Iterator[GreysOf]:
        files = self._files(rows)
        with ThreadPoolExecutor(READERS) as threads:

            def read(places: Indices) -> Greys:
                return np.stack(list(threads.map(small_grey, (files[i] for i in places.tolist()))))

            with spooled(len(files), read, self.staging) as remembered:
                yield remembered

    def features(self, rows: Sequence[Row]) -> Features | None:
        if not self.config.features or not rows:
            return None
        # PyTorch takes seconds to import.
        from ..model.device import choose_device
        from ..model.features import compute, embed, pretrained_embedder

        embedder = pretrained_embedder(BACKBONE, choose_device("auto"))
        known = [row.copy_sha256 or "" for row in rows]
        digests = known if all(known) else None
        return embed(
            embedder, self._files(rows), cache_folder(), "the pictures", digests,
            self.compute or compute,
        )  # fmt: skip

    def _files(self, rows: Sequence[Row]) -> Sequence[Path]:
        return _Copies(rows, self.staging, self.config)


@dataclass(frozen=True)
class _Copies(Sequence[Path]):
    """Where the copies of rows lie, without a list of the paths."""

    rows: Sequence[Row]
    staging: Path
    config: PrepareConfig

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Path]: ...
    def __getitem__(self, place: int | slice) -> Path | Sequence[Path]:
        if isinstance(place, slice):
            return _Copies(self.rows[place], self.staging, self.config)
        return copy_path(self.staging, self.rows[place].sha256 or "", self.config)


def small_grey(file: Path) -> Greys:
    """A picture as a small grey one, uint8 [64, 64]."""
    picture = read_image(file, short_side=SIDE).convert("L")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)
