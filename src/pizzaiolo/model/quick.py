"""The deployed graph for many pictures of which only figures are made: by the fastest engine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.bundle import cache_folder
from ..core.preprocess import Preprocess
from .deployed import Deployed
from .device import one_thread
from .features import Embedder, embed_members
from .network import Recogniser
from .session import Engine, Features, Pixels


class Quick:
    """What a `Deployed` graph gives, rounded otherwise: its backbone runs on ONNX Runtime, where it
    can be converted, with several small batches at once.
    """

    def __init__(self, network: Deployed, preprocess: Preprocess) -> None:
        self.network = network
        self.embedder = Embedder(network.network.backbone, preprocess, torch.device("cpu"))

    @cached_property
    def engine(self) -> Engine:
        """The engine of the backbone; PyTorch where no other takes it."""
        engines = self.embedder.engines
        return next(filter(None, map(engines.make, engines.names())))

    @cached_property
    def workers(self) -> ThreadPoolExecutor:
        """Threads that wait for batches, as many as run at once."""
        return ThreadPoolExecutor(self.engine.workers)

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], Features]:
        """uint8 [N, H, W, 3] -> probabilities [N, C] and embeddings [N, D]."""
        size = self.engine.batch
        parts = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        with one_thread():
            embeddings = np.concatenate(list(self.workers.map(self.engine.run_some, parts)))
        return self.answers(embeddings), embeddings

    def answers(self, embeddings: Features) -> NDArray[np.float32]:
        """Embeddings [N, D] -> probabilities [N, C]."""
        with torch.inference_mode():
            logits = self.network.network.head(torch.from_numpy(embeddings))
            return self.network.calibrated(logits).numpy()

    def embed(
        self, files: Sequence[Path], what: str, digests: Sequence[str] | None = None
    ) -> Features:
        """Embeddings [N, D] of prepared pictures; those that are known come from the cache."""
        return embed_members(self.embedder, files, cache_folder(), what, digests)


def quick(network: Deployed, preprocess: Preprocess) -> Quick | None:
    """The graph by the fastest engine; None for a person's own module, whose parts are its own."""
    return Quick(network, preprocess) if type(network.network) is Recogniser else None
