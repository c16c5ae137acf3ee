"""Embeddings of a frozen backbone: computed once, cached, reused by every head."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..console import log, progress
from ..core.bundle import atomic_path
from ..core.preprocess import Preprocess
from ..errors import StorageError
from .data import Split, read_pixels

# Small batches keep the early feature maps inside the processor's cache: on two threads a batch
# of 4 is up to twice as fast as one of 32.
BATCH = 4


@dataclass(frozen=True)
class Embedder:
    """A frozen backbone with the preprocessing that feeds it."""

    backbone: nn.Module
    preprocess: Preprocess
    device: torch.device

    def key(self, split: Split) -> str:
        """A name for the embeddings of these files by this backbone and preprocessing."""
        digest = hashlib.sha256(json.dumps(self.preprocess.to_dict()).encode())
        for name, tensor in self.backbone.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        for file in split.files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()[:32]


def embed(embedder: Embedder, split: Split, cache: Path, what: str) -> NDArray[np.float32]:
    """The embeddings [N, D] of a split, from the cache folder or computed and put there."""
    path = cache / "features" / f"{embedder.key(split)}.npy"
    found = _cached(path, len(split))
    if found is not None:
        log.debug("features of %s from %s", what, path)
        return found
    features = _compute(embedder, split.files, what)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, features, allow_pickle=False)
    except StorageError as error:
        log.warning("features are not cached: %s", error.message)
    return features


def _cached(path: Path, count: int) -> NDArray[np.float32] | None:
    try:
        features: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError):
        log.warning("the cached features at %s are damaged, computing them again", path)
        return None
    return features if features.ndim == 2 and len(features) == count else None


def _compute(embedder: Embedder, files: Sequence[Path], what: str) -> NDArray[np.float32]:
    backbone = embedder.backbone.eval().to(embedder.device)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = BATCH if embedder.device.type == "cpu" else 64
    parts = []
    with torch.inference_mode(), progress(f"features of {what}", len(files)) as advance:
        for pixels in _batches(files, embedder.preprocess, size):
            pictures = torch.from_numpy(embedder.preprocess.normalise(pixels))
            pictures = pictures.to(embedder.device, memory_format=torch.channels_last)
            parts.append(backbone(pictures).float().cpu().numpy())
            advance(len(pixels))
    return np.concatenate(parts)


def _batches(files: Sequence[Path], preprocess: Preprocess, size: int) -> Iterator[NDArray[Any]]:
    """uint8 [n, H, W, 3], decoded in threads ahead of the network, a few batches in memory."""
    with ThreadPoolExecutor(2) as pool:
        stream = iter(files)
        waiting = [pool.submit(read_pixels, f, preprocess) for f in islice(stream, 4 * size)]
        while waiting:
            ready, waiting = waiting[:size], waiting[size:]
            yield np.stack([future.result() for future in ready])
            waiting += [pool.submit(read_pixels, f, preprocess) for f in islice(stream, size)]
