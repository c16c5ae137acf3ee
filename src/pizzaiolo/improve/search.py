"""The search: settings are claimed, tried on the folds and written down, until time is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from time import monotonic, sleep

from ..config import ImproveConfig, TrainConfig
from ..console import log
from ..core.bundle import cache_folder
from ..core.manifest import Dataset
from ..errors import PizzaioloError, WorkError
from ..model.device import choose_device
from ..train.defaults import filled
from ..train.plan import Epoch
from .aim import Aim
from .cost import Costs
from .folds import Folds, make_folds
from .journal import Claim, Journal
from .measure import Bench
from .outcome import Outcome, Stopped
from .space import Space
from .trial import DONE, FAILED, STOPPED, Study, Trial

COSTS = "costs.json"
WAIT = 0.2  # seconds between two looks at what other processes do
SHOWN = 300  # characters of the reason why a trial failed
EPOCH_VALUES = {
    "accuracy": "validation_accuracy",
    "f1": "validation_f1",
    "log_loss": "validation_loss",
}


class OutOfTime(Exception):
    """The time for the search is over, amid a trial."""


@dataclass
class Search:
    """One process's part in a search.

    `deadline` is by `time.monotonic`, `most` the number of settings that all processes try, `part`
    where in the space they lie, `stop` a file that ends the search when it appears.
    """

    journal: Journal
    folds: Folds
    aim: Aim
    bench: Bench
    costs: Costs
    part: Space | None = None
    deadline: float | None = None
    most: int | None = None
    stop: Path | None = None
    parent: int = field(default_factory=os.getppid)

    @property
    def over(self) -> bool:
        """Whether the time is over, or it was ended, or who started this process is gone."""
        late = self.deadline is not None and monotonic() >= self.deadline
        ended = self.stop is not None and self.stop.exists()
        return late or ended or os.getppid() != self.parent

    @cached_property
    def default(self) -> Trial:
        """Trial 0, to which all others are compared."""
        return next(trial for trial in self.journal.trials() if trial.number == 0)

    def first(self) -> None:
        """Try the default recipe, unless that was done. Its fault is the whole search's."""
        while not self.journal.is_finished(0):
            claim = self.journal.claim_default(filled(TrainConfig(device=self.journal.device)))
            if claim is None:  # another process is at it
                sleep(WAIT)
                continue
            started = monotonic()
            try:
                outcome = self.bench.run(claim.config)
                value = self.aim.value(outcome.predictions(self.folds))
                if not isfinite(value):
                    raise WorkError("an answer of the default recipe is no number")
            except BaseException:
                self.journal.release(claim)
                raise
            self._finish(claim, started, DONE, value, outcome)

    def close(self) -> None:
        """Leave the search."""
        self.journal.close()

    def run(self, advance: Callable[[int, str], object] = lambda count, figures: None) -> None:
        """Try settings until the time is over or all are finished; `advance` hears of each."""
        while self.step():
            advance(1, self.standing())

    def step(self) -> bool:
        """Try one setting; False where the time is over or all are finished."""
        while not self.over:
            claim = self.journal.claim(self.part, self.most)
            if claim is None:
                if not self.journal.others_try():
                    return False
                sleep(WAIT)  # what they find belongs to the result
                continue
            try:
                self._try(claim)
            except OutOfTime:
                return False
            return True
        return False

    def study(self) -> Study:
        """All that is finished. Raises `WorkError` where every setting failed."""
        trials = tuple(self.journal.trials())
        searched = [trial for trial in trials if trial.number > 0]
        if searched and all(trial.state == FAILED for trial in searched):
            raise WorkError(
                f"all {len(searched)} settings failed, the first: {searched[0].reason}",
                hint="change the space, or see whether `pizzaiolo train` works with its settings",
            )
        return Study(self.folds, self.aim, trials, self.default)

    def _try(self, claim: Claim) -> None:
        """Try a setting; whatever goes wrong in it is written down."""
        started, state, reason = monotonic(), DONE, None
        try:
            try:
                weights = self.journal.weights(claim.number)
                better, on_epoch = self._hopeful(claim), self._watch(claim)
                outcome = self.bench.run(claim.config, better, on_epoch, weights)
            except Stopped as stop:
                outcome, state, reason = stop.outcome, STOPPED, str(stop)
            value = self.comparable(outcome)
        except (KeyboardInterrupt, SystemExit, OutOfTime):
            self.journal.release(claim)
            raise
        except Exception as error:
            why = explained(error)
            log.warning("setting %d failed: %s", claim.number, why)
            seconds = monotonic() - started
            self.journal.finish(
                Trial(claim.number, claim.config, {}, FAILED, seconds=seconds, reason=why)
            )
        else:
            self._finish(claim, started, state, value, outcome, reason)

    def _finish(
        self,
        claim: Claim,
        started: float,
        state: str,
        value: float,
        outcome: Outcome,
        reason: str | None = None,
    ) -> None:
        seconds = monotonic() - started
        trial = Trial(claim.number, claim.config, {}, state, value, outcome, seconds, reason=reason)
        self.journal.finish(trial)
        if claim.config.recipe != "head":
            self.journal.tidy()

    def comparable(self, outcome: Outcome) -> float:
        """The value as if all pictures had been answered."""
        assert self.default.outcome is not None
        value = self.aim.comparable(self.folds, self.default.outcome, outcome)
        if not isfinite(value):
            raise WorkError("an answer is no number")
        return value

    def _hopeful(self, claim: Claim) -> Callable[[Outcome], bool]:
        """Tells of answers so far whether the setting may still become the best."""

        def hopeful(outcome: Outcome) -> bool:
            if self.over:
                raise OutOfTime
            best = self.journal.best(claim.number, self.aim.better)
            if best is None or best.outcome is None:
                return True
            return self.aim.gain_of(self.folds, best.outcome, outcome).high >= 0

        return hopeful

    def _watch(self, claim: Claim) -> Callable[[Epoch], None]:
        """Stops a training by steps whose epochs are poor beside what others had by then."""

        def on_epoch(epoch: Epoch) -> None:
            if self.over:
                raise OutOfTime
            value = getattr(epoch, EPOCH_VALUES[self.aim.name])
            if epoch.epoch > 0 and self.journal.report(claim, epoch.epoch, value):
                raise Stopped(f"poor beside others after {epoch.epoch} epochs")

        return on_epoch

    def standing(self) -> str:
        """The best so far, for the progress bar."""
        best = self.journal.best(-1, self.aim.better)
        return f"best {self.aim.name} {best.value:.4f}" if best and best.value is not None else ""


def explained(error: Exception) -> str:
    """Why a setting failed, in one line."""
    said = (str(error).splitlines() or [""])[0][:SHOWN]
    return said if isinstance(error, PizzaioloError) else f"{type(error).__name__}: {said}"


def take_part(study: Path, data: Dataset, space: Space, config: ImproveConfig) -> Search:
    """A search in a STUDY that is there, with all it works on."""
    aim, device = Aim.of(config.aim), choose_device(config.device)
    folds = make_folds(data, config.folds, config.seed)
    journal = Journal(study, space, aim.higher_is_better, config.seed, config.device)
    bench = Bench(folds, device, cache_folder(), study)
    costs = Costs(study / COSTS, data.labels)
    return Search(journal, folds, aim, bench, costs, most=config.trials)
