"""A setting that is proposed, before anything of it is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from ..config import TrainConfig
from .space import Space

Direction = Literal["maximize", "minimize"]
STARTUP = 10  # settings at random before the sampler learns from them


class Draft:
    """Suggests parameters as a trial of Optuna does; `params` are those that were asked for."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""
        return self._keep(name, CategoricalDistribution(choices))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number of the range."""
        return float(self._keep(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number of the range."""
        return int(self._keep(name, IntDistribution(low, high, log=log, step=step)))

    def _keep(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        self.params[name] = self._value(name, distribution)
        return self.params[name]

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        raise NotImplementedError


class Given(Draft):
    """What is known already."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        self.given = given

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        return self.given[name]


class Proposed(Draft):
    """What the sampler of a study proposes."""

    def __init__(self, study: optuna.Study) -> None:
        super().__init__()
        self.study, self.frozen = study, create_trial(state=TrialState.RUNNING)
        space = study.sampler.infer_relative_search_space(study, self.frozen)
        self.relative = study.sampler.sample_relative(study, self.frozen, space)

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self.relative:
            return self.relative[name]
        return self.study.sampler.sample_independent(self.study, self.frozen, name, distribution)


class Proposer:
    """Optuna's TPE over a part of the space; it learns from the trials that lie in it.

    They are kept in memory: in the study itself a parameter has all its choices for ever, and
    TPE would go on proposing those that are left out.
    """

    def __init__(self, space: Space, maximise: bool) -> None:
        self.space, self.seen = space, set[int]()
        self.storage = optuna.storages.InMemoryStorage()
        direction: Direction = "maximize" if maximise else "minimize"
        self.memory = optuna.create_study(
            storage=self.storage, study_name="part", direction=direction
        )

    def learn(self, number: int, config: TrainConfig, value: float, whole: bool) -> None:
        """Hear what a trial gave; `whole` unless it was stopped."""
        self.seen.add(number)
        if params := self.space.params(config):
            draft = Given(params)
            self.space.suggest(draft)
            state = TrialState.COMPLETE if whole else TrialState.PRUNED
            on_the_way = {} if whole else {1: value}
            self.memory.add_trial(
                create_trial(
                    state=state, value=value, params=draft.params,
                    distributions=draft.distributions, intermediate_values=on_the_way,
                )
            )  # fmt: skip

    def proposals(self, seed: int) -> Iterator[TrainConfig]:
        """One setting after the other, without end; the same for the same seed and trials."""
        sampler = _make_sampler(seed)
        study = optuna.load_study(study_name="part", storage=self.storage, sampler=sampler)
        while True:
            yield self.space.suggest(Proposed(study))


def _make_sampler(seed: int) -> TPESampler:
    """For parameters that only some of the trials have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        # A liar would write into trials that are not there yet; claims keep processes apart.
        return TPESampler(
            n_startup_trials=STARTUP, seed=seed, multivariate=True, group=True, constant_liar=False
        )
