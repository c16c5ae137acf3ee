"""What a network gets right on a loader's data: loss, accuracy and F1."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Gather = Callable[[Tensor], Tensor]


def alone(tensor: Tensor) -> Tensor:
    """What all processes have, where there is only one."""
    return tensor


def validate(
    network: nn.Module, loader: Iterable[Any], gather: Gather = alone, count: int | None = None
) -> tuple[float, float, float]:
    """Loss (cross-entropy, nats), accuracy and F1 (mean over classes) on a loader's data.

    With several processes `gather` joins their parts, batch by batch, and `count` pictures are
    looked at: those beyond were repeated to fill the last batches.
    """
    logits, targets = (part[:count] for part in infer(network, loader, gather))
    return score(logits, targets)


def score(logits: Tensor, targets: Tensor) -> tuple[float, float, float]:
    """Loss (cross-entropy, nats), accuracy and F1 of logits [N, C] and class indices [N]."""
    loss = float(nn.functional.cross_entropy(logits, targets))
    predicted = logits.argmax(dim=1).numpy()
    truth = targets.numpy()
    return loss, float((predicted == truth).mean()), macro_f1(truth, predicted, logits.shape[1])


def infer(
    network: nn.Module, loader: Iterable[Any], gather: Gather = alone
) -> tuple[Tensor, Tensor]:
    """Logits [N, C] and class indices [N] of a loader's data, in order, on the CPU."""
    device = next(network.parameters()).device
    network.eval()
    logits, targets = [], []
    with torch.inference_mode():
        for x, y in loader:
            logits.append(gather(network(x.to(device)).float()).cpu())
            targets.append(gather(y.to(device)).cpu())
    return torch.cat(logits), torch.cat(targets)


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); 0 for a class never seen."""
    scores = []
    for index in range(classes):
        hits = int(np.sum((truth == index) & (predicted == index)))
        wrong = int(np.sum((truth == index) != (predicted == index)))
        scores.append(2 * hits / (2 * hits + wrong) if hits else 0.0)
    return float(np.mean(scores))
