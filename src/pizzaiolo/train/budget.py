"""A time budget: how many steps fit into it, so that the schedule ends when the time does."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .parallel import from_main

MEASURED = (2, 4, 8)  # steps after which a plan is made; the first step is slow and left out
VALIDATION_SHARE = 0.4  # what validating a picture costs of training on it, until it is measured


@dataclass
class Budget:
    """Plans the steps of a training: at most `most`, and no more than end within `seconds`.

    `pictures` and `validated` are those of an epoch, `steps` its steps. Without `seconds` all
    are planned. Of several processes the main one's clock holds for all.
    """

    seconds: float | None
    most: int
    steps: int
    pictures: int
    validated: int
    started: float = field(default_factory=lambda: time.monotonic())
    spent: float = 0.0  # before this process, by the checkpoint
    validation: float | None = None  # seconds that one takes
    timed: int = 0
    training: float = 0.0  # seconds that the timed steps took

    def elapsed(self) -> float:
        """Seconds since the beginning, those of an interrupted process included."""
        return self.spent + time.monotonic() - self.started

    def time_step(self, seconds: float) -> None:
        """Count a step that took so long."""
        self.timed += 1
        self.training += seconds if self.timed > 1 else 0.0

    def plan(self, done: int) -> int:
        """The steps in all, when `done` are behind."""
        if self.seconds is None or self.timed < 2:
            return self.most
        step = self.training / (self.timed - 1)
        validation = self._validation(step)
        left = self.seconds - self.elapsed() - validation
        fits = int(left / (step + validation / self.steps))
        return from_main(min(self.most, done + max(0, fits)))

    def over(self) -> bool:
        """Whether there is just time left to validate."""
        if self.seconds is None:
            return False
        step = self.training / max(1, self.timed - 1)
        return bool(from_main(self.elapsed() + self._validation(step) >= self.seconds))

    def _validation(self, step: float) -> float:
        if self.validation is not None:
            return self.validation
        return VALIDATION_SHARE * step * self.steps * self.validated / self.pictures
