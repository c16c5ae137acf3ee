"""Which pictures an epoch shows, in which order, and how much each class weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from ..core.shards import Layout
from .augment import seeded

AHEAD = 256  # pictures that the system is asked for at once, before they are read


@dataclass(frozen=True)
class Stream:
    """How pictures that lie in shards are read: shard after shard, `buffer` shuffled at a time."""

    layout: Layout
    buffer: int

    def sequence(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """The pictures of `order` (some may be missing, some repeated) as they are read: the
        shards at random, and what is in one from its start to its end."""
        runs = self.layout.runs()
        drawn = torch.randperm(len(runs), generator=generator).tolist()
        rank = np.empty(len(order), np.int64)
        rank[np.concatenate([runs[i] for i in drawn])] = np.arange(len(order))
        return order[torch.from_numpy(rank)[order].argsort(stable=True)]

    def read_ahead(self, sequence: Tensor, place: int, start: int) -> None:
        """Ask the system to read what the buffer takes in next, when picture `place` is due in an
        epoch that began at `start`."""
        first = max(0, start - self.buffer) if place == start else place + self.buffer
        wanted = sequence[first : place + self.buffer + AHEAD]
        if len(wanted):
            self.layout.read_ahead(wanted.numpy())


def buffered(sequence: Tensor, buffer: int, generator: torch.Generator) -> Tensor:
    """A sequence [N] as it leaves a buffer that is filled in order and emptied at random."""
    items = sequence.tolist()
    size = min(buffer, len(items))
    held, slots = items[:size], torch.randint(size, (len(items) - size,), generator=generator)
    out = []
    for slot, item in zip(slots.tolist(), items[size:], strict=True):
        out.append(held[slot])
        held[slot] = item
    rest = torch.randperm(size, generator=generator).tolist()
    return torch.tensor(out + [held[i] for i in rest])


class EpochSampler(Sampler[int]):
    """The order of an epoch's pictures: a pure function of the seed and the epoch.

    Without weights a shuffle of 0..length - 1. With them (float [length], any positive scale)
    `length` draws with replacement, in proportion; the second draw of picture i in an epoch is
    place i + length where `number_repeats` is set, the third i + 2 length, and so on. A `stream`
    whose buffer doesn't hold them all keeps near in time what lies near in its shards.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        *,
        weights: Tensor | None = None,
        number_repeats: bool = False,
        stream: Stream | None = None,
    ) -> None:
        self.length, self.seed, self.stream = length, seed, stream
        self.weights, self.number_repeats = weights, number_repeats
        self.epoch = 0
        self.start = 0  # of this epoch's pictures, the first that is still to be given

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        start, self.start = self.start, 0
        order, sequence = self._order()
        for first in range(start, self.length, AHEAD):
            if self.stream is not None:
                self.stream.read_ahead(sequence, first, start)
            yield from order[first : first + AHEAD].tolist()

    def _order(self) -> tuple[Tensor, Tensor]:
        """The order, and the one in which a stream takes its pictures in."""
        generator = seeded(self.seed, self.epoch)
        if self.weights is None:
            order = torch.randperm(self.length, generator=generator)
        else:
            chances = self.weights.double()
            order = torch.multinomial(chances, self.length, replacement=True, generator=generator)
        sequence = order
        if self.stream is not None and self.stream.buffer < self.length:
            sequence = self.stream.sequence(order, generator)
            order = buffered(sequence, self.stream.buffer, generator)
        numbered = self.weights is not None and self.number_repeats
        return (order + self.length * repeats(order) if numbered else order), sequence


def repeats(order: Tensor) -> Tensor:
    """How often each item of a sequence has come before, int64 [N]."""
    ranked, places = order.sort(stable=True)
    counts = ranked.bincount()
    counts = counts[counts > 0]
    firsts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return torch.empty_like(order).scatter_(0, places, torch.arange(len(order)) - firsts)


def class_counts(targets: Sequence[int], classes: int) -> list[int]:
    """Pictures per class."""
    return [int(n) for n in np.bincount(np.asarray(targets), minlength=classes)]


def class_weights(counts: Sequence[int]) -> Tensor:
    """A weight per class, float32 [C], in inverse proportion to its pictures.

    The mean over the pictures is 1, so that the loss keeps its scale; a class without pictures
    weighs nothing.
    """
    pictures = torch.tensor(counts, dtype=torch.float64)
    present = pictures > 0
    weights = torch.where(present, pictures.sum() / (present.sum() * pictures.clamp_min(1)), 0.0)
    return weights.float()


def sampling_weights(targets: Sequence[int], classes: int) -> Tensor:
    """A weight per picture, float32 [N], by which every class is drawn as often."""
    return class_weights(class_counts(targets, classes))[torch.tensor(targets)]
