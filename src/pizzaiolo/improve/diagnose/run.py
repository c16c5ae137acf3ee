"""The diagnosis of a search: more photos, other labels, another model or other settings?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np

from ...config import BACKBONE, ImproveConfig, TrainConfig
from ...console import log
from ...core.manifest import Row
from ...errors import PizzaioloError
from ...model.custom import is_code
from ...train.defaults import filled
from ..folds import VALIDATION, Folds
from ..heads import Roles, roles
from ..measure import Bench
from ..outcome import Outcome, Reals
from ..trial import DONE, Study, Trial
from ..words import short_model
from .balance import Balance, find_balance
from .curve import Curve, learning_curve
from .fit import Gap, Tried, find_gap, remedies, try_remedy
from .forecast import Forecast
from .noise import Noise, label_noise
from .weak import Weak, find_weak

CURVE_TIMES = 3.0  # a curve with one draw a size takes about so many times the default's trial


@dataclass(frozen=True)
class Diagnosis:
    """What is known of the best setting and its data; `curve`, `forecast` and `noise` are None
    where there was no time or no backbone. `learner` names what the curve was measured with.
    """

    gap: Gap
    balance: Balance
    weak: Weak
    noise: Noise | None = None
    curve: Curve | None = None
    forecast: Forecast | None = None
    learner: str = ""
    tried: tuple[Tried, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as JSON-ready values."""
        found: dict[str, Any] = {"points": self.curve.to_json()} if self.curve else {}
        if self.forecast:
            found["forecast"] = self.forecast.to_json()
        return {
            "learning_curve": found | {"learner": self.learner} if found else None,
            "gap": self.gap.to_json(),
            "tried": [tried.to_json() for tried in self.tried],
            "label_noise": self.noise.to_json() if self.noise else None,
            "balance": self.balance.to_json(),
            "weak": self.weak.to_json(),
            "seconds": round(self.seconds, 2),
        }


def diagnose(
    study: Study,
    best: Trial,
    bench: Bench,
    rows: Sequence[Row],
    config: ImproveConfig = ImproveConfig(),
    deadline: float | None = None,
) -> Diagnosis:
    """Diagnose the best trial of a study on its held-out answers; never sees the test split.

    `rows` are the manifest's. After `deadline` (`time.monotonic`) nothing long is begun: the curve
    is drawn less often, or it and the remedy are left out.
    """
    started, outcome = monotonic(), best.outcome
    assert outcome is not None
    predictions = outcome.predictions(study.folds)
    teacher = head_config(best.config, config.device)
    noise = _noise(study.folds, bench, teacher, config.seed)
    share = noise.share.value if noise and noise.found else None
    gap = find_gap(outcome, predictions, _learnt(study.folds, best.config), share or 0.0)
    curve = _curve(study, best, bench, teacher, config.seed, deadline)
    return Diagnosis(
        gap,
        find_balance(predictions),
        find_weak(predictions, rows),
        noise,
        curve,
        curve.forecast() if curve else None,
        _learner(best.config, teacher),
        _tried(study, best, bench, gap, deadline),
        monotonic() - started,
    )


def head_config(config: TrainConfig, device: str = "auto") -> TrainConfig:
    """The recipe head that stands for a setting where many models are needed quickly.

    A head stands for itself, a pretrained network for its own frozen features, anything else for
    the default recipe.
    """
    config = filled(config)
    if config.recipe == "head":
        return config
    if config.recipe == "finetune" and config.pretrained and not is_code(config.model):
        return filled(replace(config, recipe="head"))
    return filled(TrainConfig(model=BACKBONE, device=device, seed=config.seed))


def _learner(best: TrainConfig, teacher: TrainConfig) -> str:
    name = f"a layer on the frozen features of {short_model(teacher.model)}"
    return name if filled(best).recipe == "head" else f"{name}, which stands for the best setting"


def _learnt(folds: Folds, config: TrainConfig) -> int:
    """How many pictures one model of a trial learns from."""
    if filled(config).recipe != "head" or folds.count == 2:
        return len(folds) - len(folds.rows(VALIDATION))
    return int(np.mean([len(roles(folds, fold).training) for fold in range(folds.count)]))


def _noise(folds: Folds, bench: Bench, teacher: TrainConfig, seed: int) -> Noise | None:
    try:
        features = bench.look(teacher).embeddings.numpy()
    except PizzaioloError as error:
        log.warning("label noise and learning curve are left out: %s", error)
        return None
    return label_noise(features, folds.truth, folds.groups, folds.labels, folds.paths, seed)


def _curve(
    study: Study,
    best: Trial,
    bench: Bench,
    teacher: TrainConfig,
    seed: int,
    deadline: float | None,
) -> Curve | None:
    if deadline is not None and monotonic() + CURVE_TIMES * study.default.seconds > deadline:
        return None
    known = best.outcome if teacher == filled(best.config) else None
    try:
        return learning_curve(_learn(study.folds, bench, teacher, known), study.folds, seed,
                              deadline=deadline)  # fmt: skip
    except PizzaioloError as error:
        log.warning("the learning curve is left out: %s", error)
        return None


def _learn(
    folds: Folds, bench: Bench, teacher: TrainConfig, known: Outcome | None
) -> Callable[[Roles], Reals]:
    """Learns with the teacher's settings; what the trial has answered with all is `known`."""

    def learn(parties: Roles) -> Reals:
        whole = len(np.unique(np.concatenate(list(vars(parties).values())))) == len(folds)
        if whole and known is not None and np.isin(parties.asked, known.judged).all():
            return np.asarray(known.probabilities[parties.asked])
        return bench.learn(teacher, parties)

    return learn


def _tried(
    study: Study, best: Trial, bench: Bench, gap: Gap, deadline: float | None
) -> tuple[Tried, ...]:
    """The first remedies: what the search has tried is looked up, the next one is tried."""
    outcome, found = best.outcome, []
    assert outcome is not None
    seen = {filled(t.config): t.outcome for t in study.trials if t.state == DONE and t.outcome}
    for remedy in remedies(gap.verdict, best.config):
        known = seen.get(remedy.config)
        if known is None and not _affordable(remedy.config, best, deadline):
            found.append(Tried(remedy, reason="no time for it"))
            continue
        run = bench.run if known is None else _answer(known)
        found.append(try_remedy(run, study.folds, study.aim, outcome, remedy))
        if known is None or found[-1].helped:
            break
    return tuple(found)


def _answer(known: Outcome) -> Callable[[TrainConfig], Outcome]:
    return lambda config: known


def _affordable(config: TrainConfig, best: Trial, deadline: float | None) -> bool:
    """Whether there is time: for epochs only where the best setting took some, too."""
    if config.recipe != "head" and filled(best.config).recipe == "head":
        return False
    return deadline is None or monotonic() + 2 * best.seconds < deadline
