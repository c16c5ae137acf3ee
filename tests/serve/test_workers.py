"""Several processes behind one port: they share the work, and one that dies is replaced."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pizzaiolo.errors import WorkError
from pizzaiolo.serve.workers import supervise

Serve = Callable[..., AbstractContextManager[Any]]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def workers(pid: int) -> set[int]:
    """The processes right below one."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.add(int(file.parent.name))
    return found


def eventually(true: Callable[[], bool]) -> None:
    for _ in range(150):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def answers(address: str, data: bytes, count: int = 40) -> set[int]:
    """The status codes of requests that each have a connection of their own."""

    def ask(_: int) -> int:
        return httpx.post(f"{address}/v1/predict", content=data, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(ask, range(count)))


def test_a_worker_that_is_killed_is_replaced_and_all_stop_cleanly(
    serve: Serve, pizza_file: Path
) -> None:
    data = pizza_file.read_bytes()
    with serve("--workers", "2", "--max-wait", "60") as service:
        pid = service.process.pid
        eventually(lambda: len(workers(pid)) == 2)
        assert answers(service.address, data) == {200}
        text = httpx.get(f"{service.address}/metrics").text
        counted = re.search(r'verdicts_total{verdict="[^"]+"} (\d+)', text)
        assert counted and int(counted[1]) == 40, "the figures are those of both"
        victim = min(workers(pid))
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(workers(pid) - {victim}) == 2)
        assert answers(service.address, data) == {200}
        service.process.send_signal(signal.SIGTERM)
        out, err = service.process.communicate(timeout=30)
    assert service.process.returncode == 0 and out == ""
    assert "another takes its place" in err and err.endswith("stopped\n")
    assert "Traceback" not in err


def test_workers_end_with_their_parent(serve: Serve) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("processes are looked up in /proc")
    with serve("--workers", "2") as service:
        eventually(lambda: len(workers(service.process.pid)) == 2)
        children = workers(service.process.pid)
        service.process.kill()
        eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_workers_that_can_not_start_are_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise WorkError("no model")

    with pytest.raises(WorkError, match="as soon as they start"):
        supervise(2, fail)
