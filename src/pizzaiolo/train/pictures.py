"""Recipes finetune and scratch: all layers learn from the pictures themselves."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..console import log
from ..core.bundle import write_text
from ..model.head import KnowingHead
from .augment import mix
from .curves import rate_curve
from .data import Loader, batches, evaluation_pictures, training_pictures, worker_faults
from .head import head
from .job import Job
from .loop import fit
from .loss import make_loss
from .lr_finder import Found, find_rate
from .optim import parameter_groups
from .parallel import is_main
from .plan import Epoch, Fit, Mix, Plan
from .progressive import NAME as STAGES
from .progressive import Groups, joined, later, remembered, stage

VALIDATION_BATCH = 16


def finetune(job: Job) -> Fit:
    """In stages, each from the best state before it on: the head, the last layers, all layers.

    The head is trained on frozen features. The backbone's rate is lower than the head's.
    """
    network, config = job.definition.network, job.config
    trained = job.definition.pretrained and isinstance(network.head, nn.Linear | KnowingHead)

    def groups(network: Any, rate: float) -> list[dict[str, Any]]:
        body = parameter_groups(network.backbone, rate * config.backbone_lr_factor, config)
        return body + parameter_groups(network.head, rate, config)

    if not trained:
        return _fit_pictures(job, "finetune", groups)
    first = _first_stages(job, groups)
    if first is None:
        return _fit_pictures(job, "finetune", groups, trained)
    if job.quality == "quick":
        return first
    last = first.history[-1].epoch

    def on_epoch(epoch: Epoch) -> None:
        if epoch.epoch:
            job.on_epoch(later(epoch, last))

    rest = _fit_pictures(replace(job, on_epoch=on_epoch), "finetune", groups, trained)
    return joined(first, rest)


def _first_stages(job: Job, groups: Groups) -> Fit | None:
    """The head and the last layers, or where a resumed training is past them, what they gave."""
    state = job.checkpoints.state if job.checkpoints else lambda name: None
    if state("finetune") is not None:
        first = remembered(job)
        for epoch in first.history if first else ():
            job.on_epoch(epoch)
        return first
    if state(STAGES) is None:
        plain = replace(job.config, lr=None, epochs=None)
        head(replace(job, config=plain, on_epoch=lambda epoch: None, checkpoints=None))
    return stage(job, groups, _mix(job))


def scratch(job: Job) -> Fit:
    """All layers from a random start, at one rate."""

    def groups(network: nn.Module, rate: float) -> list[dict[str, Any]]:
        return parameter_groups(network, rate, job.config)

    return _fit_pictures(job, "scratch", groups)


@worker_faults()
def _fit_pictures(job: Job, recipe: str, groups: Groups, trained: bool = False) -> Fit:
    network = job.placed()
    loaders = _loaders(job)
    plan = Plan(
        job.epochs(recipe), [], job.config.patience,
        trained=trained, name=recipe, loss=make_loss(job.config, job.loss_weights()),
        mix=_mix(job), seconds=job.seconds_left(),
    )  # fmt: skip
    rate = job.rate(recipe)
    if job.config.find_lr:
        rate = _found_rate(job, plan, loaders[0], groups) or rate
    plan = replace(plan, groups=groups(network, rate), seconds=job.seconds_left())
    result = fit(network, loaders, plan, job.config, job.on_epoch, job.checkpoints)
    result.state = {name: tensor.cpu() for name, tensor in result.state.items()}
    network.cpu().load_state_dict(result.state)
    return result


def _loaders(job: Job) -> tuple[Loader, Loader]:
    config, preprocess = job.config, job.definition.preprocess
    training = training_pictures(job.training, preprocess, config)
    validation = evaluation_pictures(job.validation, preprocess)
    common: dict[str, Any] = {"workers": config.workers, "device": job.device}
    drawn: dict[str, Any] = {
        "weights": job.sampling_weights(), "buffer": config.shuffle_buffer,
    }  # fmt: skip
    return (
        batches(training, config.batch_size, shuffle_seed=config.seed, **drawn, **common),
        batches(validation, VALIDATION_BATCH, shuffle_seed=None, **common),
    )


def _mix(job: Job) -> Mix | None:
    config, classes = job.config, job.classes
    if not (config.mixup or config.cutmix):
        return None

    def mixed(pictures: Tensor, targets: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        return mix(pictures, targets, classes, config, draw)

    return mixed


def _found_rate(job: Job, plan: Plan, loader: Loader, groups: Groups) -> float | None:
    """The rate of the range test, drawn in RUN/lr.svg; a resumed training keeps the first."""
    notes = job.checkpoints.notes if job.checkpoints else {}
    if "lr" in notes:
        found = Found(**notes["lr"])
    else:
        found = find_rate(job.definition.network, loader, plan, job.config, groups)
        notes["lr"] = asdict(found)
    if job.folder is not None and is_main():
        write_text(job.folder / "lr.svg", rate_curve(found.rates, found.losses, found.chosen))
    if found.chosen is None:
        log.warning("the loss falls at none of the rates tried; the usual rate is taken")
    else:
        log.info("the learning rate found is %.2g", found.chosen)
    return found.chosen
