"""STUDY/study.journal: who tries what, and what came of it; many processes, any of which may die.

It is Optuna's journal, so `optuna-dashboard` opens it. A setting is claimed under a lock, in one
line; a trial whose process is gone is taken over by the next claim, under its own number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..config import TrainConfig, from_dict, to_dict
from ..core.locks import Life, Lock, is_alive, locked
from .draft import Given, Proposer
from .outcome import Outcome, read_probabilities
from .space import Space
from .steps import WEIGHTS
from .trial import DONE, FAILED, STOPPED, Trial

NAME, SOUP = "improve", "soup"
REDRAWS = 20  # proposals that were tried before, until the settings are gone through in order
MOST_DEATHS = 2  # processes that may end in a setting before it counts as failed
MOST_KEPT = 8  # trials by steps whose weights stay, for a soup
ENDED = f"the process that tried it ended, {MOST_DEATHS} times (out of memory?)"


@dataclass(frozen=True)
class Claim:
    """A setting that this process, and no other, is to try."""

    number: int
    config: TrainConfig


class Journal:
    """The record of a search in the folder `study`; this process takes part until it is closed."""

    def __init__(
        self, study: Path, space: Space, maximise: bool, seed: int = 0, device: str = "auto"
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder, self.space, self.maximise = study, space, maximise
        self.seed, self.device = seed, device
        self.proposer: Proposer | None = None
        (study / "trials").mkdir(exist_ok=True)
        self.lives, self.lock = study / ".processes", study / ".claims.lock"
        self.life = Life(self.lives)
        self.pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        file, lock = (study / "study.journal").absolute(), study / ".journal.lock"
        with locked(lock):
            _mend(file)
        backend = JournalFileBackend(str(file), lock_obj=Lock(lock))  # type: ignore[arg-type]
        self.storage = JournalStorage(backend)
        with locked(self.lock):
            optuna.create_study(
                storage=self.storage,
                study_name=NAME,
                direction="maximize" if maximise else "minimize",
                load_if_exists=True,
            )
        self.id = self.storage.get_study_id_from_name(NAME)

    def close(self) -> None:
        """Leave the search."""
        self.life.end()

    def claim(self, part: Space | None = None, most: int | None = None) -> Claim | None:
        """The next setting to try: one whose process is gone, or one that nobody has tried.

        It lies in a `part` of the space. None where `most` settings are tried or being tried, or
        nothing is left to try.
        """
        with locked(self.lock):
            if (orphan := self._take_over()) is not None:
                return orphan
            trials = [trial for trial in self._trials() if SOUP not in trial.user_attrs]
            if most is not None and len(trials) - 1 >= most:  # the default is not searched
                return None
            config = self._propose(part or self.space, trials)
            return self._begin(config) if config else None

    def claim_default(self, config: TrainConfig) -> Claim | None:
        """Trial 0, the default recipe; None where it is done, or another process is at it."""
        with locked(self.lock):
            if self._trials():
                return self._take_over(only=0)
            return self._begin(config)

    def claim_soup(self, config: TrainConfig, members: tuple[int, ...]) -> Claim | None:
        """A trial for the mean of the members' weights; None where it is there."""
        with locked(self.lock):
            if any(trial.user_attrs.get(SOUP) == list(members) for trial in self._trials()):
                return None
            return self._begin(config, members)

    def finish(self, trial: Trial) -> None:
        """Write down what became of a claim; its probabilities lie in trials/NUMBER.npy first."""
        if trial.outcome is not None:
            trial.outcome.save(self._file(trial.number))
        result = {"state": trial.state, "value": trial.value, "reason": trial.reason}
        costs = {"latency_ms": trial.latency_ms, "megabytes": trial.megabytes}
        more: dict[str, Any] = {"seconds": trial.seconds, **costs}
        if trial.outcome is not None:
            fit = ("train_accuracy", "train_loss", "facts")
            more |= {name: getattr(trial.outcome, name) for name in fit}
        self._set(trial.number, "result", json.loads(json.dumps({**result, **more}, default=float)))
        self._settle(trial.number)

    def tidy(self) -> None:
        """Remove the weights of all but the best trials, and of no soup."""
        with locked(self.lock):
            kept = [
                (trial.value or 0.0, file)
                for trial in self._trials()
                if trial.state == TrialState.COMPLETE
                and (file := self.weights(trial.number) / WEIGHTS).is_file()
            ]
            for _, file in sorted(kept, reverse=self.maximise)[MOST_KEPT:]:
                file.unlink(missing_ok=True)

    def release(self, claim: Claim) -> None:
        """Give a claim back untried: the next process that claims gets it."""
        self._set(claim.number, "process", "")

    def report(self, claim: Claim, step: int, value: float) -> bool:
        """Note a value on the way; whether others were so much better there that it may stop."""
        self.storage.set_trial_intermediate_value(self._id(claim.number), step, value)
        return self.pruner.prune(self._study(), self.storage.get_trial(self._id(claim.number)))

    def others_try(self) -> bool:
        """Whether another process is at a setting."""
        running = [t for t in self._trials() if t.state == TrialState.RUNNING]
        return any(self._lives(t) and t.user_attrs["process"] != self.life.name for t in running)

    def count(self) -> int:
        """How many settings are finished: the default is one of them, soups are not."""
        return sum("result" in t.user_attrs and SOUP not in t.user_attrs for t in self._trials())

    def failed(self) -> dict[int, str]:
        """The reasons why settings failed, by number."""
        results = {t.number: t.user_attrs.get("result", {}) for t in self._trials()}
        return {n: str(r["reason"]) for n, r in results.items() if r.get("state") == FAILED}

    def trials(self) -> list[Trial]:
        """What is finished, by number."""
        return [self._record(t) for t in self._trials() if "result" in t.user_attrs]

    def best(self, number: int, better: Callable[[float, float], bool]) -> Trial | None:
        """The best of the trials done so far, `number` left out."""
        found: FrozenTrial | None = None
        for trial in self._trials():
            result = trial.user_attrs.get("result", {})
            if result.get("state") != DONE or trial.number == number:
                continue
            if found is None or better(found.user_attrs["result"]["value"], result["value"]):
                found = trial
        return self._record(found) if found else None

    def is_finished(self, number: int) -> bool:
        """Whether a trial is there, with its result."""
        return any(t.number == number and "result" in t.user_attrs for t in self._trials())

    # What follows is told by trials as Optuna keeps them.

    def _trials(self) -> list[FrozenTrial]:
        return self.storage.get_all_trials(self.id, deepcopy=False)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.id, number)

    def weights(self, number: int) -> Path:
        """The folder where a training by steps keeps its weights."""
        return self.folder / "trials" / f"{number:05}"

    def _file(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:05}.npy"

    def _set(self, number: int, key: str, value: Any) -> None:
        self.storage.set_trial_user_attr(self._id(number), key, value)

    def _study(self) -> optuna.Study:
        """A view that has cached nothing yet."""
        return optuna.load_study(study_name=NAME, storage=self.storage, pruner=self.pruner)

    def _begin(self, config: TrainConfig, soup: tuple[int, ...] = ()) -> Claim:
        draft = Given({} if soup else self.space.params(config) or {})
        if draft.given:
            self.space.suggest(draft)
        more = {SOUP: list(soup)} if soup else {}
        started = create_trial(
            state=TrialState.RUNNING,
            params=draft.params,
            distributions=draft.distributions,
            user_attrs={"config": to_dict(config), "process": self.life.name, **more},
        )
        made = self.storage.create_new_trial(self.id, started)
        return Claim(self.storage.get_trial(made).number, config)

    def _take_over(self, only: int | None = None) -> Claim | None:
        """A trial whose process is gone: settled where it had its result, else ours now."""
        for trial in self._trials():
            if trial.state != TrialState.RUNNING or self._lives(trial):
                continue
            if only not in (None, trial.number):
                continue
            if "result" in trial.user_attrs:
                self._settle(trial.number)
                continue
            attrs, number = trial.user_attrs, trial.number
            deaths = attrs.get("deaths", 0) + (attrs["process"] != "")
            self._set(number, "deaths", deaths)
            if deaths < MOST_DEATHS and SOUP not in attrs:  # another one may be made
                self._set(number, "process", self.life.name)
                return Claim(number, _config(trial))
            self.finish(Trial(number, _config(trial), trial.params, FAILED, reason=ENDED))
        return None

    def _lives(self, trial: FrozenTrial) -> bool:
        name = trial.user_attrs["process"]
        return name == self.life.name or (bool(name) and is_alive(self.lives, name))

    def _settle(self, number: int) -> None:
        """Tell Optuna what the result says."""
        result = self.storage.get_trial(self._id(number)).user_attrs["result"]
        study, value, trial = self._study(), result["value"], self._id(number)
        if result["state"] == FAILED:
            study.tell(number, state=TrialState.FAIL)
        elif result["state"] == DONE and self._teaches(number):
            study.tell(number, value)
        else:  # stopped, or one from which nothing can be learnt
            if value is not None and result["state"] == STOPPED:
                step = (self.storage.get_trial(trial).last_step or 0) + 1
                self.storage.set_trial_intermediate_value(trial, step, value)
            study.tell(number, state=TrialState.PRUNED)

    def _teaches(self, number: int) -> bool:
        """Whether a finished trial is one of the space: no soup, no default outside of it."""
        trial = self.storage.get_trial(self._id(number))
        return SOUP not in trial.user_attrs and bool(number or trial.params)

    def _propose(self, part: Space, trials: list[FrozenTrial]) -> TrainConfig | None:
        """A setting that is new, from the sampler while it has one, else the next in order."""
        if self.proposer is None or self.proposer.space is not part:
            self.proposer = Proposer(part, self.maximise)
        for trial in trials:
            result = trial.user_attrs.get("result", {})
            if result.get("value") is not None and trial.number not in self.proposer.seen:
                whole = result["state"] == DONE
                self.proposer.learn(trial.number, _config(trial), result["value"], whole)
        taken = {_key(trial.user_attrs["config"]) for trial in trials}
        proposals = self.proposer.proposals(self.seed + len(trials))
        for config in chain(islice(proposals, REDRAWS), part.every()):
            config = replace(config, device=self.device)
            if _key(to_dict(config)) not in taken:
                return config
        return None

    def _record(self, trial: FrozenTrial) -> Trial:
        """A trial as the rest of `improve` knows it."""
        result = dict(trial.user_attrs["result"])
        fit = {k: result.pop(k) for k in ("train_accuracy", "train_loss", "facts") if k in result}
        outcome, file = None, self._file(trial.number)
        if fit and file.is_file():
            outcome = Outcome(read_probabilities(file), seconds=result["seconds"], **fit)
        started = trial.datetime_start.isoformat(timespec="seconds") if trial.datetime_start else ""
        config, soup = _config(trial), tuple(trial.user_attrs.get(SOUP, ()))
        return Trial(
            trial.number, config, dict(trial.params), outcome=outcome, started=started, soup=soup,
            **result,
        )  # fmt: skip


def _config(trial: FrozenTrial) -> TrainConfig:
    return from_dict(TrainConfig, trial.user_attrs["config"], "study.journal")


def _key(settings: dict[str, Any]) -> str:
    """What two settings share only if they are the same, wherever they are tried."""
    return json.dumps({**settings, "device": None}, sort_keys=True)


def _mend(file: Path) -> None:
    """Cut off a last line that a dying machine left half-written."""
    if not file.is_file():
        return
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        with file.open("rb+") as journal:
            journal.truncate(content.rfind(b"\n") + 1)
