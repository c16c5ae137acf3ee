"""`pizzaiolo serve` as a process: it answers, bears a crowd, and stops when asked."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pizzaiolo.config import ServeConfig
from pizzaiolo.errors import WorkError
from pizzaiolo.predict import Predictor
from pizzaiolo.serve.run import serve as run_serve

Serve = Callable[..., AbstractContextManager[Any]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_stops_cleanly(
    serve: Serve, starter: Path, pizza_file: Path, number: signal.Signals
) -> None:
    with serve() as service:
        with pizza_file.open("rb") as file:
            got = httpx.post(f"{service.address}/v1/predict", files={"file": file}).json()
        service.process.send_signal(number)
        out, err = service.process.communicate(timeout=30)
    told = subprocess.run(
        [sys.executable, "-m", "pizzaiolo", "predict", "--json", "--model", starter, pizza_file],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert got == {**json.loads(told.stdout), "path": pizza_file.name}
    assert (service.process.returncode, out, err) == (0, "", "stopped\n")


def test_a_crowd_gets_200_or_503(serve: Serve, pizza_file: Path) -> None:
    data = pizza_file.read_bytes()
    with serve("--queue", "8", "--concurrency", "1") as service, httpx.Client(timeout=60) as client:
        url = f"{service.address}/v1/predict"
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda _: client.post(url, content=data), range(40)))
        assert {a.status_code for a in answers} <= {200, 503}
        assert sum(a.status_code == 200 for a in answers) >= 9
        assert len({a.text for a in answers if a.status_code == 200}) == 1
        assert all("retry-after" in a.headers for a in answers if a.status_code == 503)
        assert client.post(url, content=data).status_code == 200


def test_a_body_that_is_refused_early_still_gets_its_answer(serve: Serve) -> None:
    with serve("--max-bytes", "1000") as service:
        for body in (b"x" * 8_000_000, iter([b"x" * 500_000] * 16)):
            answer = httpx.post(f"{service.address}/v1/predict", content=body, timeout=30)
            assert answer.status_code == 413 and answer.json()["code"] == "too_many_bytes"


def test_a_broken_connection_leaves_no_trace(serve: Serve, pizza_file: Path) -> None:
    with serve() as service:
        port = int(service.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc")
        with socket.create_connection(("127.0.0.1", port)) as noise:
            noise.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
            assert noise.recv(100).startswith(b"HTTP/1.1 400")
        content = pizza_file.read_bytes()
        assert httpx.post(f"{service.address}/v1/predict", content=content).status_code == 200
        service.process.send_signal(signal.SIGINT)
        assert "Traceback" not in service.process.communicate(timeout=30)[1]


def test_a_port_in_use_is_one_message(predictor: Predictor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkError, match=f"can't listen on 127.0.0.1:{port}") as caught:
            run_serve(lambda: predictor, ServeConfig(port=port))
    assert "--port" in (caught.value.hint or "")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 80 + ".com", "256.0.0.1", "::g"])
def test_an_impossible_host_is_one_message(predictor: Predictor, host: str) -> None:
    with pytest.raises(WorkError, match="can't listen on"):
        run_serve(lambda: predictor, ServeConfig(host=host, port=0))


def test_an_answer_does_not_wait_for_its_second_half(serve: Serve) -> None:
    """Head and body are two packets: with Nagle's delay the second waits 40 ms for the client."""
    with serve() as service, httpx.Client() as client:
        client.get(f"{service.address}/healthz")
        times = []
        for _ in range(30):
            started = time.perf_counter()
            client.get(f"{service.address}/healthz")
            times.append(time.perf_counter() - started)
    assert min(times) < 0.035


def test_it_listens_on_ipv6(serve: Serve) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serve("--host", "::1") as service:
        assert service.address.startswith("http://[::1]:")
        assert httpx.get(f"{service.address}/healthz").text == "ok"
