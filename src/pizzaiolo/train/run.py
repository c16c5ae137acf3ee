"""`pizzaiolo train`: a DATASET becomes a RUN whose model file is the best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config import BACKBONE, TrainConfig
from ..console import log
from ..core.bundle import UNFINISHED, cache_folder, result_folder
from ..core.manifest import Dataset
from ..errors import UsageError
from ..model.define import Definition, define
from ..model.device import choose_device, own_mode, seed_everything
from ..model.features import pretrained_embedder
from ..settings import duration
from .checkpoint import FILE, Checkpoints, identity, own_draws
from .data import Split, load_split
from .defaults import affordable, filled, unused
from .job import Job
from .optim import check_optimizer
from .parallel import all_alike, is_main, own_device, processes, wait_for_all
from .plan import Epoch, Fit
from .recipes import RECIPES
from .record import TensorBoard, finished_run, make_card, quality_of, summarise, write_run
from .sampling import class_counts
from .show import batch_grid
from .show import show_batch as write_batch

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class SetUp:
    """A data set and a network that fit each other, ready to be trained."""

    data: Dataset
    config: TrainConfig
    definition: Definition
    training: Split
    validation: Split
    device: torch.device


@own_draws()
@own_mode()
def train(
    dataset: Path | str | Dataset,
    out: Path | str,
    config: TrainConfig = TrainConfig(),
    network: nn.Module | None = None,
    *,
    resume: bool = False,
    on_epoch: OnEpoch = lambda epoch: None,
) -> dict[str, Any]:
    """Train a model on the train split and keep the epoch that is best on the validation split.

    `network` is your own `nn.Module` (float [N, 3, H, W] -> logits [N, C]) in place of
    `config.model`. `resume` goes on where a training into `out` was cut off, to the same bits as
    if it had not been; without anything to resume it starts afresh. `on_epoch` hears of every epoch
    (of recipe head: of every layer that is tried). Returns what `train --json`
    prints; RUN/model.pt holds the best epoch.
    Raises `DatasetError`, `UsageError`, `InputError`, `WorkError` or `StorageError`.
    """
    started, run = time.monotonic(), Path(out)
    ready = _set_up(dataset, config, network, run if resume else None)
    marks = identity(ready.config, ready.data.fingerprint, ready.definition.network, ready.device)
    earlier = finished_run(run, marks) if resume else None
    if all_alike(earlier is not None) and earlier is not None:
        log.info("the training in %s is finished, there is nothing to resume", run)
        return earlier
    with _run_folder(run) as folder:
        checkpoints = Checkpoints(folder / FILE, marks, ready.config.checkpoint_seconds, resume)
        result = _fit(ready, folder, checkpoints, started, on_epoch)
        summary = _write(ready, folder, run, result, marks, started)
    wait_for_all()
    return summary


@own_draws()
@own_mode()
def keep(
    dataset: Path | str | Dataset, out: Path | str, config: TrainConfig, result: Fit
) -> dict[str, Any]:
    """Write the RUN of weights that came about elsewhere, for the network of these settings.

    Returns and raises what `train` does.
    """
    started, run = time.monotonic(), Path(out)
    ready = _set_up(dataset, config, None)
    marks = identity(ready.config, ready.data.fingerprint, ready.definition.network, ready.device)
    with _run_folder(run) as folder:
        return _write(ready, folder, run, result, marks, started)


def _write(
    ready: SetUp, folder: Path, run: Path, result: Fit, marks: dict[str, str], started: float
) -> dict[str, Any]:
    """Write the files of the RUN into its folder; returns the summary."""
    per_class = class_counts(ready.training.targets, len(ready.data.labels.names))
    card = make_card(ready.data, ready.definition, ready.config, result, per_class)
    summary = summarise(run, ready.data, card, result, time.monotonic() - started)
    if is_main():
        place = str(ready.data.root.resolve())
        facts = {**summary, "dataset": place, "identity": marks}
        write_run(folder, ready.config, card, result, facts)
    return summary


@own_draws()
@own_mode()
def show_batch(
    dataset: Path | str | Dataset,
    file: Path | str,
    config: TrainConfig = TrainConfig(),
    network: nn.Module | None = None,
) -> None:
    """Draw training pictures as the network would see them, and train nothing."""
    ready = _set_up(dataset, config, network)
    names = ready.data.labels.names
    write_batch(ready.training, ready.definition.preprocess, ready.config, names, Path(file))


def _set_up(
    dataset: Path | str | Dataset,
    config: TrainConfig,
    network: nn.Module | None,
    earlier: Path | None = None,
) -> SetUp:
    check_optimizer(config.optimizer)
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    training, validation = load_split(data, "train"), load_split(data, "validation")
    device = own_device(choose_device(config.device))
    seed_everything(config.seed)
    pictures = len(training) + len(validation)

    def most() -> str:
        return quality_of(earlier) or _affordable(config, pictures, device)

    asked, config = config, filled(config, network is not None, most)
    if idle := unused(config):
        log.warning("recipe %s has no use for %s", config.recipe, ", ".join(idle))
    definition = define(config, len(data.labels.names), network)
    if network is not None:
        config = replace(config, model=definition.architecture["name"])
    if asked.model or network is not None:  # those chosen here do well on smaller copies
        _warn_small(data, definition)
    return SetUp(data, config, definition, training, validation, device)


def _affordable(config: TrainConfig, pictures: int, device: torch.device) -> str:
    """The quality of recipe head that its time budget allows."""
    if config.time_budget is None or config.model is not None or processes() > 1:
        return "quick"
    each = pretrained_embedder(BACKBONE, device).seconds_each()
    return affordable(each, pictures, duration(config.time_budget))


def _warn_small(data: Dataset, definition: Definition) -> None:
    has, needs = data.settings.get("size"), definition.preprocess.short_side
    if has is not None and has < needs:
        log.warning(
            "the copies have a short side of %s pixels, the model wants %s; "
            "hint: prepare again with --size %s",
            has, needs, needs,
        )  # fmt: skip


@contextmanager
def _run_folder(run: Path) -> Iterator[Path]:
    """The folder of the run's files until they are whole; the checkpoint outlives what fails."""
    if is_main():
        with result_folder(run, "run", "run.json", FILE, BaseException) as folder:
            wait_for_all()
            yield folder
    else:
        wait_for_all()
        yield run / UNFINISHED


def _fit(
    ready: SetUp, folder: Path, checkpoints: Checkpoints, started: float, on_epoch: OnEpoch
) -> Fit:
    config, definition = ready.config, ready.definition
    with TensorBoard(folder / "tensorboard" if is_main() else None) as board:

        def heard(epoch: Epoch) -> None:
            board.add(epoch)
            on_epoch(epoch)

        job = Job(
            definition, config, ready.training, ready.validation, ready.device, cache_folder(),
            heard, checkpoints, folder, _deadline(config, started),
        )  # fmt: skip
        if config.recipe != "head" and is_main():
            names = ready.data.labels.names
            grid = batch_grid(ready.training, definition.preprocess, config, names)
            board.add_picture("training pictures", grid)
        try:
            return RECIPES[config.recipe or "head"](job)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UsageError(
                "BatchNorm can't learn from one picture at a time", hint="--batch-size 2 or more"
            ) from error


def _deadline(config: TrainConfig, started: float) -> float | None:
    if config.time_budget is None:
        return None
    seconds = duration(config.time_budget)
    return started + seconds - min(2.0, 0.05 * seconds)  # the model has yet to be written
