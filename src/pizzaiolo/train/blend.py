"""How much of two answers to take, and how sure to be: chosen on validation logits alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

SHARES = (0.0, 0.25, 0.5, 0.75)


def choose_share(new: Tensor, old: Tensor, targets: Tensor) -> float:
    """The share of `old` in the blend (1 - share) new + share old of logits [N, C].

    It is the largest whose loss is within one standard error of the best one's (Breiman et al.
    1984): what was known before is kept as far as these pictures, class indices [N], don't object.
    """
    losses = [_loss((1 - share) * new + share * old, targets) for share in SHARES]
    best = min(losses, key=lambda loss: float(loss.mean()))

    def within(loss: Tensor) -> bool:
        more = loss - best
        return bool(more.mean() <= more.std(correction=0) / len(more) ** 0.5)

    return max(share for share, loss in zip(SHARES, losses, strict=True) if within(loss))


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each picture [N], as sure as these logits can be: a blend is less sure."""
    return functional.cross_entropy(
        choose_scale(logits, targets) * logits, targets, reduction="none"
    )


def choose_scale(logits: Tensor, targets: Tensor, bounds: Sequence[float] = (0.1, 10.0)) -> float:
    """The factor of logits [N, C] with the least cross-entropy (Guo et al. 2017, 1 / temperature).

    On few pictures that are all answered rightly no factor is too large, so there are `bounds`.
    """
    low, high = (float(torch.tensor(bound).log()) for bound in bounds)

    def loss(log_scale: float) -> float:
        return float(functional.cross_entropy(logits * torch.tensor(log_scale).exp(), targets))

    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(torch.tensor(found.x).exp())
