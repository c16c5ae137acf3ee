"""What every recipe works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import torch
from torch import Tensor

from ..config import TrainConfig
from ..model.define import Definition
from ..model.network import Recogniser
from .checkpoint import Checkpoints
from .data import Split
from .plan import Epoch
from .sampling import class_counts, class_weights, sampling_weights
from .speed import keep_freed_memory

EPOCHS = {
    "stages": {"quick": 3, "good": 6, "best": 12},
    "finetune": {"quick": 2, "good": 5, "best": 15},
    "scratch": {"quick": 5, "good": 20, "best": 60},
}
RATES = {
    "finetune": {"adamw": 2e-4, "sgd": 2e-3},
    "scratch": {"adamw": 1e-3, "sgd": 5e-2},
}
GRADIENT_RATES = ("sgd", "momentum", "nesterov", "lars", "larc", "nlar")  # steps as long as these
SIGN_SHARE = 0.2  # of AdamW's rate, for optimisers of the sign of the gradient (Chen et al. 2023)


@dataclass(frozen=True)
class Job:
    """Everything a recipe works on."""

    definition: Definition
    config: TrainConfig
    training: Split
    validation: Split
    device: torch.device
    cache: Path
    on_epoch: Callable[[Epoch], None]
    checkpoints: Checkpoints | None = None
    folder: Path | None = None  # where the files of the run go
    deadline: float | None = None  # by time.monotonic

    def epochs(self, recipe: str) -> int:
        """Passes over the training data, as set or by quality; at most, with a time budget."""
        return self.config.epochs or EPOCHS[recipe][self.quality]

    @property
    def quality(self) -> str:
        """How much to spend; a time budget ends what is planned as the best."""
        return "best" if self.deadline is not None else self.config.quality or "good"

    def rate(self, recipe: str) -> float:
        """The learning rate, as set or by recipe and optimiser."""
        if self.config.lr is not None:
            return self.config.lr
        name = self.config.optimizer.lower().removeprefix("lookahead_")
        if name.startswith(GRADIENT_RATES):
            return RATES[recipe]["sgd"]
        return RATES[recipe]["adamw"] * (SIGN_SHARE if "lion" in name else 1.0)

    def seconds_left(self) -> float | None:
        """Seconds of the time budget that are left; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())

    def loss_weights(self, sampled: bool = True) -> Tensor | None:
        """A weight per class, float [C], where the settings balance the loss.

        To what is not `sampled`, because it sees all pictures at once, balanced sampling is the
        same as these weights.
        """
        if self.config.balance != "weights" and (sampled or self.config.balance != "sampling"):
            return None
        return class_weights(class_counts(self.training.targets, self.classes))

    def sampling_weights(self) -> Tensor | None:
        """A weight per training picture, float [N], where the settings balance the sampling."""
        if self.config.balance != "sampling":
            return None
        return sampling_weights(self.training.targets, self.classes)

    def placed(self) -> Recogniser:
        """The network on its device, and all laid out for fast steps."""
        if self.device.type == "cpu":
            keep_freed_memory()
        network = self.definition.network.to(self.device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return max(self.training.targets) + 1
