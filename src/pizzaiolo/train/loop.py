"""The training loop, read in one sitting: every recipe runs it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainConfig
from ..console import Advance, progress
from . import faults
from .augment import seeded
from .budget import MEASURED, Budget
from .checkpoint import Checkpoints, random_state, seed_epoch, set_random_state
from .data import Loader
from .loss import make_loss
from .optim import average, make_optimizer, set_rates
from .parallel import make_accelerator, of_each, process_index, processes, share
from .plan import Epoch, Fit, Plan, Position
from .scores import validate

GPU_STEPS = 16  # steps between two looks at the loss, for each look waits for the GPU


def fit(
    network: nn.Module,
    loaders: tuple[Loader, Loader],
    plan: Plan,
    config: TrainConfig,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    checkpoints: Checkpoints | None = None,
) -> Fit:
    """Train, look at the validation data after every epoch, and keep the best one.

    The best epoch has the lowest validation loss. Training stops early after `plan.patience` epochs
    without a better one. Raises `WorkError` when the loss is no longer a number and when the
    memory is used up, and what reading pictures and writing checkpoints raise.
    """
    trainer = Trainer(network, loaders, plan, config, on_epoch, checkpoints)
    try:
        with progress(plan.name, trainer.at.total) as advance:
            return trainer.run(advance)
    except RuntimeError as error:
        if not faults.is_out_of_memory(error):
            raise
        raise trainer.too_large() from error


class Trainer:
    """The state of one training, and what moves it on."""

    def __init__(
        self,
        network: nn.Module,
        loaders: tuple[Loader, Loader],
        plan: Plan,
        config: TrainConfig,
        on_epoch: Callable[[Epoch], None],
        checkpoints: Checkpoints | None,
    ) -> None:
        self.network, self.plan, self.config = network, plan, config
        self.on_epoch, self.checkpoints, self.result = on_epoch, checkpoints, Fit()
        self.loader, self.part = loaders[0], share(loaders[0])
        self.validation, self.validated = share(loaders[1]), len(loaders[1].dataset)  # type: ignore[arg-type]
        device = next(network.parameters()).device
        self.accelerator = make_accelerator(device, config.precision)
        # A wrapper of its own takes the hooks of accelerate: the network stays as it is.
        self.model, self.optimizer = self.accelerator.prepare(
            nn.Sequential(network), make_optimizer(config, plan.groups)
        )
        self.criterion = (plan.loss or make_loss(config)).to(device)
        self.ema = average(network, config.ema) if config.ema else None
        self.look_after = 1 if device.type == "cpu" else GPU_STEPS
        self.pending: list[tuple[Tensor, int]] = []  # steps: (loss, right answers), pictures
        self.shape: tuple[int, ...] = ()  # of the last batch
        steps, size = len(self.part), loaders[0].batch_size or 1
        self.at = Position(plan.epochs * steps)
        self.budget = Budget(plan.seconds, self.at.total, steps, steps * size, self.validated)

    def run(self, advance: Advance) -> Fit:
        """Go on from where it stands to the end."""
        self.restore()
        advance(self.at.step)
        if self.plan.trained and not self.result.history:
            self.judge(0)
        while not self.finished():
            self.train_epoch(advance)
            self.judge(self.at.epoch + 1)
        return self.result

    def finished(self) -> bool:
        """Whether all steps are done, the time is over, or no better epoch came for long."""
        best = self.result.best
        early = best is not None and self.at.epoch - best.epoch >= self.plan.patience
        late = best is not None and self.budget.over()
        return early or late or self.at.step >= self.at.total

    def train_epoch(self, advance: Advance) -> None:
        """One pass over the training pictures, or what the plan leaves of it."""
        at, clock = self.at, time.monotonic()
        if not at.batch:
            seed_epoch(self.config.seed, at.epoch + 1)
        self.loader.set_epoch(at.epoch + 1, at.batch * processes())
        set_train_mode(self.model, self.plan.trained)
        for pictures, targets in self.part:
            self.step(pictures, targets)
            if len(self.pending) >= self.look_after:
                self.drain()
            now = time.monotonic()
            self.budget.time_step(now - clock)
            at.seconds, clock = at.seconds + now - clock, now
            if self.budget.timed in MEASURED:
                at.total = self.budget.plan(at.step)
            advance(1, at.live(processes()), at.total)
            if self.checkpoints and self.checkpoints.due():
                self.save()
            if at.step >= at.total or self.budget.over():
                break
        self.drain()

    def step(self, pictures: Tensor, targets: Tensor) -> None:
        """One batch: forward, backward, and a step of the optimiser."""
        at, config = self.at, self.config
        self.shape = tuple(pictures.shape)
        if self.plan.mix:
            generator = seeded(config.seed, at.epoch + 1, self.batch_number(at.batch))
            pictures, targets = self.plan.mix(pictures, targets, generator)
        set_rates(self.optimizer, config, at.step, at.total)
        logits = self.model(pictures)
        loss = self.criterion(logits, targets)
        self.optimizer.zero_grad(set_to_none=True)
        second_order = getattr(self.optimizer.optimizer, "is_second_order", False)
        self.accelerator.backward(loss, create_graph=second_order)
        if config.clip_grad:
            self.accelerator.clip_grad_norm_(self.model.parameters(), config.clip_grad)
        self.optimizer.step()
        if self.ema:
            self.ema.update_parameters(self.network)
        truth = targets if targets.ndim == 1 else targets.argmax(1)
        right = (logits.detach().argmax(1) == truth).sum()
        self.pending.append((torch.stack((loss.detach().float(), right.float())), len(targets)))
        at.step, at.batch = at.step + 1, at.batch + 1

    def drain(self) -> None:
        """Add up the steps since the last look; raises `WorkError` for a loss that is no number."""
        at, first = self.at, self.at.batch - len(self.pending)
        for batch, (figures, seen) in enumerate(self.pending, first):
            loss, right = figures.tolist()
            if not math.isfinite(loss):
                number = self.batch_number(batch)
                raise faults.not_a_number(self.loader, at.epoch + 1, number, self.kept())
            at.loss, at.right, at.seen = at.loss + loss * seen, at.right + right, at.seen + seen
        self.pending.clear()

    def judge(self, number: int) -> None:
        """Look at the validation data after an epoch, and keep it where it is the best."""
        at, started = self.at, time.monotonic()
        network = self.ema.module if self.ema and number else self.network
        scores = validate(network, self.validation, self.accelerator.gather, self.validated)
        self.budget.validation = time.monotonic() - started
        if not math.isfinite(scores[0]):
            raise faults.not_a_score(number, self.kept())
        seconds = at.seconds + self.budget.validation
        epoch = Epoch(number, None, *scores, 0.0, seconds)
        if number:
            loss, right, seen = self.sums()
            rate, speed = float(self.optimizer.param_groups[-1]["lr"]), seen / (at.seconds or 1.0)
            epoch = Epoch(number, loss / seen, *scores, rate, seconds, right / seen, speed)
        self.result.history.append(epoch)
        if self.result.best is None or epoch.validation_loss < self.result.best.validation_loss:
            self.result.best = epoch
            self.result.state = copy.deepcopy(network.state_dict())
        self.at = Position(self.budget.plan(at.step), number, step=at.step)
        self.on_epoch(epoch)
        if self.checkpoints:
            self.save()

    def sums(self) -> tuple[float, float, float]:
        """Loss, right answers and pictures of the running epoch, over all processes."""
        sums = torch.tensor([self.at.loss, self.at.right, self.at.seen])
        if processes() == 1:
            return self.at.loss, self.at.right, self.at.seen
        loss, right, seen = self.accelerator.reduce(sums.to(self.accelerator.device)).tolist()
        return loss, right, seen

    def batch_number(self, batch: int) -> int:
        """The number in the epoch, over all processes, of this process's batch."""
        return batch * processes() + int(self.accelerator.process_index)

    def kept(self) -> Any:
        """The checkpoint's file, where there is one."""
        path = self.checkpoints.path if self.checkpoints else None
        return path if path and path.exists() else None

    def too_large(self) -> Exception:
        """The error of a batch that doesn't fit, after looking for one that does."""

        def attempt(size: int) -> None:
            inputs = torch.zeros(size, *self.shape[1:], device=self.accelerator.device)
            loss = self.model(inputs).float().logsumexp(1).mean()
            self.accelerator.backward(loss)
            self.optimizer.zero_grad(set_to_none=True)

        return faults.too_large(self.shape[0], attempt)

    def save(self) -> None:
        """Write all that `restore` needs."""
        assert self.checkpoints
        self.drain()
        result, ema, scaler = self.result, self.ema, self.accelerator.scaler
        state = {
            "each": of_each({"position": asdict(self.at), "random": random_state()}),
            "elapsed": self.budget.elapsed(),
            "history": [asdict(epoch) for epoch in result.history],
            "best": result.best.epoch if result.best else None,
            "best_state": result.state,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": ema.state_dict() if ema else None,
            "scaler": scaler.state_dict() if scaler else None,
        }
        self.checkpoints.save(self.plan.name, state)

    def restore(self) -> None:
        """Go back to where the checkpoint stands, if there is one of this stage."""
        state = self.checkpoints.state(self.plan.name) if self.checkpoints else None
        if state is None:
            return
        own = state["each"][process_index()]
        self.at, self.budget.spent = Position(**own["position"]), state["elapsed"]
        history = [Epoch(**epoch) for epoch in state["history"]]
        best = next((epoch for epoch in history if epoch.epoch == state["best"]), None)
        self.result = Fit(history, best, state["best_state"])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        set_random_state(own["random"])
        for epoch in history:
            self.on_epoch(epoch)


def set_train_mode(network: nn.Module, keep_statistics: bool) -> None:
    """Training mode; BatchNorm's running statistics stay as they are where that is asked for."""
    network.train()
    if keep_statistics:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
