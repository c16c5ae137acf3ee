"""How much of what the settings differ in is due to each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import MeanDecreaseImpurityImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from ..trial import Study, Trial

FEWEST = 10  # finished trials


def importances(study: Study) -> dict[str, float]:
    """The share of each parameter that all finished trials have and that varies; largest first.

    By a random forest's mean decrease in impurity. Empty for fewer than `FEWEST` finished trials,
    or where nothing varies.
    """
    trials = [t for t in study.done if t.value is not None]
    names = varied(trials)
    values = {t.value for t in trials}
    if len(trials) < FEWEST or not names or len(values) < 2:
        return {}
    if len(names) == 1:
        return {names[0]: 1.0}
    found = get_param_importances(
        _as_optuna(trials, names), evaluator=MeanDecreaseImpurityImportanceEvaluator(seed=0)
    )
    return {name: float(share) for name, share in found.items()}


def varied(trials: Sequence[Trial]) -> list[str]:
    """The parameters that all of some trials have, with more than one value among them."""
    if not trials:
        return []
    common = [n for n in trials[0].params if all(n in t.params for t in trials)]
    return [n for n in common if len({_key(t.params[n]) for t in trials}) > 1]


def numeric(values: Sequence[Any]) -> bool:
    """Whether a parameter's values are numbers."""
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_optuna(trials: Sequence[Trial], names: Sequence[str]) -> optuna.Study:
    """A study in memory: the record of a trial is what is known for sure."""
    kinds = {name: _distribution([_key(t.params[name]) for t in trials]) for name in names}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study()
    for trial in trials:
        params = {name: _key(trial.params[name]) for name in names}
        made.add_trial(create_trial(params=params, distributions=kinds, value=trial.value))
    return made


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    if numeric(values):
        return FloatDistribution(float(min(values)), float(max(values)))
    return CategoricalDistribution(list(dict.fromkeys(values)))
