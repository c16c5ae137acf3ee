"""A trial of Ray Tune: one setting, claimed from the journal of the STUDY and tried."""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from ..console import log
from ..core.locks import is_alive
from ..errors import PizzaioloError, WorkError
from ..improve.search import WAIT, Search
from ..improve.workers import Task, join
from .apart import Surroundings

FAULT, MORE = "fault", "more"
GRACE = 20.0  # seconds for the processes to give back what they are at, at the end


@dataclass(frozen=True)
class Order:
    """What every process is told.

    `witness` is the sign of life of the command's own process, `stop` the file that ends the
    search when it appears.
    """

    task: Task
    witness: str
    stop: str
    surroundings: Surroundings


class Setting(tune.Trainable):  # type: ignore[misc]
    """One setting a trial; the process goes from trial to trial and keeps what it has computed."""

    search: Search | None = None
    fault: PizzaioloError | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Take part in the search."""
        log.setLevel(logging.INFO)
        try:
            self.search = take_part(config["order"])
        except PizzaioloError as error:
            self.fault = error

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial is of the same search."""
        return True

    def step(self) -> dict[str, Any]:
        """Try the next setting of the search; `more` is False where none was left."""
        more = False
        if self.search is not None:
            try:
                more = self.search.step()
            except PizzaioloError as error:
                self.fault = error
            if not more:
                _let_finish(self.search)
        return {"done": True, MORE: more, FAULT: self.fault}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the journal has it all."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the journal has it all."""

    def cleanup(self) -> None:
        """Leave the search."""
        if self.search is not None:
            self.search.close()


class Ending(tune.Stopper):  # type: ignore[misc]
    """Ends the trials of Tune when the time (Unix) is over, none is left, or one met a fault."""

    def __init__(self, end: float | None) -> None:
        self.end, self.over = end, False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Hear of a trial; each is at its end."""
        self.over = self.over or not result[MORE]
        return True

    def stop_all(self) -> bool:
        """Whether no further trial is to begin."""
        return self.over or (self.end is not None and time.time() >= self.end)


def _let_finish(search: Search) -> None:
    """Wait for the others, who have heard of the end too: Tune kills who is late to hear of it."""
    late = time.monotonic() + GRACE
    while search.journal.others_try() and time.monotonic() < late:
        time.sleep(WAIT)


def take_part(order: Order) -> Search:
    """The part of this process in the search; raises `WorkError` where it can't see the others."""
    order.surroundings.enter()
    search = join(order.task)
    search.stop = Path(order.stop)
    if not is_alive(search.journal.lives, order.witness):
        search.close()
        raise WorkError(
            f"{socket.gethostname()} does not see which processes work on {order.task.study}: "
            "its file system shares no locks between the machines",
            hint="a STUDY on NFS version 4 without local_lock, or --ray local",
        )
    return search
