"""What the prepared copies look like, for those who compare pictures: asked for when needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ..config import PrepareConfig, TrainConfig
from ..core.bundle import cache_folder
from ..core.image import read_image
from ..core.manifest import Row
from .likeness import SIDE, Greys, Indices
from .looks import copy_path
from .spool import GreysOf, spooled
from .vectors import Features

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
    """

    staging: Path
    config: PrepareConfig

    @contextmanager
    def greys(self, rows: Sequence[Row]) -> Iterator[GreysOf]:
        files = self._files(rows)
        with ThreadPoolExecutor(READERS) as threads:

            def read(places: Indices) -> Greys:
                return np.stack(list(threads.map(small_grey, (files[i] for i in places))))

            with spooled(len(files), read, self.staging) as remembered:
                yield remembered

    def features(self, rows: Sequence[Row]) -> Features | None:
        if not self.config.features or not rows:
            return None
        # PyTorch takes seconds to import.
        from ..model.device import choose_device
        from ..model.features import embed, pretrained_embedder

        embedder = pretrained_embedder(TrainConfig().model, choose_device("auto"))
        return embed(embedder, self._files(rows), cache_folder(), "the pictures")

    def _files(self, rows: Sequence[Row]) -> list[Path]:
        return [copy_path(self.staging, row.sha256 or "", self.config) for row in rows]


def small_grey(file: Path) -> Greys:
    """A picture as a small grey one, uint8 [64, 64]."""
    picture = read_image(file, short_side=SIDE).convert("L")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)
