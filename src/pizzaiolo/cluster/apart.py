"""Ray at work while the command watches, and what Ray's processes take over from the command."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LOOK = 0.3  # seconds between two looks


@dataclass(frozen=True)
class Surroundings:
    """The command's working folder, and its cache folder where it was given one."""

    folder: str
    cache: str | None

    @classmethod
    def own(cls) -> Surroundings:
        """Those of this process."""
        return cls(os.getcwd(), os.environ.get("PIZZAIOLO_CACHE"))

    def enter(self) -> None:
        """Take them over; compute with as many threads as Ray has given CPUs."""
        if self.cache is not None:
            os.environ["PIZZAIOLO_CACHE"] = self.cache
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))


def watched(
    work: Callable[[], T],
    look: Callable[[], object],
    end: Callable[[], object] = lambda: None,
    grace: float = 0.0,
) -> T:
    """What `work` of Ray gives; `look` is called now and then meanwhile, and at the end.

    It runs in another thread: of the main one Ray would take Ctrl-C for itself. At Ctrl-C `end` is
    called, which should bring the work to its end within `grace` seconds. What Ray prints, at
    length where a process is lost, is dropped.
    """
    found: list[T] = []
    faults: list[BaseException] = []
    done = threading.Event()  # Thread.join counts a thread as ended where Ctrl-C interrupts it

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            faults.append(error)
        finally:
            done.set()

    with redirect_stdout(StringIO()):
        threading.Thread(target=run, daemon=True).start()
        try:
            while not done.wait(LOOK):
                look()
            look()
        except BaseException:
            end()
            done.wait(grace)
            raise
    for fault in faults:
        raise fault
    return found[0]
