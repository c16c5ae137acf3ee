"""Optimisers by their name in timm, their groups of parameters, and how the rate changes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..config import TrainConfig
from ..errors import UsageError, nearest
from ..model.torchvision_fix import timm

ONE_CYCLE_START = 25.0  # the peak is so many times the first rate (fastai's and PyTorch's value)
ONE_CYCLE_MOMENTUM = 0.85, 0.95  # at the peak, at both ends


def factory() -> Any:
    """timm's optimisers."""
    timm()  # torchvision, which it needs, has to be imported with care
    from timm import optim

    return optim


def check_optimizer(name: str) -> None:
    """Raise `UsageError` with the nearest names unless timm has an optimiser of this name."""
    known = factory().list_optimizers()
    if name.lower().removeprefix("lookahead_") not in known:
        raise UsageError(f"optimizer is {name!r}, which is not known", hint=nearest(name, known))


def parameter_groups(module: nn.Module, lr: float, config: TrainConfig) -> list[dict[str, Any]]:
    """A module's parameters at one rate: weight decay on matrices, none on biases and norms.

    Nor on what the architecture itself names, such as the embeddings of positions.
    """
    names: Any = getattr(module, "no_weight_decay", tuple)
    groups: list[dict[str, Any]] = factory().param_groups_weight_decay(
        module, config.weight_decay, no_weight_decay_list=names()
    )
    return [{**group, "lr": lr} for group in groups if group["params"]]


def make_optimizer(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser of the settings; each group brings its own rate.

    Raises `UsageError` for an unknown name and for one that needs a package that is not here.
    """
    check_optimizer(config.optimizer)
    name = config.optimizer.lower()
    if name in ("sgd", "nesterov") and not config.momentum:
        name = "momentum"  # timm's name of SGD without Nesterov's momentum, which can't be 0
    try:
        made: torch.optim.Optimizer = factory().create_optimizer_v2(
            groups,
            name,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
        )
    except (ImportError, AssertionError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the optimizer {config.optimizer!r} can't be made here: {error}",
            hint="choose another, for example --optimizer adamw",
        ) from None
    for group in made.param_groups:
        group["peak_lr"] = group["lr"]
    return made


def rate_factor(config: TrainConfig, step: int, total: int) -> float:
    """The rate of a step (0 to `total` - 1) as a share of its peak.

    cosine: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017); one_cycle: half
    a cosine up and half a cosine down (Smith & Topin 2018); constant: linear warm-up alone.
    """
    warm = min(total, max(1, round(config.warmup * total)))
    behind = (step - warm) / max(1, total - warm)  # of what comes after the warm-up
    if config.schedule == "one_cycle":
        low = 1 / ONE_CYCLE_START
        return low + (1 - low) * _bend(1 - step / warm) if step < warm else _bend(behind)
    if step < warm:
        return (step + 1) / warm
    return 1.0 if config.schedule == "constant" else _bend(behind)


def _bend(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def set_rates(optimizer: Any, config: TrainConfig, step: int, total: int) -> None:
    """Set every group's rate for a step; one_cycle moves the momentum against the rate."""
    factor = rate_factor(config, step, total)
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
        if config.schedule == "one_cycle":
            low, high = ONE_CYCLE_MOMENTUM
            _set_momentum(group, high - (high - low) * factor)


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if group.get("momentum"):
        group["momentum"] = momentum
    elif isinstance(group.get("betas"), (list, tuple)):
        group["betas"] = (momentum, *group["betas"][1:])


def average(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of the weights; early steps count more, as many are few."""

    def update(averaged: Any, current: Any, steps: Any) -> None:
        warm = (1 + float(steps)) / (10 + float(steps))
        moving_average: Any = get_ema_multi_avg_fn(min(decay, warm))  # type: ignore[no-untyped-call]
        moving_average(averaged, current, steps)

    return AveragedModel(network, multi_avg_fn=update)
