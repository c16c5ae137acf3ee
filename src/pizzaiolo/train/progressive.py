"""The second stage of fine-tuning: the last layers, on what the frozen ones before them give.

Those give the same for a picture in every epoch, so it is computed once, for a few views of each
picture, and an epoch costs a fraction of one through all layers.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

from torch import nn

from ..console import log
from ..model.head import KnowingHead
from ..model.network import Recogniser
from .activations import BYTES, Activations, write_activations
from .data import Loader, Split, batches, evaluation_pictures, training_pictures
from .job import Job
from .loop import fit
from .loss import make_loss
from .parallel import processes
from .plan import Epoch, Fit, Mix, Plan
from .stages import Cut, cut

NAME = "stages"
VIEWS = {"quick": 2, "good": 4, "best": 8}
VIEWS_LEAST = 2
MOST_BYTES = 2 * 10**9  # on the disk
VIEWS_SHARE = 0.4  # of a time budget's seconds for this stage, what computing views may take
VALIDATION_BATCH = 32
PATIENCE = 3  # epochs: where the head does well alone, the time is better spent on the next stage

Groups = Callable[[nn.Module, float], list[dict[str, Any]]]


def stage(job: Job, groups: Groups, mix: Mix | None = None) -> Fit | None:
    """Train the last layers of the backbone, and the head; the network then holds the best state.

    That is the one it came with (epoch 0) where no epoch is better on the validation data. Half of
    what is left of a time budget is for this. None, and the reason in the log, where the network
    can't be cut in two and where there is no room for its activations.
    """
    started, left = monotonic(), job.seconds_left()
    network = job.placed()
    with tempfile.TemporaryDirectory(prefix="activations-", dir=job.folder) as place:
        room = min(MOST_BYTES, shutil.disk_usage(place).free // 2)
        made = _cut(job, room)
        if isinstance(made, str):
            log.info("the last layers are not trained on their own: %s", made)
            return None
        loaders = _loaders(job, made, Path(place), room, None if left is None else left / 2)
        seconds = None if left is None else left / 2 - (monotonic() - started)
        result = _fit(job, made, loaders, groups, mix, seconds)
    result.state = {name: tensor.clone() for name, tensor in network.cpu().state_dict().items()}
    _remember(job, result)
    return result


def _remember(job: Job, result: Fit) -> None:
    """What this stage gave travels in the checkpoints of the next."""
    if job.checkpoints and result.best:
        lines = [asdict(epoch) for epoch in result.history]
        kept = {"history": lines, "best": result.best.epoch, "choices": result.choices}
        job.checkpoints.notes[NAME].update(kept)


def remembered(job: Job) -> Fit | None:
    """What this stage gave, by the checkpoint of a later one; its state is not kept."""
    kept = job.checkpoints.notes.get(NAME) if job.checkpoints else None
    if kept is None:
        return None
    result = Fit([Epoch(**line) for line in kept["history"]], choices=kept["choices"])
    result.best = next(epoch for epoch in result.history if epoch.epoch == kept["best"])
    return result


def _cut(job: Job, room: int) -> Cut | str:
    """The two parts of the backbone, or why there are none."""
    network = job.definition.network
    if processes() > 1:
        return "several processes train"
    if not isinstance(network.head, nn.Linear | KnowingHead):
        return "the network has no backbone of its own"
    needed = BYTES * (VIEWS_LEAST * len(job.training) + len(job.validation))
    made = cut(network.backbone, job.definition.preprocess.size, room // needed)
    return made or f"no cut of the network leaves activations of under {room / 1e9:.1f} GB"


def _loaders(
    job: Job, made: Cut, place: Path, room: int, seconds: float | None
) -> tuple[Loader, Loader]:
    """Activations of the training and the validation pictures, from files in `place`."""
    config, device = job.config, job.device
    started = monotonic()
    validation = _computed(job, made, job.validation, 1, place / "validation")
    views = _views(job, made, room, seconds, monotonic() - started)
    training = _computed(job, made, job.training, views, place / "train")
    weights = job.sampling_weights()
    return (
        batches(
            training, config.batch_size, shuffle_seed=config.seed, weights=weights, device=device
        ),
        batches(validation, VALIDATION_BATCH, shuffle_seed=None, device=device),
    )


def _computed(job: Job, made: Cut, split: Split, views: int, file: Path) -> Activations:
    preprocess = job.definition.preprocess
    plain = evaluation_pictures(split, preprocess)
    changed = training_pictures(split, preprocess, job.config) if views > 1 else plain
    write_activations(made.prefix, plain, changed, views, file)
    return Activations(file, split.targets, made.shape, views)


def _views(job: Job, made: Cut, room: int, seconds: float | None, validated: float) -> int:
    """Views of a training picture: as many as there is room and, with a budget, time for.

    `validated` are the seconds that one view of the validation pictures took. A resumed training
    takes as many as it had.
    """
    notes = job.checkpoints.notes if job.checkpoints else {}
    if NAME in notes:
        return int(notes[NAME]["views"])
    config, pictures = job.config, len(job.training)
    changes = config.augment != "none" or config.erase > 0
    views = VIEWS[job.quality] if changes else 1
    taken = room // (BYTES * math.prod(made.shape)) - len(job.validation)
    views = min(views, taken // pictures)
    if seconds is not None:
        each = validated / len(job.validation)
        views = min(views, max(1, int(VIEWS_SHARE * seconds / (each * pictures))))
    notes[NAME] = {"views": views}
    return views


def _fit(
    job: Job,
    made: Cut,
    loaders: tuple[Loader, Loader],
    groups: Groups,
    mix: Mix | None,
    seconds: float | None,
) -> Fit:
    whole, config = job.definition.network, job.config
    network = Recogniser(made.tail, whole.head)
    network.dropout = whole.dropout
    plan = Plan(
        job.epochs(NAME), groups(network, job.rate("finetune")), min(config.patience, PATIENCE),
        trained=True, name=NAME, loss=make_loss(config, job.loss_weights()),
        mix=mix if len(made.shape) == 3 else None, seconds=seconds,
    )  # fmt: skip
    result = fit(network, loaders, plan, config, job.on_epoch, job.checkpoints)
    network.load_state_dict(result.state)
    result.choices.update(tail_after=made.after)
    return result


def joined(first: Fit, second: Fit) -> Fit:
    """Two stages as one training, the second of which began (epoch 0) where the first was best."""
    last = first.history[-1].epoch
    shifted = [later(epoch, last) for epoch in second.history if epoch.epoch]
    assert second.best is not None
    best = later(second.best, last) if second.best.epoch else first.best
    return Fit(first.history + shifted, best, second.state, {**first.choices, **second.choices})


def later(epoch: Epoch, last: int) -> Epoch:
    """The line of an epoch that comes after `last` others."""
    return replace(epoch, epoch=epoch.epoch + last)
