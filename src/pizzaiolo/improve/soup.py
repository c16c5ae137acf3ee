"""A soup: the mean of the weights of several fine-tuned networks, which costs no more than one.

Wortsman et al. 2022, "Model soups", recipe greedy: from the best on, each that does no harm on the
validation split is stirred in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..config import TrainConfig
from ..console import log
from ..model.define import Definition, define
from ..train.plan import Fit
from .aim import Aim
from .folds import VALIDATION, Folds
from .outcome import Outcome, Reals
from .steps import answers, read_fit

FEWEST = 2
State = dict[str, Tensor]


@dataclass(frozen=True)
class Ingredient:
    """A finished trial of recipe finetune: its settings, answers and kept weights."""

    number: int
    config: TrainConfig
    outcome: Outcome
    weights: Path


@dataclass(frozen=True)
class Soup:
    """The mean of the weights of some trials, better on the validation split than the best one.

    `members` are the trials' numbers, the best first; `config` is the best one's. `value` and
    `best` are the aim of the soup and of the best trial. The trials were chosen on the same
    pictures, which flatters it a little.
    """

    members: tuple[int, ...]
    config: TrainConfig
    fit: Fit
    outcome: Outcome
    value: float
    best: float


def kitchen(trials: Sequence[Ingredient]) -> list[list[Ingredient]]:
    """The trials that fit into one pot: fine-tuned from the same start, two at least."""
    pots: dict[tuple[object, ...], list[Ingredient]] = {}
    for trial in trials:
        config = trial.config
        if config.recipe != "finetune" or not (config.pretrained or config.weights):
            continue  # networks from different random starts have nothing in common
        sizes = (config.size, config.resize_mode, config.knowledge)
        key = (config.model, *sizes, config.pretrained, config.weights)
        pots.setdefault(key, []).append(trial)
    return [pot for pot in pots.values() if len(pot) >= FEWEST]


def greedy_soup(
    pot: Sequence[Ingredient], folds: Folds, aim: Aim, device: torch.device
) -> Soup | None:
    """The soup of trials of one architecture; None unless it is better than the best of them."""
    if len(pot) < FEWEST:
        return None
    cook = _Cook(folds, aim, device, define(pot[0].config, len(folds.labels.names)))
    values = {trial.number: cook.value(trial.outcome.probabilities) for trial in pot}
    ranked = sorted(pot, key=lambda t: values[t.number], reverse=aim.higher_is_better)
    best = ranked[0]
    fit, found, members = read_fit(best.weights), best.outcome.probabilities, [best.number]
    state, first, value = fit.state, values[best.number], values[best.number]
    for trial in ranked[1:]:
        tried = stirred(state, read_fit(trial.weights).state, len(members))
        if tried is None:
            continue
        said = cook.answers(tried)
        if not aim.better(cook.value(said), value):
            state, found, value = tried, said, cook.value(said)
            members.append(trial.number)
    if not aim.better(first, value):
        log.info("no soup of %s trials is better than the best of them", len(ranked))
        return None
    whole = Fit(fit.history, fit.best, state, {**fit.choices, "soup": members})
    return Soup(tuple(members), best.config, whole, Outcome(found), value, first)


@dataclass(frozen=True)
class _Cook:
    """Tastes: what weights answer to the validation split, and how good that is."""

    folds: Folds
    aim: Aim
    device: torch.device
    definition: Definition

    def answers(self, state: State) -> Reals:
        """Probabilities [N, C], NaN but for the validation split."""
        self.definition.network.cpu().load_state_dict(state)
        rows = self.folds.rows(VALIDATION)
        return answers(self.definition, self.folds, rows, self.device)

    def value(self, probabilities: Reals) -> float:
        """The aim on the validation split."""
        rows = self.folds.rows(VALIDATION)
        return self.aim.value(Outcome(probabilities).predictions(self.folds, rows))


def stirred(state: State, other: State, count: int) -> State | None:
    """The mean of `count` networks, whose mean is `state`, and another one.

    Whole numbers, such as counters, stay. None where the networks have other shapes.
    """
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in other.items()}:
        return None
    return {
        name: (mine * count + other[name]) / (count + 1) if mine.is_floating_point() else mine
        for name, mine in state.items()
    }
