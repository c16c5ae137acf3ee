"""The bench: any setting in, the answers of pictures that it had not learnt from out."""

from __future__ import annotations

from pathlib import Path

import torch

from ..config import TrainConfig
from ..train.defaults import filled
from ..train.plan import Epoch
from .folds import Folds
from .heads import Better, HeadBench, Look, Roles
from .memo import Layers
from .outcome import Outcome, Reals, Stopped
from .steps import OnEpoch, StepsBench

LAYERS = "layers.sqlite"

__all__ = ["LAYERS", "Bench", "Better", "OnEpoch", "Stopped"]


def _go_on(epoch: Epoch) -> None:
    pass


class Bench:
    """Tries settings of `train` on the folds, by the code with which `train` trains.

    `cache` holds embeddings of pictures. In `folder`, where there is one, the solved layers are
    kept for other processes and for a resumed search.
    """

    def __init__(
        self, folds: Folds, device: torch.device, cache: Path, folder: Path | None = None
    ) -> None:
        self.folds = folds
        self.layers = Layers(None if folder is None else folder / LAYERS)
        self._heads = HeadBench(folds, device, cache, self.layers)
        self._steps = StepsBench(folds, device, cache)

    def run(
        self,
        config: TrainConfig,
        better: Better | None = None,
        on_epoch: OnEpoch = _go_on,
        folder: Path | None = None,
    ) -> Outcome:
        """The answers of one setting, by its recipe; raises `Stopped` where it was told to.

        Recipe head asks `better`, the others tell `on_epoch` and keep their weights in `folder`.
        """
        config = filled(config)
        if config.recipe == "head":
            return self.head(config, better)
        return self.steps(config, on_epoch, folder)

    def head(self, config: TrainConfig, better: Better | None = None) -> Outcome:
        """A setting of recipe head: every picture is answered by a model that did not learn its
        fold, `better` says after two folds and each that follows whether to go on."""
        return self._heads.trial(filled(config), better)

    def look(self, config: TrainConfig) -> Look:
        """What the architecture of a setting makes of all pictures: its embeddings and head."""
        return self._heads.look(filled(config))

    def learn(self, config: TrainConfig, parties: Roles) -> Reals:
        """What a head of this setting answers that learns from any pictures: the probabilities
        [A, C] of those that are asked."""
        return self._heads.learn(filled(config), parties)

    def steps(
        self, config: TrainConfig, on_epoch: OnEpoch = _go_on, folder: Path | None = None
    ) -> Outcome:
        """A setting of recipe finetune or scratch: trained once on the train split, it answers the
        validation split. `on_epoch` hears of every epoch and may raise `Stopped`."""
        return self._steps.trial(filled(config), on_epoch, folder)
