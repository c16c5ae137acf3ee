"""Many files at once: processes that a bad file can't stop, and that end when asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

from ..config import PrepareConfig
from ..console import log
from ..errors import WorkError, explain_os_error
from .candidate import Candidate
from .inspect import Finding, inspect_one

CHUNK = 8
MAX_WORKERS = 61  # the most that Windows can wait for
Task = tuple[Candidate, Path, PrepareConfig]
_stop: Event | None = None


def inspect_all(
    candidates: Sequence[Candidate], staging: Path, config: PrepareConfig
) -> Generator[Finding]:
    """Look at every file, in order; copies go to `staging`/<sha256>.<format>.

    Close the generator to end the processes early.
    """
    try:
        staging.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error) from None
    tasks = [(candidate, staging, config) for candidate in candidates]
    workers = min(config.workers or os.cpu_count() or 1, max(1, len(tasks) // 16), MAX_WORKERS)
    if workers > 1 and not multiprocessing.current_process().daemon:
        yield from _in_processes(tasks, workers)
    else:
        yield from map(_inspect, tasks)


def refuse_unguarded() -> None:
    """Raise in a worker that is still importing the script that started it (spawn).

    Without this guard the worker would run the whole script again, over the same output.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise WorkError(
            "prepare was called while a worker process was importing the script",
            hint="put the call under `if __name__ == '__main__':`, or set workers=1",
        )


def _in_processes(tasks: Sequence[Task], workers: int) -> Iterator[Finding]:
    """All findings in order. When a process dies, the next files go one by one to find out which
    file killed it; that one is a finding, and the others go on as before."""
    done, careful = 0, False
    while done < len(tasks):
        try:
            for finding in _pooled(tasks[done:], 1 if careful else workers):
                yield replace(finding, candidate=tasks[done][0])  # not the copy that travelled
                done += 1
        except _CantStartError:
            log.warning("no worker process can be started; reading with one process")
            yield from map(_inspect, tasks[done:])
            return
        except BrokenProcessPool:
            if careful:
                yield Finding(tasks[done][0], "unreadable", "its decoder crashed")
                done += 1
            careful = not careful


class _CantStartError(Exception):
    """The processes end before they do any work."""


def _pooled(tasks: Sequence[Task], workers: int) -> Iterator[Finding]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop,))
    try:
        try:
            with _interrupts_blocked():
                first = pool.submit(_ready)
            first.result()
        except BrokenProcessPool:
            raise _CantStartError from None
        with _interrupts_blocked():
            findings = pool.map(_inspect_unless_stopped, tasks, chunksize=_chunk(workers))
        for finding in findings:
            if finding is not None:
                yield finding
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that start inside never see Ctrl-C, not even while they import modules."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _chunk(workers: int) -> int:
    return 1 if workers == 1 else CHUNK


def _begin(stop: Event) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def _ready() -> bool:
    return True


def _inspect(task: Task) -> Finding:
    return inspect_one(*task)


def _inspect_unless_stopped(task: Task) -> Finding | None:
    return None if _stop is not None and _stop.is_set() else _inspect(task)
