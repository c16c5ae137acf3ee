"""The training loop, read in one sitting: every recipe runs it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..config import TrainConfig
from ..console import Advance
from ..errors import WorkError


@dataclass(frozen=True)
class Epoch:
    """One line of history.csv: losses are mean cross-entropy in nats, shares lie in 0..1.

    Epoch 0 is the network as it was before this training, so it has no training loss.
    """

    epoch: int
    train_loss: float | None
    validation_loss: float
    validation_accuracy: float
    validation_f1: float
    lr: float
    seconds: float


@dataclass
class Fit:
    """What a training gives: the best epoch's weights, and every epoch's figures."""

    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    state: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train, with the rate of each group of parameters.

    A network that is `trained` already counts as epoch 0, so training never makes it worse, and
    its BatchNorm statistics stay: those of a few small batches would be poorer.
    """

    epochs: int
    groups: list[dict[str, Any]]
    patience: int
    warmup: float = 0.1
    trained: bool = False


def fit(
    network: nn.Module,
    loaders: tuple[DataLoader[Any], DataLoader[Any]],
    plan: Plan,
    config: TrainConfig,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    advance: Advance = lambda n=1: None,
) -> Fit:
    """Train, look at the validation data after every epoch, and keep the best one.

    The best epoch has the lowest validation loss. Training stops early after `plan.patience` epochs
    without a better one. Raises `WorkError` when the loss is no longer a number.
    """
    training, validation = loaders
    device = next(network.parameters()).device
    optimizer = make_optimizer(config, plan.groups)
    schedule = make_schedule(optimizer, plan, len(training))
    criterion = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    result = Fit()

    def keep(epoch: Epoch) -> None:
        if not all(map(math.isfinite, (epoch.train_loss or 0.0, epoch.validation_loss))):
            raise WorkError("the loss is no longer a number", hint="try a lower --lr")
        result.history.append(epoch)
        if result.best is None or epoch.validation_loss < result.best.validation_loss:
            result.best = epoch
            result.state = copy.deepcopy(network.state_dict())
        on_epoch(epoch)

    if plan.trained:
        started = time.monotonic()
        scores = validate(network, validation)
        keep(Epoch(0, None, *scores, 0.0, time.monotonic() - started))
    for number in range(1, plan.epochs + 1):
        started = time.monotonic()
        set_epoch(training, number)
        set_train_mode(network, plan.trained)
        total, seen = 0.0, 0
        for pictures, targets in training:
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(network(pictures.to(device)), targets.to(device))
            loss.backward()
            optimizer.step()
            schedule.step()
            total, seen = total + loss.item() * len(targets), seen + len(targets)
        scores = validate(network, validation)
        rate = float(optimizer.param_groups[-1]["lr"])
        keep(Epoch(number, total / seen, *scores, rate, time.monotonic() - started))
        advance()
        if result.best is not None and number - result.best.epoch >= plan.patience:
            break
    return result


def make_optimizer(config: TrainConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD with momentum; each group brings its own rate."""
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "sgd": lambda params, **k: torch.optim.SGD(params, momentum=0.9, nesterov=True, **k),
    }
    return kinds[config.optimizer](groups, weight_decay=config.weight_decay)


def make_schedule(
    optimizer: torch.optim.Optimizer, plan: Plan, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then half a cosine down to zero, step by step."""
    total = plan.epochs * steps
    warm = max(1, round(plan.warmup * total))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def set_epoch(loader: DataLoader[Any], number: int) -> None:
    """Tell the data which epoch it is, so that each epoch draws its own augmentation."""
    epoch = getattr(loader.dataset, "epoch", None)
    if isinstance(epoch, Tensor):
        epoch.fill_(number)


def set_train_mode(network: nn.Module, keep_statistics: bool) -> None:
    """Training mode; BatchNorm's running statistics stay as they are where that is asked for."""
    network.train()
    if keep_statistics:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def validate(network: nn.Module, loader: DataLoader[Any]) -> tuple[float, float, float]:
    """Loss (cross-entropy, nats), accuracy and F1 (mean over classes) on a loader's data."""
    logits, targets = infer(network, loader)
    loss = float(nn.functional.cross_entropy(logits, targets))
    predicted = logits.argmax(dim=1).numpy()
    truth = targets.numpy()
    return loss, float((predicted == truth).mean()), macro_f1(truth, predicted, logits.shape[1])


def infer(network: nn.Module, loader: Iterable[Any]) -> tuple[Tensor, Tensor]:
    """Logits [N, C] and class indices [N] of a loader's data, in order, on the CPU."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        parts = [(network(x.to(device)).float().cpu(), y) for x, y in loader]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); 0 for a class never seen."""
    scores = []
    for index in range(classes):
        hits = int(np.sum((truth == index) & (predicted == index)))
        wrong = int(np.sum((truth == index) != (predicted == index)))
        scores.append(2 * hits / (2 * hits + wrong) if hits else 0.0)
    return float(np.mean(scores))
