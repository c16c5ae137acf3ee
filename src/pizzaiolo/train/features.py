"""Embeddings of a frozen backbone: computed once, cached, reused by every head."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..console import log, progress
from ..core.bundle import atomic_path
from ..core.preprocess import Preprocess
from ..errors import StorageError
from .data import Split, read_pixels

# Small batches keep the early feature maps inside the processor's cache. Measured on 2 cores with
# EfficientNet-Lite0: 95 pictures a second as two workers with batches of 2, 62 as one worker with
# two threads and batches of 4, 50 with batches of 16.
CPU_BATCH = 2
GPU_BATCH, GPU_DECODERS = 64, 4


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
    """The embeddings [N, D], in order; each worker decodes a batch and runs the network on it."""
    embedder.backbone.eval().to(embedder.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_cpu = embedder.device.type == "cpu"
    size, workers = (CPU_BATCH, torch.get_num_threads()) if on_cpu else (GPU_BATCH, GPU_DECODERS)
    stream, parts = iter(files), []
    batches = iter(lambda: list(islice(stream, size)), [])
    with (
        _one_thread_each(on_cpu),
        ThreadPoolExecutor(workers) as pool,
        progress(f"features of {what}", len(files)) as advance,
    ):
        # A few batches are under way at any time, however many files there are.
        ahead = (pool.submit(_embed_batch, embedder, batch) for batch in batches)
        waiting = deque(islice(ahead, 2 * workers))
        while waiting:
            parts.append(waiting.popleft().result())
            waiting.extend(islice(ahead, 1))
            advance(len(parts[-1]))
    return np.concatenate(parts)


def _embed_batch(embedder: Embedder, files: Sequence[Path]) -> NDArray[np.float32]:
    pixels = np.stack([read_pixels(file, embedder.preprocess) for file in files])
    pictures = torch.from_numpy(embedder.preprocess.normalise(pixels))
    with torch.inference_mode():
        moved = pictures.to(embedder.device, memory_format=torch.channels_last)
        features: NDArray[np.float32] = embedder.backbone(moved).float().cpu().numpy()
    return features


@contextmanager
def _one_thread_each(wanted: bool) -> Iterator[None]:
    """One torch thread per worker: no worker waits for another at the end of every layer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
