"""What a training is told, where it stands, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Mix = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Epoch:
    """One line of history.csv: losses are mean cross-entropy in nats, shares lie in 0..1.

    Epoch 0 is the network as it was before this training, so it has no training loss. The
    training loss is that of the settings, on pictures as training changes them.
    """

    epoch: int
    train_loss: float | None
    validation_loss: float
    validation_accuracy: float
    validation_f1: float
    lr: float
    seconds: float
    train_accuracy: float | None = None
    pictures_per_second: float | None = None


@dataclass
class Fit:
    """What a training gives: the best epoch's weights, every epoch's figures, and what was chosen
    on the validation data."""

    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    state: dict[str, Tensor] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train, with the rate of each group of parameters.

    A network that is `trained` already counts as epoch 0, so training never makes it worse, and
    its BatchNorm statistics stay: those of a few small batches would be poorer. `name` is what
    is shown, and the stage that a checkpoint belongs to; `loss` stands in for that of the
    settings; `mix` blends a batch's pictures and targets; `seconds` is the time there is.
    """

    epochs: int
    groups: list[dict[str, Any]]
    patience: int
    trained: bool = False
    name: str = "train"
    loss: nn.Module | None = None
    mix: Mix | None = None
    seconds: float | None = None


@dataclass
class Position:
    """Where a training stands; sums are over the pictures of the running epoch."""

    total: int  # steps planned
    epoch: int = 0  # whole epochs behind
    batch: int = 0  # batches behind of the running epoch
    step: int = 0  # steps of the optimiser behind
    loss: float = 0.0
    right: float = 0.0
    seen: int = 0
    seconds: float = 0.0

    def live(self, processes: int = 1) -> str:
        """The running epoch in a few words."""
        loss, share = self.loss / max(1, self.seen), self.right / max(1, self.seen)
        speed = self.seen * processes / max(self.seconds, 1e-9)
        return f"loss {loss:.4f}, accuracy {share:.1%}, {speed:.0f} pictures/s"
