"""Embeddings of a frozen backbone: computed once, cached, reused by every head."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..console import progress
from ..core.preprocess import Preprocess
from ..core.shards import copy_bytes, shown
from ..core.store import Store
from ..errors import DatasetError, ImageError, explain_os_error
from .backbones import create_backbone, preprocess_of
from .device import one_thread
from .engines import Engines
from .ensemble import Ensemble, Member
from .session import Engine, Features

KEY_BYTES, KEPT_AT_ONCE = 16, 256


@dataclass(frozen=True)
class Embedder:
    """A frozen backbone with the preprocessing that feeds it: its weights no longer change.

    `precision` bf16 allows rougher numbers, 1.6 times as fast, where the extra `openvino` is
    installed and the processor has them; elsewhere the CPU computes in fp32 all the same.
    """

    backbone: nn.Module
    preprocess: Preprocess
    device: torch.device
    precision: str = "fp32"

    def key(self) -> bytes:
        """A name for this backbone's weights and preprocessing."""
        return self._key

    @cached_property
    def _key(self) -> bytes:
        digest = hashlib.sha256(json.dumps(self.preprocess.to_dict()).encode())
        for name, tensor in self.backbone.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.digest()

    @cached_property
    def engines(self) -> Engines:
        """What can run it here."""
        return Engines(self.backbone, self.preprocess, self.device, self.precision)

    def seconds_each(self) -> float:
        """Seconds for a picture, decoding left out, as the best engine here computes."""
        engine = next(filter(None, map(self.engines.make, self.engines.names())))
        side = self.preprocess.size
        pixels = np.zeros((engine.batch, side, side, 3), np.uint8)
        with one_thread(self.device.type == "cpu"):
            engine.run(pixels)
            started = perf_counter()
            engine.run(pixels)
        return (perf_counter() - started) / (engine.batch * engine.workers)


Compute = Callable[[Embedder, Engine, Sequence[Path], str], Generator[Features]]


def compute(
    embedder: Embedder, engine: Engine, files: Sequence[Path], what: str
) -> Generator[Features]:
    """The embedding [D] of each file, in order; each worker decodes a batch and runs it."""
    stream = iter(files)
    batches = iter(lambda: list(islice(stream, engine.batch)), [])
    with (
        # No worker waits for another at the end of every layer.
        one_thread(embedder.device.type == "cpu"),
        ThreadPoolExecutor(engine.workers) as pool,
        progress(f"features of {what}", len(files)) as advance,
    ):
        # A few batches are under way at any time, however many files there are.
        ahead = (pool.submit(_embed_batch, embedder, engine, batch) for batch in batches)
        waiting = deque(islice(ahead, 2 * engine.workers))
        try:
            while waiting:
                features = waiting.popleft().result()
                waiting.extend(islice(ahead, 1))
                yield from features
                advance(len(features))
        finally:
            for batch in waiting:
                batch.cancel()


def embed(
    embedder: Embedder,
    files: Sequence[Path],
    cache: Path,
    what: str,
    digests: Sequence[str] | None = None,
    compute: Compute = compute,
) -> Features:
    """The embeddings, float32 [N, D], of prepared pictures; known ones come from the cache.

    The cache holds each picture by its content, what looks at it and what computes that, so a data
    set that grew, or was split anew, is computed for the new pictures only, and all embeddings come
    from one engine. `digests` are the SHA-256 of the files' bytes in hexadecimal, where they are
    known already: then only pictures that the cache lacks are read. `compute` is who does it.
    Raises `DatasetError` naming a picture that can't be read.
    """
    store = Store(cache / "features.sqlite")
    contents = [bytes.fromhex(d) for d in digests] if digests else [_content(f) for f in files]
    for name in embedder.engines.names():
        own = embedder.key() + name.encode()
        keys = [hashlib.sha256(own + content).digest()[:KEY_BYTES] for content in contents]
        found = {key: np.frombuffer(value, "<f4") for key, value in store.get(keys).items()}
        first = {key: file for key, file in zip(keys, files, strict=True) if key not in found}
        engine = embedder.engines.make(name) if first else None
        if engine is not None:
            with closing(compute(embedder, engine, list(first.values()), what)) as computed:
                found.update(_kept(store, first, computed))
        if engine is not None or not first:
            return np.stack([found[key] for key in keys])
    raise AssertionError("PyTorch runs everything")


def embed_members(
    embedder: Embedder,
    files: Sequence[Path],
    cache: Path,
    what: str,
    digests: Sequence[str] | None = None,
) -> Features:
    """As `embed`, and of an ensemble one member after the other, to the same bits.

    So the cache serves every ensemble in which a member looks at the same pictures.
    """
    if not isinstance(embedder.backbone, Ensemble):
        return embed(embedder, files, cache, what, digests)
    alone = [
        replace(embedder, backbone=member.simplest)
        for member in embedder.backbone.members
        if isinstance(member, Member)
    ]
    return np.concatenate([embed(own, files, cache, what, digests) for own in alone], axis=1)


def _kept(
    store: Store, keys: Iterable[bytes], computed: Iterable[Features]
) -> Iterator[tuple[bytes, Features]]:
    """Each key with its embedding [D], put into the cache a few hundred at a time."""
    waiting: list[tuple[bytes, bytes]] = []
    try:
        for key, features in zip(keys, computed, strict=True):
            yield key, features
            waiting.append((key, features.astype("<f4").tobytes()))
            if len(waiting) == KEPT_AT_ONCE:
                store.put(waiting)
                waiting = []
    finally:  # what an interrupted run has computed, the next one need not
        store.put(waiting)


def read_pixels(file: Path, preprocess: Preprocess) -> NDArray[np.uint8]:
    """A prepared picture by the one image path, uint8 [H, W, 3]; a bad one is named, not hidden."""
    try:
        return preprocess.load(file)
    except ImageError as error:
        raise damaged(file, error) from None


def damaged(file: Path, error: ImageError) -> DatasetError:
    """The error for a prepared picture that can't be read any more."""
    return DatasetError(f"{shown(file)} can't be read: {error.message}", hint="run prepare again")


def _content(file: Path) -> bytes:
    try:
        return hashlib.sha256(copy_bytes(file)).digest()
    except ImageError as error:
        raise damaged(file, error) from None
    except OSError as error:
        raise explain_os_error(error) from None


def _embed_batch(embedder: Embedder, engine: Engine, files: Sequence[Path]) -> Features:
    return engine.run_some(np.stack([read_pixels(file, embedder.preprocess) for file in files]))


def pretrained_embedder(name: str, device: torch.device) -> Embedder:
    """The pretrained backbone as training with its default settings uses it."""
    backbone = create_backbone(name, pretrained=True)
    return Embedder(backbone, preprocess_of(name, backbone, None, "crop"), device)
