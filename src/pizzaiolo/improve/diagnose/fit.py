"""Overfitting or underfitting: what was learnt against what was not, and the remedy to try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import hypot
from typing import Any

import numpy as np

from ...config import BACKBONE, TrainConfig
from ...core.predictions import Predictions
from ...errors import PizzaioloError
from ...evaluate.figures import Figure, main_figures
from ...evaluate.intervals import wilson
from ...evaluate.metrics import log_loss
from ...model.custom import is_code
from ...model.ensemble import JOIN, members_of
from ...train.defaults import MODELS, filled
from ..aim import Aim, Difference
from ..folds import Folds
from ..outcome import Outcome

OVER, UNDER, FITS, UNCLEAR = "overfits", "underfits", "fits", "unclear"
GAP = (
    0.03  # a gap is large from here on; frozen features with their best strength show 0.01 to 0.03
)
SHORT = 0.05  # so much must training accuracy lack to tell that not even that could be learnt
VAGUE = 0.2  # where the gap's interval is wider nothing can be said
LEARNT, RISEN = 0.5, 1.25  # of the best epoch's losses, for a training that learns by heart
STRONGER = {"none": "light", "light": "rand", "trivial": "rand", "rand": "rand"}


@dataclass(frozen=True)
class Gap:
    """How much better a model is on what it has learnt from; accuracies 0 to 1, losses in nats.

    `gap` is the training accuracy, as far as right labels go, less that on held-out pictures;
    `low` and `high` bound it (95 %). `usual` is the accuracy of always naming the commonest class,
    `ceiling` the best accuracy that wrong labels allow. `verdict` is overfits, underfits, fits, or
    unclear where there are too few pictures to say. `by_heart`: after the best epoch only the
    training pictures were learnt; the figures are then those of the last epoch.
    """

    verdict: str
    train_accuracy: float | None
    held_out_accuracy: float
    gap: float | None
    low: float | None
    high: float | None
    train_loss: float | None
    held_out_loss: float | None
    usual: float
    ceiling: float
    by_heart: bool = False

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Remedy:
    """Settings to try against over- or underfitting: what in words, and the changed fields."""

    what: str
    changes: dict[str, Any]
    config: TrainConfig = field(repr=False)


@dataclass(frozen=True)
class Tried:
    """What a remedy brought on the same pictures: `gain` over 0 is better; None where it failed."""

    remedy: Remedy
    gain: Difference | None = None
    reason: str | None = None

    @property
    def helped(self) -> bool:
        """Whether it is better by more than chance."""
        return self.gain is not None and self.gain.low > 0

    def to_json(self) -> dict[str, Any]:
        """The trial as JSON-ready values."""
        gain = asdict(self.gain) if self.gain else None
        told = {"what": self.remedy.what, "changes": self.remedy.changes, "gain": gain}
        return told | {"helped": self.helped, "reason": self.reason}


def find_gap(outcome: Outcome, predictions: Predictions, learnt: int, noise: float = 0.0) -> Gap:
    """Compare training and held-out figures of one setting.

    `learnt` is how many pictures a model has learnt from, `noise` the share of wrong labels. Where
    a training by epochs went on to learn by heart, the figures are those of its last epoch: the
    best one was saved from that, and tells nothing of it.
    """
    held = main_figures(predictions)["accuracy"]
    held = Figure(held.value or 0.0, held.low or 0.0, 1.0 if held.high is None else held.high)
    usual = float(np.bincount(predictions.truth).max() / len(predictions))
    losses = outcome.train_loss, log_loss(predictions.truth, predictions.probabilities)
    train, ceiling = outcome.train_accuracy, 1 - noise
    last = by_heart(outcome.facts.get("history", ()))
    if last is not None:
        losses = last["train_loss"], last["validation_loss"]
        train, groups = last["train_accuracy"], len(set(predictions.groups))
        share = last["validation_accuracy"]
        held = Figure(share, *wilson(share * groups, groups))
    if train is None:
        return Gap(UNCLEAR, None, _of(held.value), None, None, None, *losses, usual, ceiling)
    known = Figure(train, *wilson(train * learnt, learnt))
    gap = _difference(_below(known, ceiling), held)
    verdict = OVER if last is not None else _verdict(gap, known, usual, ceiling)
    if verdict in (FITS, UNCLEAR) and _sure_and_wrong(losses, predictions):
        verdict = OVER
    ends = (gap.value, gap.low, gap.high)
    return Gap(verdict, train, _of(held.value), *ends, *losses, usual, ceiling, last is not None)


def by_heart(history: Sequence[Mapping[str, float | None]]) -> Mapping[str, Any] | None:
    """The last epoch, if from the best one on only the training pictures were learnt, or None.

    Their loss fell on to less than half while that on others rose by a quarter or more.
    """
    known = [epoch for epoch in history if epoch.get("train_loss") is not None]
    if len(known) < 2:
        return None
    best, last = min(known, key=lambda epoch: _of(epoch["validation_loss"])), known[-1]
    fell = _of(last["train_loss"]) < LEARNT * _of(best["train_loss"])
    rose = _of(last["validation_loss"]) > RISEN * _of(best["validation_loss"])
    return last if fell and rose and last.get("train_accuracy") is not None else None


def _verdict(gap: Figure, train: Figure, usual: float, ceiling: float) -> str:
    short = ceiling - _of(train.value)
    if _of(train.value) <= usual < 1:
        return UNDER  # always naming the commonest class is as good
    if _of(gap.low) > GAP and _of(gap.value) >= short:
        return OVER
    if _of(train.high) < ceiling - SHORT and short > _of(gap.value):
        return UNDER
    return UNCLEAR if _of(gap.high) - _of(gap.low) > VAGUE else FITS


def _sure_and_wrong(losses: tuple[float | None, float | None], predictions: Predictions) -> bool:
    """Whether held-out answers are worse than the shares of the classes, and learnt ones good."""
    train, held = losses
    shares = np.bincount(predictions.truth) / len(predictions)
    chance = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    return train is not None and held is not None and train < chance / 2 and held > 1.5 * chance


def _below(figure: Figure, ceiling: float) -> Figure:
    return Figure(*(min(_of(end), ceiling) for end in (figure.value, figure.low, figure.high)))


def _difference(first: Figure, second: Figure) -> Figure:
    """first - second with the interval of Newcombe (1998, method 10) for independent shares."""
    value = _of(first.value) - _of(second.value)
    less, more = ([abs(_of(e) - _of(f.value)) for e in (f.low, f.high)] for f in (first, second))
    return Figure(value, value - hypot(less[0], more[1]), value + hypot(less[1], more[0]))


def _of(value: float | None) -> float:
    assert value is not None
    return value


def remedies(verdict: str, config: TrainConfig) -> list[Remedy]:
    """What to try against a verdict, the most promising first."""
    config = filled(config)
    rules = {OVER: _against_overfitting, UNDER: _against_underfitting}
    if verdict not in rules:
        return []
    found = []
    for what, changes in rules[verdict](config):
        made = filled(replace(config, **changes))
        if made != config:
            found.append(Remedy(what, changes, made))
    return found


def _against_overfitting(config: TrainConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    own = is_code(config.model)
    if config.recipe == "head":
        yield "soften the labels", {"label_smoothing": 0.1}
        if JOIN in (config.model or ""):
            yield "take a smaller model", {"model": members_of(config.model or "")[0]}
        return
    if config.recipe == "scratch" and not own:
        yield _pretrained()
    changes: dict[str, Any] = {
        "augment": STRONGER[config.augment],
        "label_smoothing": max(config.label_smoothing, 0.1),
        "weight_decay": max(config.weight_decay, 0.05),
    }
    changes |= {} if own else {"dropout": max(config.dropout, 0.2)}
    yield "regularise and augment more", changes
    if config.recipe == "finetune" and not own:
        yield "train the head alone", {"recipe": "head"}


def _against_underfitting(config: TrainConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    own = is_code(config.model)
    if config.recipe == "head":
        larger = _larger(config.model)
        if larger:
            yield "take a larger model", {"model": larger}
        yield "train all layers", {"recipe": "finetune", "model": config.model or BACKBONE}
        return
    if config.recipe == "scratch" and not own:
        yield _pretrained()
    off = {"dropout": 0.0, "drop_path": 0.0, "mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0}
    quality = {"quick": "good", "good": "best"}.get(config.quality or "good", "best")
    more = {"epochs": 2 * config.epochs} if config.epochs else {"quality": quality}
    yield "train longer and regularise less", {**off, **more}


def _pretrained() -> tuple[str, dict[str, Any]]:
    changes = {"model": BACKBONE, "recipe": "head", "pretrained": True, "size": None}
    return "start from a pretrained network", changes


def _larger(model: str | None) -> str | None:
    """The next of the joined networks, None after the last and for others."""
    ladder = list(MODELS.values())
    here = ladder.index(model) if model in ladder else len(ladder)
    return ladder[here + 1] if here + 1 < len(ladder) else None


def try_remedy(
    run: Callable[[TrainConfig], Outcome], folds: Folds, aim: Aim, outcome: Outcome, remedy: Remedy
) -> Tried:
    """One more trial: the remedy against what it is meant for, on the same pictures."""
    try:
        found = run(remedy.config)
        return Tried(remedy, aim.gain_of(folds, outcome, found))
    except PizzaioloError as error:
        return Tried(remedy, reason=str(error))
