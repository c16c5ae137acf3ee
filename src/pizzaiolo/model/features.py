"""Embeddings of a frozen backbone: computed once, cached, reused by every head."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..console import progress
from ..core.preprocess import Preprocess
from ..core.store import Store
from ..errors import DatasetError, ImageError, explain_os_error
from .backbones import create_backbone, preprocess_of

Features = NDArray[np.float32]

# Small batches keep the early feature maps inside the processor's cache. Measured on 2 cores with
# EfficientNet-Lite0: 95 pictures a second as two workers with batches of 2, 62 as one worker with
# two threads and batches of 4, 50 with batches of 16.
CPU_BATCH = 2
GPU_BATCH, GPU_DECODERS = 64, 4
KEY_BYTES, KEPT_AT_ONCE = 16, 256


@dataclass(frozen=True)
class Embedder:
    """A frozen backbone with the preprocessing that feeds it."""

    backbone: nn.Module
    preprocess: Preprocess
    device: torch.device

    def key(self) -> bytes:
        """A name for this backbone's weights and preprocessing."""
        digest = hashlib.sha256(json.dumps(self.preprocess.to_dict()).encode())
        for name, tensor in self.backbone.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.digest()


def embed(embedder: Embedder, files: Sequence[Path], cache: Path, what: str) -> Features:
    """The embeddings, float32 [N, D], of prepared pictures; known ones come from the cache.

    The cache holds each picture by its content and what looks at it, so a data set that grew, or
    was split anew, is computed for the new pictures only. Raises `DatasetError` naming a picture
    that can't be read.
    """
    own, store = embedder.key(), Store(cache / "features.sqlite")
    keys = [hashlib.sha256(own + _content(file)).digest()[:KEY_BYTES] for file in files]
    found = {key: np.frombuffer(value, "<f4") for key, value in store.get(keys).items()}
    first = {key: file for key, file in zip(keys, files, strict=True) if key not in found}
    waiting: list[tuple[bytes, bytes]] = []
    with closing(_compute(embedder, list(first.values()), what)) as computed:
        try:
            for key, features in zip(first, computed, strict=True):
                found[key] = features
                waiting.append((key, features.astype("<f4").tobytes()))
                if len(waiting) == KEPT_AT_ONCE:
                    store.put(waiting)
                    waiting = []
        finally:  # what an interrupted run has computed, the next one need not
            store.put(waiting)
    return np.stack([found[key] for key in keys])


def read_pixels(file: Path, preprocess: Preprocess) -> NDArray[np.uint8]:
    """A prepared picture by the one image path, uint8 [H, W, 3]; a bad one is named, not hidden."""
    try:
        return preprocess.load(file)
    except ImageError as error:
        raise damaged(file, error) from None


def damaged(file: Path, error: ImageError) -> DatasetError:
    """The error for a prepared picture that can't be read any more."""
    return DatasetError(f"{file} can't be read: {error.message}", hint="run prepare again")


def _content(file: Path) -> bytes:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError as error:
        raise explain_os_error(error) from None


def _compute(embedder: Embedder, files: Sequence[Path], what: str) -> Generator[Features]:
    """The embedding [D] of each file, in order; each worker decodes a batch and runs it."""
    embedder.backbone.eval().to(embedder.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_cpu = embedder.device.type == "cpu"
    size, workers = (CPU_BATCH, torch.get_num_threads()) if on_cpu else (GPU_BATCH, GPU_DECODERS)
    stream = iter(files)
    batches = iter(lambda: list(islice(stream, size)), [])
    with (
        _one_thread_each(on_cpu),
        ThreadPoolExecutor(workers) as pool,
        progress(f"features of {what}", len(files)) as advance,
    ):
        # A few batches are under way at any time, however many files there are.
        ahead = (pool.submit(_embed_batch, embedder, batch, size) for batch in batches)
        waiting = deque(islice(ahead, 2 * workers))
        try:
            while waiting:
                features = waiting.popleft().result()
                waiting.extend(islice(ahead, 1))
                yield from features
                advance(len(features))
        finally:
            for batch in waiting:
                batch.cancel()


def _embed_batch(embedder: Embedder, files: Sequence[Path], size: int) -> Features:
    pixels = np.stack([read_pixels(file, embedder.preprocess) for file in files])
    # Every batch is full: a picture gets the same bits whatever stands beside it.
    full = np.concatenate([pixels, np.repeat(pixels[-1:], size - len(pixels), axis=0)])
    pictures = torch.from_numpy(embedder.preprocess.normalise(full))
    with torch.inference_mode():
        moved = pictures.to(embedder.device, memory_format=torch.channels_last)
        features: Features = embedder.backbone(moved).float().cpu().numpy()
    return features[: len(files)]


@contextmanager
def _one_thread_each(wanted: bool) -> Iterator[None]:
    """One torch thread per worker: no worker waits for another at the end of every layer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pretrained_embedder(name: str, device: torch.device) -> Embedder:
    """The pretrained backbone as training with its default settings uses it."""
    backbone = create_backbone(name, pretrained=True)
    return Embedder(backbone, preprocess_of(name, backbone, None, "crop"), device)
