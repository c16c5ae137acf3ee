"""Trials of recipes finetune and scratch: trained once, judged on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from ..config import TrainConfig
from ..core.bundle import save_tensors
from ..errors import InputError
from ..model.define import Definition, define
from ..model.device import own_mode, seed_everything
from ..train.checkpoint import own_draws
from ..train.data import batches, evaluation_pictures
from ..train.job import Job
from ..train.optim import check_optimizer
from ..train.pictures import VALIDATION_BATCH
from ..train.plan import Epoch, Fit
from ..train.recipes import RECIPES
from ..train.scores import infer
from .folds import VALIDATION, Folds
from .outcome import Outcome, Reals, Stopped

WEIGHTS = "weights.pt"
OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class StepsBench:
    """Tries settings of recipes that train by steps, on the train split alone."""

    folds: Folds
    device: torch.device
    cache: Path

    @own_draws()
    @own_mode()
    def trial(self, config: TrainConfig, on_epoch: OnEpoch, folder: Path | None) -> Outcome:
        """The answers of the best epoch to the validation split: what `train` would give.

        The epoch was chosen on the same pictures, which flatters it a little; its figures of
        training are those on pictures as training changes them. `on_epoch` may raise `Stopped`; the
        network answers then as it stands. In `folder` the weights are kept.
        """
        started = monotonic()
        check_optimizer(config.optimizer)
        seed_everything(config.seed)
        definition = define(config, len(self.folds.labels.names))
        job = self._job(definition, config, on_epoch, folder)
        try:
            fit = RECIPES[config.recipe or "finetune"](job)
        except Stopped as stop:
            seconds = monotonic() - started
            raise Stopped(str(stop), Outcome(self._answers(definition), seconds=seconds)) from None
        if folder is not None:
            write_fit(folder / WEIGHTS, fit)
        return self._outcome(definition, fit, monotonic() - started)

    def _job(
        self, definition: Definition, config: TrainConfig, on_epoch: OnEpoch, folder: Path | None
    ) -> Job:
        folds = self.folds
        training = folds.split(np.flatnonzero(folds.fold != VALIDATION))
        validation = folds.split(folds.rows(VALIDATION))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return Job(
            definition, config, training, validation, self.device, self.cache, on_epoch,
            folder=folder,
        )  # fmt: skip

    def _outcome(self, definition: Definition, fit: Fit, seconds: float) -> Outcome:
        best = fit.best
        assert best is not None
        losses = [epoch.validation_loss for epoch in fit.history]
        facts = {
            "best_epoch": best.epoch,
            "epochs": fit.history[-1].epoch,
            "validation_losses": losses,
            "history": [_figures(epoch) for epoch in fit.history],
            "choices": fit.choices,
        }
        answers = self._answers(definition)
        return Outcome(answers, best.train_accuracy, best.train_loss, seconds, facts)

    def _answers(self, definition: Definition) -> Reals:
        """Probabilities [N, C], NaN but for the validation split."""
        rows = self.folds.rows(VALIDATION)
        return answers(definition, self.folds, rows, self.device)


def _figures(epoch: Epoch) -> dict[str, float | None]:
    """What `fit.find_gap` needs of an epoch."""
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return {name: getattr(epoch, name) for name in names}


def answers(
    definition: Definition, folds: Folds, rows: np.ndarray[Any, Any], device: torch.device
) -> Reals:
    """What a network answers to some pictures, as probabilities [N, C]; NaN for the others."""
    network = definition.network.to(device)
    pictures = evaluation_pictures(folds.split(rows), definition.preprocess)
    loader = batches(pictures, VALIDATION_BATCH, shuffle_seed=None, device=device)
    found = np.full((len(folds), len(folds.labels.names)), np.nan)
    found[rows] = infer(network, loader)[0].double().softmax(1).numpy()
    return found


def write_fit(file: Path, fit: Fit) -> None:
    """Keep what a training gave: the best epoch's weights and every epoch's figures."""
    best = fit.best.epoch if fit.best else None
    history = [asdict(epoch) for epoch in fit.history]
    content = {"history": history, "best": best, "choices": fit.choices, "state": fit.state}
    save_tensors(file, content)


def read_fit(file: Path) -> Fit:
    """What `write_fit` kept; raises `InputError` for another file."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        history = [Epoch(**line) for line in content["history"]]
        best = next((epoch for epoch in history if epoch.epoch == content["best"]), None)
        return Fit(history, best, content["state"], content["choices"])
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise InputError(f"{file} holds no weights of a trial: {error}") from None
