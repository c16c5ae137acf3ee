"""`pizzaiolo train`: a DATASET becomes a RUN whose model file is the best epoch."""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from .. import __version__
from ..config import TrainConfig, to_dict, to_toml
from ..console import log
from ..core.bundle import cache_folder, result_folder, save_pt, write_text
from ..core.card import Card
from ..core.manifest import Dataset
from ..errors import UsageError, WorkError
from ..model.backbones import timm
from ..model.custom import is_code
from ..model.define import Definition, define
from ..model.device import choose_device, seed_everything
from .data import class_counts, load_split
from .loop import Epoch, Fit
from .recipes import RECIPES, Job


def train(
    dataset: Path | str | Dataset,
    out: Path | str,
    config: TrainConfig = TrainConfig(),
    network: nn.Module | None = None,
) -> dict[str, Any]:
    """Train a model on the train split and keep the epoch that is best on the validation split.

    `network` is your own `nn.Module` (float [N, 3, H, W] -> logits [N, C]) in place of
    `config.model`. Returns what `train --json` prints; RUN/model.pt holds the best epoch.
    Raises `DatasetError`, `UsageError`, `InputError` or `StorageError`.
    """
    started = time.monotonic()
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    training, validation = load_split(data, "train"), load_split(data, "validation")
    device = choose_device(config.device)
    seed_everything(config.seed)
    config = replace(config, recipe=config.recipe or _default_recipe(config, network))
    definition = define(config, len(data.labels.names), network)
    if network is not None:
        config = replace(config, model=definition.architecture["name"])
    _warn_small(data, definition)
    with result_folder(Path(out), "run", "run.json") as folder:
        with TensorBoard(folder / "tensorboard") as board:
            job = Job(definition, config, training, validation, device, cache_folder(), board.add)
            result = _fit(job)
        card = _card(data, definition, config, result)
        save_pt(folder / "model.pt", card, result.state)
        write_text(folder / "config.toml", to_toml("train", config))
        write_text(folder / "history.csv", _history(result))
        summary = _summary(Path(out), data, card, result, time.monotonic() - started)
        facts = {**summary, "dataset": str(data.root.resolve()), "card": card.to_dict()}
        write_text(folder / "run.json", json.dumps(facts, indent=2, ensure_ascii=False))
    return summary


def _fit(job: Job) -> Fit:
    try:
        return RECIPES[job.config.recipe or "head"](job)
    except torch.OutOfMemoryError as error:
        raise WorkError(
            "the memory of the device is used up", hint="a smaller --batch-size or --size"
        ) from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            "BatchNorm can't learn from one picture at a time", hint="--batch-size 2 or more"
        ) from error


def _default_recipe(config: TrainConfig, network: nn.Module | None) -> str:
    own = network is not None or is_code(config.model) or config.model == "cnn"
    return "scratch" if own or not config.pretrained else "head"


def _warn_small(data: Dataset, definition: Definition) -> None:
    has, needs = data.settings.get("size"), definition.preprocess.short_side
    if has is not None and has < needs:
        log.warning(
            "the copies have a short side of %s pixels, the model wants %s; "
            "hint: prepare again with --size %s",
            has, needs, needs,
        )  # fmt: skip


class TensorBoard:
    """Writes each epoch's figures as TensorBoard events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> TensorBoard:
        self.writer: Any = SummaryWriter(str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def add(self, epoch: Epoch) -> None:
        """One epoch's losses, shares and rate."""
        for name, value in asdict(epoch).items():
            if name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, epoch.epoch)


def _card(data: Dataset, definition: Definition, config: TrainConfig, result: Fit) -> Card:
    best = result.best
    assert best is not None
    targets = [data.labels.index(row.label) for row in data.split("train")]
    return Card(
        labels=data.labels,
        preprocess=definition.preprocess,
        architecture=definition.architecture,
        metrics={"validation": _scores(best)},
        data={
            "fingerprint": data.fingerprint,
            "splits": data.counts(),
            "train_per_class": class_counts(targets, len(data.labels.names)),
        },
        training={**to_dict(config), "best_epoch": best.epoch},
        versions={
            "pizzaiolo": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "timm": timm().__version__,
        },
        weights_licence=definition.weights_licence,
    )


def _scores(best: Epoch) -> dict[str, float]:
    return {
        "accuracy": best.validation_accuracy,
        "f1": best.validation_f1,
        "loss": best.validation_loss,
    }


def _summary(run: Path, data: Dataset, card: Card, result: Fit, seconds: float) -> dict[str, Any]:
    assert result.best is not None
    return {
        "run": str(run),
        "dataset": str(data.root),
        "model": str(run / "model.pt"),
        "backbone": card.architecture["name"],
        "recipe": card.training["recipe"],
        "best_epoch": result.best.epoch,
        "validation": _scores(result.best),
        "seconds": round(seconds, 2),
    }


def _history(result: Fit) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(asdict(result.history[0])))
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in result.history)
    return buffer.getvalue()
