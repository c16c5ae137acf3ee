"""The default backbone's view of the prepared copies; training with its settings reuses it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..config import PrepareConfig, TrainConfig
from ..core.bundle import cache_folder
from ..core.manifest import Row
from ..model.device import choose_device
from ..model.features import Features, embed, pretrained_embedder
from .looks import copy_path


def embed_copies(rows: Iterable[Row], staging: Path, config: PrepareConfig) -> Features:
    """The embeddings, float32 [N, D], of rows whose copies lie in `staging`."""
    files = [copy_path(staging, row.sha256 or "", config) for row in rows]
    embedder = pretrained_embedder(TrainConfig().model, choose_device("auto"))
    return embed(embedder, files, cache_folder(), "the pictures")
