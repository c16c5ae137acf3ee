"""What was computed once is not computed again: in memory up to a size, and in a file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import nn

from ..core.store import Store
from ..train.linear import Candidate

T = TypeVar("T")
MOST_MEMORY = 1_000_000_000  # bytes of each kind
MOST_ENTRY = 500_000  # bytes: a larger one is not written to the file
HEADER = 7


class Kept(Generic[T]):
    """Things by key, of which the least used go when they have more than `most` bytes together."""

    def __init__(self, size: Callable[[T], int], most: int = MOST_MEMORY) -> None:
        self.size, self.most, self.bytes = size, most, 0
        self.things: OrderedDict[object, T] = OrderedDict()

    def get(self, key: object, make: Callable[[], T]) -> T:
        """The thing that is kept, or one that is made now."""
        if key in self.things:
            self.things.move_to_end(key)
            return self.things[key]
        made = self.things[key] = make()
        self.bytes += self.size(made)
        while self.bytes > self.most and len(self.things) > 1:
            self.bytes -= self.size(self.things.popitem(last=False)[1])
        return made


class Layers:
    """Layers by key, that several processes and a resumed search share by the file `path`.

    What is new is written by `flush`. Without a path nothing is.
    """

    def __init__(self, path: Path | None) -> None:
        self.store = None if path is None else Store(path)
        self.kept: Kept[Candidate] = Kept(_bytes)
        self.waiting: list[tuple[bytes, bytes]] = []
        self.made = 0

    def get(self, key: bytes, make: Callable[[], Candidate]) -> Candidate:
        """The layer of the key, found or made now."""
        return self.kept.get(key, lambda: self._read(key) or self._made(key, make()))

    def flush(self) -> None:
        """Write what was made since the last time."""
        if self.store is not None and self.waiting:
            self.store.put(self.waiting)
        self.waiting = []

    def _read(self, key: bytes) -> Candidate | None:
        found = self.store.get([key]) if self.store is not None else {}
        return unpacked(found[key]) if key in found else None

    def _made(self, key: bytes, candidate: Candidate) -> Candidate:
        self.made += 1
        if _bytes(candidate) <= MOST_ENTRY:
            self.waiting.append((key, packed(candidate)))
        return candidate


def _bytes(candidate: Candidate) -> int:
    return 4 * (candidate.layer.weight.numel() + candidate.logits.numel())


def packed(candidate: Candidate) -> bytes:
    """A layer with all that is known of it as bytes."""
    layer = candidate.layer
    numbers = [candidate.strength, candidate.train_loss, candidate.validation_loss]
    sizes = [layer.out_features, layer.in_features, len(candidate.logits)]
    header = np.array([*numbers, candidate.seconds, *sizes], "<f8").tobytes()
    tensors = (layer.weight, layer.bias, candidate.logits)
    return header + b"".join(t.detach().numpy().astype("<f4").tobytes() for t in tensors)


def unpacked(data: bytes) -> Candidate | None:
    """What was `packed`; None for other bytes."""
    if len(data) < 8 * HEADER:
        return None
    header = np.frombuffer(data[: 8 * HEADER], "<f8").tolist()
    strength, train_loss, validation_loss, seconds = header[:4]
    classes, width, count = (int(size) for size in header[4:])
    ends = np.cumsum([classes * width, classes, count * classes])
    numbers = np.frombuffer(data[8 * HEADER :], "<f4")
    if len(numbers) != ends[-1]:
        return None
    weight, bias, logits = (torch.from_numpy(x.copy()) for x in np.split(numbers, ends[:2]))
    layer = nn.Linear(width, classes)
    layer.load_state_dict({"weight": weight.view(classes, width), "bias": bias})
    logits = logits.view(count, classes)
    return Candidate(strength, layer, train_loss, validation_loss, logits, seconds)
