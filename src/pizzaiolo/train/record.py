"""What a training leaves behind: TensorBoard events, the card, and the files of the RUN."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from .. import __version__
from ..config import TrainConfig, to_dict, to_toml
from ..core.bundle import UNFINISHED, save_pt, write_text
from ..core.card import Card
from ..core.manifest import Dataset
from ..model.define import Definition
from ..model.torchvision_fix import timm
from .checkpoint import FILE, check_identity
from .curves import learning_curves
from .plan import Epoch, Fit


class TensorBoard:
    """Writes each epoch's figures, and pictures, as TensorBoard events; none without a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.writer: Any = None

    def __enter__(self) -> TensorBoard:
        if self.folder is not None:
            self.writer = SummaryWriter(str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def add(self, epoch: Epoch) -> None:
        """One epoch's losses, shares, rate and speed."""
        for name, value in asdict(epoch).items():
            if self.writer is not None and name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, epoch.epoch)

    def add_picture(self, name: str, pixels: NDArray[Any]) -> None:
        """A picture, uint8 [H, W, 3]."""
        if self.writer is not None:
            self.writer.add_image(name, pixels, dataformats="HWC")


def make_card(
    data: Dataset,
    definition: Definition,
    config: TrainConfig,
    result: Fit,
    per_class: Sequence[int],
) -> Card:
    """The card of a trained model, without what evaluation adds to it.

    `per_class` counts the training pictures.
    """
    assert result.best is not None
    return Card(
        labels=data.labels.unsure_below(config.sure),
        preprocess=definition.preprocess,
        architecture=definition.architecture,
        metrics={"validation": _scores(result.best)},
        data={
            "fingerprint": data.fingerprint,
            "splits": data.counts(),
            "train_per_class": list(per_class),
        },
        training={**to_dict(config), "best_epoch": result.best.epoch, "choices": result.choices},
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


def summarise(run: Path, data: Dataset, card: Card, result: Fit, seconds: float) -> dict[str, Any]:
    """What `train --json` prints."""
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


def write_run(
    folder: Path,
    config: TrainConfig,
    card: Card,
    result: Fit,
    facts: dict[str, Any],
) -> None:
    """Write the files of a RUN; `facts` go into run.json."""
    save_pt(folder / "model.pt", card, result.state)
    write_text(folder / "config.toml", to_toml("train", config))
    write_text(folder / "history.csv", _history(result))
    best = result.best.epoch if result.best else None
    step = "layer tried" if config.recipe == "head" else "epoch"
    write_text(folder / "curves.svg", learning_curves(result.history, best, step))
    whole = {**facts, "card": card.to_dict()}
    write_text(folder / "run.json", json.dumps(whole, indent=2, ensure_ascii=False))


def _history(result: Fit) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(asdict(result.history[0])))
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in result.history)
    return buffer.getvalue()


def quality_of(run: Path | None) -> str | None:
    """The quality of a finished RUN: what a time budget bought once is not measured again."""
    file = run / "run.json" if run else None
    if file is None or not file.is_file():
        return None
    facts = json.loads(file.read_text(encoding="utf-8"))
    quality: str | None = facts.get("identity", {}).get("quality")
    return quality


def finished_run(run: Path, identity: dict[str, str]) -> dict[str, Any] | None:
    """The summary of a RUN that is finished, so that there is nothing to resume.

    Raises `UsageError` when it was another training.
    """
    file = run / "run.json"
    if (run / UNFINISHED / FILE).is_file() or not file.is_file():
        return None
    facts = json.loads(file.read_text(encoding="utf-8"))
    check_identity(facts.get("identity", {}), identity, run)
    return {key: value for key, value in facts.items() if key not in ("identity", "card")}
