"""Several processes behind one port: each has its own model, and one that dies is replaced."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..console import log
from ..errors import PizzaioloError, UsageError, WorkError

FIGURES = "PROMETHEUS_MULTIPROC_DIR"  # in the environment: where processes share what they count
QUICK, MOST_QUICK = 5.0, 3  # seconds; ends so soon after the start, in a row, before giving up


def supervise(
    count: int, work: Callable[[], None], leave: Callable[[], object] = lambda: None
) -> None:
    """Run `work` in `count` processes until SIGINT or SIGTERM, which they get as SIGTERM.

    SIGHUP goes to all of them; `leave` is called once no more are to start. Raises `WorkError`
    where they end as soon as they start.
    """
    if not hasattr(os, "fork"):
        raise UsageError("several processes are not possible on this system", hint="--workers 1")
    _Supervisor(work, leave).run(count)


class _Supervisor:
    def __init__(self, work: Callable[[], None], leave: Callable[[], object]) -> None:
        self.work, self.leave = work, leave
        self.started, self.stopping = dict[int, float](), False
        self.quick = 0

    def run(self, count: int) -> None:
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in handled}
        try:
            for _ in range(count):
                self._start()
            signal.signal(signal.SIGINT, self._stop)
            signal.signal(signal.SIGTERM, self._stop)
            signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
            while self.started:
                self._reap()
        finally:
            self._tell(signal.SIGTERM)
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.quick >= MOST_QUICK:
            raise WorkError(
                "the workers end as soon as they start", hint="see what they said above"
            )

    def _start(self) -> None:
        parent, child = os.getpid(), os.fork()
        if child == 0:
            _become_worker(parent, self.work)
        self.started[child] = time.monotonic()

    def _reap(self) -> None:
        """Wait for the end of a process; start another in its place unless all are to stop."""
        pid, status = os.waitpid(-1, 0)
        lived = time.monotonic() - self.started.pop(pid, 0.0)
        _forget_figures(pid)
        if self.stopping:
            return
        self.quick = self.quick + 1 if lived < QUICK else 0
        code = os.waitstatus_to_exitcode(status)
        if self.quick >= MOST_QUICK:
            self._stop()
            return
        log.warning("worker %d ended with %d; another takes its place", pid, code)
        self._start()

    def _stop(self, *_: object) -> None:
        self.stopping = True
        self.leave()
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for pid in list(self.started):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _become_worker(parent: int, work: Callable[[], None]) -> NoReturn:
    """Work, and end without what the parent would do at its end."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        work()
        code = 0
    except PizzaioloError as error:
        log.error("%s", error.message)
    except BaseException:
        log.exception("a worker failed")
    finally:
        os._exit(code)


def _end_with(parent: int) -> None:
    """Ask this process to stop once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _forget_figures(pid: int) -> None:
    """What a process that is gone would still show as going on."""
    from prometheus_client.multiprocess import mark_process_dead

    if FIGURES in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
