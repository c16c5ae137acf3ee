"""What a search found: one record for each setting that was tried, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config import TrainConfig
from .folds import Folds
from .outcome import Outcome

if TYPE_CHECKING:
    from .aim import Aim

DONE, STOPPED, FAILED = "done", "stopped", "failed"


@dataclass(frozen=True)
class Trial:
    """A setting that was tried, and what became of it.

    `state` is done, stopped (clearly worse than the best, so not all folds or epochs were spent)
    or failed (`reason` says why). `value` is the aim over all judged pictures, None unless done or
    stopped; `params` are what was suggested, by the names of `TrainConfig`; `seconds` is what it
    took; `latency_ms` and `megabytes` are those of the exported model; `started` is ISO 8601;
    `soup` are the numbers of the trials whose mean its weights are.
    """

    number: int
    config: TrainConfig
    params: dict[str, Any]
    state: str
    value: float | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0
    latency_ms: float | None = None
    megabytes: float | None = None
    reason: str | None = None
    started: str = ""
    soup: tuple[int, ...] = ()


@dataclass(frozen=True)
class Study:
    """All trials by number, on the same folds; `default` is number 0, the default recipe."""

    folds: Folds
    aim: Aim
    trials: tuple[Trial, ...]
    default: Trial

    @property
    def searched(self) -> int:
        """How many settings were tried, the default left out."""
        return sum(not trial.soup for trial in self.trials) - 1

    @property
    def done(self) -> tuple[Trial, ...]:
        """The trials that were judged on all that they can be."""
        return tuple(t for t in self.trials if t.state == DONE)
