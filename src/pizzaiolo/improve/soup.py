"""A soup: the mean of the weights of several fine-tuned networks, which costs no more than one.

Wortsman et al. 2022, "Model soups", recipe greedy: from the best on, each that does no harm on the
validation split is stirred in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import torch
from torch import Tensor

from ..config import TrainConfig
from ..console import log
from ..model.define import Definition, define
from ..model.device import choose_device
from ..train.plan import Fit
from .aim import Aim
from .folds import VALIDATION, Folds
from .outcome import Outcome, Reals
from .search import Search, explained
from .steps import WEIGHTS, answers, read_fit, write_fit
from .trial import DONE, Trial

FEWEST, SOUP = 2, "soup"
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


def add_soups(search: Search, deadline: float | None = None) -> None:
    """Add a soup to the study for each pot of its trials that makes one.

    After `deadline` (`time.monotonic`) nothing more is tasted.
    """
    made = (_ingredient(search, trial) for trial in search.journal.trials())
    for pot in kitchen([ingredient for ingredient in made if ingredient is not None]):
        try:
            device = choose_device(search.journal.device)
            soup = greedy_soup(pot, search.folds, search.aim, device, deadline)
        except Exception as error:  # the search is not lost for it
            log.warning("no soup could be made: %s", explained(error))
            continue
        if soup is not None:
            _serve(search, soup)


def _ingredient(search: Search, trial: Trial) -> Ingredient | None:
    """A finished trial whose weights are there to be stirred in; None for another."""
    file = search.journal.weights(trial.number) / WEIGHTS
    if trial.state != DONE or trial.soup or trial.outcome is None or not file.is_file():
        return None
    return Ingredient(trial.number, trial.config, trial.outcome, file)


def _serve(search: Search, soup: Soup) -> None:
    """Write the soup down as a trial of its own, unless the study has it."""
    claim = search.journal.claim_soup(soup.config, soup.members)
    if claim is None:
        return
    log.info("the mean of the weights of settings %s is better than the best of them", soup.members)
    folder = search.journal.weights(claim.number)
    folder.mkdir(parents=True, exist_ok=True)
    write_fit(folder / WEIGHTS, soup.fit)
    value = search.comparable(soup.outcome)
    search.journal.finish(Trial(claim.number, soup.config, {}, DONE, value, soup.outcome))


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
    pot: Sequence[Ingredient],
    folds: Folds,
    aim: Aim,
    device: torch.device,
    deadline: float | None = None,
) -> Soup | None:
    """The soup of trials of one architecture; None unless it is better than the best of them.

    After `deadline` (`time.monotonic`) no more are stirred in.
    """
    if len(pot) < FEWEST:
        return None
    cook = _Cook(folds, aim, device, define(pot[0].config, len(folds.labels.names)))
    values = {trial.number: cook.value(trial.outcome.probabilities) for trial in pot}
    ranked = sorted(pot, key=lambda t: values[t.number], reverse=aim.higher_is_better)
    best = ranked[0]
    fit, found, members = read_fit(best.weights), best.outcome.probabilities, [best.number]
    state, first, value = fit.state, values[best.number], values[best.number]
    for trial in ranked[1:]:
        if deadline is not None and monotonic() > deadline:
            break
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
    whole = Fit(fit.history, fit.best, state, {**fit.choices, SOUP: members})
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
