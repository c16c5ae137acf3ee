"""Losses: (logits [N, C], class indices [N] or soft targets [N, C]) -> their mean over pictures.

Soft targets are shares of the classes that add up to 1, as mixup and CutMix make them.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ..config import TrainConfig

FOCUS = 2.0  # gamma of the focal loss, the value of Lin et al. 2017


def make_loss(config: TrainConfig, weights: Tensor | None = None) -> nn.Module:
    """The loss of the settings; `weights` [C] multiply what each class costs."""
    smoothing = config.label_smoothing
    if config.loss == "cross_entropy":
        return nn.CrossEntropyLoss(weights, label_smoothing=smoothing)
    return (Focal if config.loss == "focal" else BinaryCrossEntropy)(weights, smoothing)


class SoftLoss(nn.Module):
    """Base of the losses that take every target as shares of the classes."""

    weights: Tensor | None

    def __init__(self, weights: Tensor | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits [N, C] and targets -> the mean over the pictures of the sum over the classes."""
        shares = (
            targets if targets.ndim == 2 else functional.one_hot(targets, logits.shape[1]).float()
        )
        smooth = shares * (1 - self.smoothing) + self.smoothing / logits.shape[1]
        costs = self.costs(logits.float(), smooth).sum(1)
        return (costs if self.weights is None else costs * (shares @ self.weights)).mean()

    def costs(self, logits: Tensor, shares: Tensor) -> Tensor:
        """What each picture and class cost, [N, C]."""
        raise NotImplementedError


class Focal(SoftLoss):
    """Focal loss, -(1 - p)^2 log p: what is easy counts little (Lin et al. 2017)."""

    def costs(self, logits: Tensor, shares: Tensor) -> Tensor:
        logs = logits.log_softmax(1)
        return -shares * (1 - logs.exp()).clamp_min(0) ** FOCUS * logs


class BinaryCrossEntropy(SoftLoss):
    """One question for each class, is it there or not (Wightman et al. 2021)."""

    def costs(self, logits: Tensor, shares: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, shares, reduction="none")
