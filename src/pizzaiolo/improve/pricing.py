"""What the tried settings cost: the members of each measured once, the winner for real."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

from ..config import TrainConfig
from ..console import log
from .cost import Cost, Costs
from .leaderboard import Leaderboard, Limits, leaderboard
from .trial import Study, Trial

CHECKED = 5  # winners by estimate that are measured at most, until one keeps to the limits


class Pricer:
    """Tells costs until a moment (`time.monotonic`) is past; then only what is known already."""

    def __init__(self, costs: Costs, deadline: float | None = None) -> None:
        self.costs, self.deadline = costs, deadline
        self.told: dict[TrainConfig, Cost | None] = {}

    def cost(self, config: TrainConfig, anyway: bool = False) -> Cost | None:
        """The cost of a setting, None where it can't be told; `anyway`, however late it is."""
        key = _architecture(config)
        if key not in self.told and (anyway or not self._late()):
            self.told[key] = self._estimate(key)
        return self.told.get(key)

    def exact(self, config: TrainConfig) -> Cost | None:
        """The same, measured with the members joined."""
        key = _architecture(config)
        known = self.cost(key)
        if known is not None and known.estimated and not self._late():
            self.told[key] = known = self.costs.measure_exact(key)
        return known

    def priced(self, trial: Trial) -> Trial:
        """The trial with what it costs."""
        cost = self.cost(trial.config)
        if cost is None:
            return trial
        return replace(trial, latency_ms=cost.latency_ms, megabytes=cost.megabytes)

    def _estimate(self, config: TrainConfig) -> Cost | None:
        try:
            return self.costs.estimate(config)
        except Exception as error:  # an exporter raises many kinds, and a search needs none of it
            log.warning("what %s costs can't be measured: %s", config.model, error)
            return None

    def _late(self) -> bool:
        return self.deadline is not None and monotonic() > self.deadline


def ranked(
    study: Study, limits: Limits, pricer: Pricer, hurried: bool = False
) -> tuple[Study, Leaderboard]:
    """The study with the costs of its finished trials, and the leaderboard whose best was measured
    for real; `hurried` measures nothing."""
    better = study.aim.higher_is_better
    order = sorted(study.done, key=lambda t: (t.value or 0.0) * (-1 if better else 1))
    for trial in (*order[:1], study.default):  # these however late it is
        pricer.cost(trial.config, anyway=not hurried)
    for trial in order:  # where time is short the best come first
        pricer.cost(trial.config)
    for _ in range(CHECKED):
        study = _with_costs(study, pricer)
        board = leaderboard(study, limits)
        best = board.best.trial.config if board.best else None
        known = pricer.cost(best) if best else None
        if best is None or known is None or pricer.exact(best) == known:
            break
    return study, board


def _with_costs(study: Study, pricer: Pricer) -> Study:
    trials = tuple(pricer.priced(t) if t.outcome else t for t in study.trials)
    return replace(study, trials=trials, default=trials[0])


def _architecture(config: TrainConfig) -> TrainConfig:
    """The setting with only what its cost depends on."""
    names = ("model", "recipe", "size", "resize_mode", "knowledge", "pretrained", "weights")
    return TrainConfig(**{name: getattr(config, name) for name in names})
