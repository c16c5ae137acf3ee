"""How much of two answers to take, and how sure to be: chosen on validation logits alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

SHARES = (0.0, 0.25, 0.5, 0.75)
ERRORS = 2.0  # standard errors by which a larger share may seem worse than the best one


def choose_share(new: Tensor, old: Tensor, targets: Tensor) -> float:
    """The share of `old` in the blend (1 - share) new + share old of logits [N, C].

    It is the largest whose loss is within two standard errors of the best one's (after Breiman et
    al. 1984, who take one): what was known before is kept as far as these pictures, class indices
    [N], don't object.
    """
    losses = [_loss((1 - share) * new + share * old, targets) for share in SHARES]
    best = min(losses, key=lambda loss: float(loss.mean()))

    def within(loss: Tensor) -> bool:
        more = loss - best
        return bool(more.mean() <= ERRORS * more.std(correction=0) / len(more) ** 0.5)

    return max(share for share, loss in zip(SHARES, losses, strict=True) if within(loss))


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each picture [N], as sure as these logits can be: a blend is less sure."""
    return functional.cross_entropy(
        choose_scale(logits, targets) * logits, targets, reduction="none"
    )


def choose_scale(logits: Tensor, targets: Tensor, bounds: Sequence[float] = (0.1, 10.0)) -> float:
    """The factor of logits [N, C] with the least cross-entropy (Guo et al. 2017, 1 / temperature).

    It counts one picture more that is answered rightly and one wrongly, as Laplace's rule of
    succession does (Platt 1999 counts them for each class): few pictures, all answered rightly, say
    little of how often the next one is.
    """
    low, high = (float(torch.tensor(bound).log()) for bound in bounds)
    wanted = _rather_sure(targets, logits.shape[1])

    def loss(log_scale: float) -> float:
        return float(functional.cross_entropy(logits * torch.tensor(log_scale).exp(), wanted))

    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(torch.tensor(found.x).exp())


def _rather_sure(targets: Tensor, classes: int) -> Tensor:
    """Class indices [N] as probabilities [N, C]: wrong by 1 / (N + 2), as any other class."""
    wrong, right = 1 / (len(targets) + 2), functional.one_hot(targets, classes)
    return (1 - wrong) * right + wrong * (1 - right) / max(1, classes - 1)
