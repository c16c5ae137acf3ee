"""A stop and a dead worker under load: what was taken on is answered, the rest is told so."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

Serve = Callable[..., AbstractContextManager[Any]]
CLIENTS = 8


class Load:
    """Clients that post a picture over and over; `told` has what came of each request."""

    def __init__(self, address: str, data: bytes) -> None:
        self.url, self.data, self.over = f"{address}/v1/predict", data, False
        self.numbers, self.told = count(), dict[str, int | str]()

    def client(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self.over:
                name = f"r{next(self.numbers)}"
                try:
                    headers = {"X-Request-ID": name}
                    answer = client.post(self.url, content=self.data, headers=headers)
                    self.told[name] = answer.status_code
                except httpx.ConnectError:
                    self.told[name] = "not connected"
                    return
                except httpx.HTTPError:
                    self.told[name] = "cut"


@contextmanager
def load(address: str, data: bytes) -> Iterator[Load]:
    """Clients at work while the block runs."""
    assert httpx.get(f"{address}/readyz", timeout=60).text == "ok"
    made = Load(address, data)
    threads = [threading.Thread(target=made.client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.over = True
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_under_load_loses_no_request(serve: Serve, pizza_file: Path, workers: int) -> None:
    flags = ("--access-log", "--workers", str(workers), "--max-wait", "60")
    with serve(*flags) as service, load(service.address, pizza_file.read_bytes()) as made:
        time.sleep(1.0)
        service.process.send_signal(signal.SIGTERM)
        err = service.process.communicate(timeout=30)[1]
        assert service.process.returncode == 0 and err.endswith("stopped\n")
    told = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    lines = [line for line in told if line["path"] == "/v1/predict"]
    taken = {line["request"] for line in lines}
    assert {made.told[name] for name in taken} == {200}
    assert set(made.told.values()) == {200, "not connected"}
    assert len({line["pid"] for line in lines}) <= workers and len(taken) > CLIENTS


def test_a_connection_that_is_open_gets_a_last_answer(serve: Serve) -> None:
    """The client does not know yet, and its next request may be on its way."""
    with serve() as service:
        place = urlsplit(service.address)
        line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=10)
        for stop, said in ((False, None), (True, "close")):
            if stop:
                service.process.send_signal(signal.SIGTERM)
                time.sleep(0.2)
            line.request("GET", "/healthz")
            answer = line.getresponse()
            assert answer.read() == b"ok" and answer.getheader("Connection") == said
        line.close()
        assert service.process.wait(30) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_killed_worker_takes_only_its_own_requests_along(serve: Serve, pizza_file: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("processes are looked up in /proc")
    with serve("--workers", "2", "--max-wait", "60") as service:
        pid = service.process.pid
        with load(service.address, pizza_file.read_bytes()) as made:
            time.sleep(1.0)
            victim = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
            os.kill(victim, signal.SIGKILL)
            time.sleep(2.0)
            before = list(made.told)
            time.sleep(1.0)
        late = {outcome for name, outcome in made.told.items() if name not in before}
        cut = [name for name, outcome in made.told.items() if outcome == "cut"]
        assert late == {200} and len(cut) <= CLIENTS
        assert set(made.told.values()) <= {200, "cut"}
