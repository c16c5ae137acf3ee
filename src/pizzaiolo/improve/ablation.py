"""What each setting brings: one at a time is put back, or switched on, on the same folds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..config import TrainConfig
from ..console import progress
from ..errors import PizzaioloError
from ..model.ensemble import JOIN
from ..train.defaults import BY_STEPS, filled
from .aim import Difference
from .outcome import Outcome
from .trial import Study
from .words import changed, part, short_model

PUT_BACK, SWITCHED_ON, MEMBER = "put back", "switched on", "member"
# What is tried where the winner is the default: regularisation and augmentation, in usual amounts.
ALTERNATIVES: Mapping[str, tuple[Any, ...]] = {
    "knowledge": (True, False),
    "label_smoothing": (0.1,),
    "loss": ("focal",),
    "balance": ("weights",),
    "augment": ("none", "light", "trivial", "rand"),
    "mixup": (0.2,),
    "cutmix": (1.0,),
    "erase": (0.25,),
    "dropout": (0.2,),
    "drop_path": (0.1,),
    "weight_decay": (0.0, 0.05),
}


class Runs(Protocol):
    """Judges a setting on the folds, as `measure.Bench` does."""

    def run(self, config: TrainConfig) -> Outcome: ...


@dataclass(frozen=True)
class Effect:
    """What a setting brings: `gain` is with it less without it, over 0 where it helps.

    `name` is that of the setting and `value` the value it was given, in words; `other` is the
    value it was compared with. `kind` tells which of both the winner has: a setting that was put
    back and a member that was taken out are the winner's, one that was switched on is not.
    `config` is the setting that was tried against the winner. Where `gain` is None `reason` tells
    why: no time was left, or the trial failed.
    """

    name: str
    value: str
    other: str
    kind: str
    config: TrainConfig
    gain: Difference | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The effect as JSON-ready values."""
        names = ("name", "value", "other", "kind", "reason")
        told = {name: getattr(self, name) for name in names}
        return told | {"gain": vars(self.gain).copy() if self.gain else None}


def ablate(
    bench: Runs, study: Study, winner: TrainConfig, seconds: float | None = None
) -> list[Effect]:
    """What each setting of the winner brings, the largest effect first; what was left out last.

    Each setting that differs from the default recipe is put back alone, and each member of a join
    taken out; where the winner is the default, usual amounts of regularisation and augmentation
    are switched on one at a time. Every comparison is on the same pictures. What the search has
    tried already costs nothing; nothing is begun that would not fit into `seconds`.
    """
    default = study.default.config
    winner = filled(winner)
    planned = list(_planned(winner, default))
    known = {_key(t.config): t.outcome for t in study.done if t.outcome is not None}
    planned.sort(key=lambda effect: _key(effect.config) not in known)
    run = _Run(bench, study, known, None if seconds is None else time.monotonic() + seconds)
    if not planned:
        return []
    base = run.outcome(winner)
    if isinstance(base, str):
        return [replace(effect, reason=base) for effect in planned]
    found = []
    with progress("what each setting brings", len(planned)) as advance:
        for effect in planned:
            found.append(run.measured(effect, base))
            advance()
    return sorted(found, key=lambda e: (e.gain is None, -abs(e.gain.value if e.gain else 0)))


class _Run:
    """The outcomes known so far, and the time that is left."""

    def __init__(
        self, bench: Runs, study: Study, known: dict[TrainConfig, Outcome], deadline: float | None
    ) -> None:
        self.bench, self.study, self.known, self.deadline = bench, study, known, deadline
        self.longest = 0.0  # seconds of one trial

    def outcome(self, config: TrainConfig) -> Outcome | str:
        """What the setting gives, or why there is nothing."""
        key = _key(config)
        if key in self.known:
            return self.known[key]
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left < max(self.longest, 1e-3):
            return "no time was left"
        started = time.monotonic()
        try:
            self.known[key] = self.bench.run(config)
        except PizzaioloError as error:
            return f"it failed: {error.message}"
        finally:
            self.longest = max(self.longest, time.monotonic() - started)
        return self.known[key]

    def measured(self, effect: Effect, base: Outcome) -> Effect:
        other = self.outcome(effect.config)
        if isinstance(other, str):
            return replace(effect, reason=other)
        first, second = (base, other) if effect.kind == SWITCHED_ON else (other, base)
        return replace(effect, gain=self.study.aim.gain_of(self.study.folds, first, second))


def _key(config: TrainConfig) -> TrainConfig:
    """The setting, without what its recipe has no use for: those with one key are the same."""
    config, usual = filled(config), TrainConfig()
    idle = BY_STEPS if config.recipe == "head" else ()
    return replace(config, quality=None, **{name: getattr(usual, name) for name in idle})


def _planned(winner: TrainConfig, default: TrainConfig) -> Iterator[Effect]:
    """What is to be tried, each setting once."""
    seen = {_key(winner)}
    names = changed(winner, default)
    for effect in [*_put_back(winner, default, names), *_members(winner)] or _switched_on(winner):
        if (key := _key(effect.config)) not in seen:
            seen.add(key)
            yield effect


def _put_back(winner: TrainConfig, default: TrainConfig, names: list[str]) -> Iterator[Effect]:
    for name in names:
        own, usual = getattr(winner, name), getattr(default, name)
        config = replace(winner, **{name: usual})
        yield Effect(name, part(name, own), part(name, usual), PUT_BACK, config)


def _members(winner: TrainConfig) -> Iterator[Effect]:
    members = (winner.model or "").split(JOIN)
    for place, member in enumerate(members if len(members) > 1 else ()):
        rest = JOIN.join(members[:place] + members[place + 1 :])
        config = replace(winner, model=rest)
        yield Effect("model", short_model(member), f"only {short_model(rest)}", MEMBER, config)


def _switched_on(winner: TrainConfig) -> Iterator[Effect]:
    idle = BY_STEPS if winner.recipe == "head" else ()
    for name, values in ALTERNATIVES.items():
        own = getattr(winner, name)
        for value in values if name not in idle else ():
            if value != own:
                config = replace(winner, **{name: value})
                yield Effect(name, part(name, value), part(name, own), SWITCHED_ON, config)
