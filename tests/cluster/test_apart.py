"""Work of Ray in another thread, watched by the command."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from pizzaiolo.cluster.apart import watched


def test_the_result_comes_after_a_last_look_and_prints_are_dropped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    looks: list[float] = []

    def work() -> int:
        print("at length")
        return 7

    assert watched(work, lambda: looks.append(time.monotonic())) == 7
    assert looks and not capsys.readouterr().out


def test_its_error_is_raised_here() -> None:
    def work() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        watched(work, lambda: None)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_the_work_and_waits_for_it() -> None:
    """Pain: Python's Thread.join, once interrupted, takes a running thread for one that ended."""
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(10)
        time.sleep(0.3)
        ended.set()

    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        watched(work, lambda: None, stop.set, grace=10)
    assert stop.is_set() and ended.is_set()
