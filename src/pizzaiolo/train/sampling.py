"""Which pictures an epoch shows, in which order, and how much each class weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from .augment import seeded


class EpochSampler(Sampler[int]):
    """The order of an epoch's pictures: a pure function of the seed and the epoch.

    Without weights a shuffle of 0..length - 1. With them (float [length], any positive scale)
    `length` draws with replacement, in proportion; the second draw of picture i in an epoch is
    place i + length where `number_repeats` is set, the third i + 2 length, and so on.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        *,
        weights: Tensor | None = None,
        number_repeats: bool = False,
    ) -> None:
        self.length, self.seed = length, seed
        self.weights, self.number_repeats = weights, number_repeats
        self.epoch = 0
        self.start = 0  # of this epoch's pictures, the first that is still to be given

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        start, self.start = self.start, 0
        yield from self._order().tolist()[start:]

    def _order(self) -> Tensor:
        generator = seeded(self.seed, self.epoch)
        if self.weights is None:
            return torch.randperm(self.length, generator=generator)
        weights = self.weights.double()
        order = torch.multinomial(weights, self.length, replacement=True, generator=generator)
        return order + self.length * repeats(order) if self.number_repeats else order


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
