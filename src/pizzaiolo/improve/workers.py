"""Further processes that search in the same STUDY; each is this module run as a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ImproveConfig, from_dict
from ..console import Advance, log, report_error, set_up_logging
from ..core.manifest import Dataset
from ..errors import PizzaioloError
from .space import Space
from .study import SPACE

if TYPE_CHECKING:
    from .search import Search

PATIENCE = 5.0  # seconds to end by itself, before it is interrupted and gives its trial back
GRACE = 20.0  # seconds for an interrupted worker to end
INTERRUPTED = 130


@dataclass(frozen=True)
class Task:
    """What a worker is told: paths, the settings of `improve`, and when to end (Unix time).

    `leading` are the choices of `Space.leading` that it keeps to.
    """

    study: str
    dataset: str
    settings: dict[str, Any]
    leading: dict[str, list[Any]]
    end: float | None


def on_this_machine(search: Search, task: Task, advance: Advance) -> None:
    """Search in this process and in `--workers` - 1 others."""
    with workers(task, int(task.settings["workers"]) - 1):
        search.run(advance)


@contextmanager
def workers(task: Task, count: int) -> Iterator[None]:
    """`count` processes that search while the block runs; they end with it."""
    command = [sys.executable, "-m", __name__, json.dumps(asdict(task))]
    threads = str(max(1, (os.cpu_count() or 1) // (count + 1)))
    own = {**os.environ, "OMP_NUM_THREADS": threads}
    running = [subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
        with suppress(subprocess.TimeoutExpired):  # they have the same end, and may be amid a trial
            for worker in running:
                worker.wait(PATIENCE)
    finally:
        for worker in running:
            _end(worker)


def _end(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
    try:
        code = worker.wait(GRACE)
    except subprocess.TimeoutExpired:
        worker.kill()
        code = worker.wait()
    if code not in (0, INTERRUPTED):
        log.warning("a search process ended with code %d; what it tried is tried again", code)


def join(task: Task) -> Search:
    """The part that this process takes in a search."""
    from .search import take_part

    config, study = from_dict(ImproveConfig, task.settings), Path(task.study)
    deadline = None if task.end is None else time.monotonic() + task.end - time.time()
    search = take_part(study, Dataset.open(task.dataset), Space.read(study / SPACE), config)
    search.part = search.journal.space.narrowed(task.leading)
    search.deadline = deadline
    return search


def main(task: Task) -> int:
    """Search until the time is over; the exit code."""
    set_up_logging()
    try:
        with closing(join(task)) as search:
            search.run()
    except KeyboardInterrupt:
        return INTERRUPTED
    except PizzaioloError as error:
        report_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Task(**json.loads(sys.argv[1]))))
