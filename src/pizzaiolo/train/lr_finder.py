"""The learning rate range test (Smith 2017): rising rates on a copy of the network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import TrainConfig
from .data import Loader
from .loop import set_train_mode
from .loss import make_loss
from .optim import make_optimizer
from .parallel import make_accelerator
from .plan import Plan

LOWEST, HIGHEST = 1e-6, 1.0  # of the head's rate
STEPS = 60
SMOOTH = 0.85  # what a step weighs in the mean of the losses beside the one before or after it
BLOW_UP = 4.0  # the test ends where the loss is so many times the lowest
SAFETY = 0.5  # of the steepest rate, which is near the edge


@dataclass(frozen=True)
class Found:
    """The rates that were tried, the smoothed losses at them, and the rate to use.

    None is `chosen` where the loss falls at no rate.
    """

    rates: list[float]
    losses: list[float]
    chosen: float | None


def find_rate(
    network: nn.Module,
    loader: Loader,
    plan: Plan,
    config: TrainConfig,
    groups_at: Callable[[nn.Module, float], list[dict[str, Any]]],
) -> Found:
    """Train a copy of the network at rates that rise from step to step; the network stays as it is.

    `groups_at(network, rate)` makes the groups of parameters.
    """
    device = next(network.parameters()).device
    copied = copy.deepcopy(network)
    rates = [float(r) for r in np.geomspace(LOWEST, HIGHEST, STEPS)]
    with torch.random.fork_rng():
        accelerator = make_accelerator(device, config.precision)
        model, optimizer = accelerator.prepare(
            nn.Sequential(copied), make_optimizer(config, groups_at(copied, 1.0))
        )
        set_train_mode(model, plan.trained)
        criterion = (plan.loss or make_loss(config)).to(device)
        losses: list[float] = []
        for rate, (pictures, targets) in zip(rates, _endless(loader), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate * group["peak_lr"]
            loss = criterion(model(pictures), targets)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            optimizer.step()
            if not math.isfinite(value := float(loss.detach())):
                break
            losses.append(value)
            if value > BLOW_UP * max(losses[0], min(losses)):
                break
    tried, smooth = rates[: len(losses)], smoothed(losses)
    return Found(tried, smooth, suggest(tried, smooth))


def _endless(loader: Loader) -> Iterator[tuple[Tensor, Tensor]]:
    epoch = 0
    while True:
        loader.set_epoch(epoch := epoch + 1)
        yield from loader


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """Half the rate at which the loss falls fastest on the logarithm of the rate, None for no fall.

    What counts is the way from the highest loss before the lowest one down to it.
    """
    lowest = int(np.argmin(losses)) if losses else 0
    first = int(np.argmax(losses[: lowest + 1])) if losses else 0
    if lowest - first < 2:
        return None
    way = slice(first, lowest + 1)
    slopes = np.gradient(np.array(losses[way]), np.log(rates[way]))
    return SAFETY * rates[first + int(np.argmin(slopes))]


def smoothed(losses: list[float]) -> list[float]:
    """The mean of the losses around each step, those further away weighing less.

    Both sides count: a mean of those before it alone lags by half a power of ten of the rate.
    """
    steps = np.arange(len(losses))
    weights = SMOOTH ** np.abs(steps[:, None] - steps)
    means = weights @ np.array(losses) / weights.sum(axis=1)
    return [float(mean) for mean in means]
