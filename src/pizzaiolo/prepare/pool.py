"""Many files at once: processes that a bad file can't stop, and that end when asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from ..config import PrepareConfig
from ..console import log
from ..errors import WorkError, explain_os_error
from .candidate import Candidate
from .inspect import Finding, inspect_one, recalled

CHUNK = 16  # files that travel together
AHEAD = 3  # chunks under way for each process: what is done waits in memory
MAX_WORKERS = 61  # the most that Windows can wait for
Task = tuple[str, tuple[str, str] | None]  # the file, and why it is not there
Found = tuple[dict[str, Any], bool]  # facts, and whether they are fresh


class _Work(NamedTuple):
    """What a worker process was told when it began."""

    staging: Path
    config: PrepareConfig
    stop: Event


_work: _Work | None = None


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
    count = len(candidates)
    workers = min(config.workers or os.cpu_count() or 1, max(1, count // 16), MAX_WORKERS)
    if workers > 1 and not multiprocessing.current_process().daemon:
        yield from _in_processes(candidates, staging, config, workers)
    else:
        yield from _alone(candidates, 0, staging, config)


def _alone(
    candidates: Sequence[Candidate], start: int, staging: Path, config: PrepareConfig
) -> Iterator[Finding]:
    return (inspect_one(candidates[i], staging, config) for i in range(start, len(candidates)))


def refuse_unguarded() -> None:
    """Raise in a worker that is still importing the script that started it (spawn).

    Without this guard the worker would run the whole script again, over the same output.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise WorkError(
            "prepare was called while a worker process was importing the script",
            hint="put the call under `if __name__ == '__main__':`, or set workers=1",
        )


def _in_processes(
    candidates: Sequence[Candidate], staging: Path, config: PrepareConfig, workers: int
) -> Iterator[Finding]:
    """All findings in order. When a process dies, the next files go one by one to find out which
    file killed it; that one is a finding, and the others go on as before."""
    done, careful = 0, False
    while done < len(candidates):
        try:
            found = _pooled(candidates, done, staging, config, 1 if careful else workers)
            for facts, fresh in found:
                yield replace(recalled(candidates[done], facts), fresh=fresh)
                done += 1
        except _CantStartError:
            log.warning("no worker process can be started; reading with one process")
            yield from _alone(candidates, done, staging, config)
            return
        except BrokenProcessPool:
            if careful:
                yield Finding(candidates[done], "unreadable", "its decoder crashed")
                done += 1
            careful = not careful


class _CantStartError(Exception):
    """The processes end before they do any work."""


def _pooled(
    candidates: Sequence[Candidate], start: int, staging: Path, config: PrepareConfig, workers: int
) -> Iterator[Found]:
    context = multiprocessing.get_context("spawn")
    work = _Work(staging, config, context.Event())
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(work,))
    size = 1 if workers == 1 else CHUNK
    chunks = (range(i, min(i + size, len(candidates))) for i in range(start, len(candidates), size))
    try:
        try:
            with _interrupts_blocked():
                first = pool.submit(_ready)
            first.result()
        except BrokenProcessPool:
            raise _CantStartError from None

        def submit(chunk: range) -> Future[list[Found]]:
            tasks = [(candidates[i].file, candidates[i].fault) for i in chunk]
            try:
                with _interrupts_blocked():
                    return pool.submit(_inspect, [(str(file), fault) for file, fault in tasks])
            except BrokenProcessPool as error:  # in its turn: what was found before stays found
                refused: Future[list[Found]] = Future()
                refused.set_exception(error)
                return refused

        waiting = deque(map(submit, islice(chunks, AHEAD * workers)))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(map(submit, islice(chunks, 1)))
            yield from found
    finally:
        work.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that start inside never see Ctrl-C, not even while they import modules.

    The caller sees it at the end: no start is left half done. The mask alone won't do, since any
    other thread may take the signal, and Python would raise it here all the same.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    held: list[int] = []
    ours = threading.current_thread() is threading.main_thread()  # only it sees Ctrl-C
    handler = signal.getsignal(signal.SIGINT) if ours else None
    if handler is not None:
        signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)


def _begin(work: _Work) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def _ready() -> bool:
    return True


def _inspect(tasks: Sequence[Task]) -> list[Found]:
    """What was found in the files; no more than before the stop, of which no one asks then."""
    assert _work is not None
    found = []
    for task in tasks:
        if _work.stop.is_set():
            break
        found.append(look_at(task, _work.staging, _work.config))
    return found


def look_at(task: Task, staging: Path, config: PrepareConfig) -> Found:
    """One look at a file, as it travels between processes."""
    file, fault = task
    look = inspect_one(Candidate(Path(file), "", "", fault=fault), staging, config)
    return look.facts(), look.fresh
