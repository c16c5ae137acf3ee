"""The service under load, against plain FastAPI + PyTorch, LitServe and BentoML, and the limit.

    python benchmarks/serve.py [--seconds 10] [--connections 1,8,32,128] [--peers all|none|A,B]
                               [--faults | --long [--requests 100000]]

One photo of the flagship set is posted as a form by the same load generator (`load.sh` of
PIZZAIOLO_PEERS, which needs hey) to each service in turn, with the same EfficientNet-Lite0. Peers
run from PEERS_HOME as their documentation starts them, and with channels_last switched on. The
limit is what decoding and inference alone allow on the cores, in this process. `--long`: 100,000
requests of good and bad pictures, and how the memory grows. `--faults`: what becomes of requests
when the service is stopped or loses a worker under load, and of too many.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from common import PEERS, ROOT, header, peer_python, photos
from serve_faults import beyond, killed, stopped

import pizzaiolo
from pizzaiolo.starter import starter_file

WANTED_PEER, WANTED_LAST, WANTED_LIMIT = 4.0, 2.2, 0.85
CROWD, GROWN, BAD = 32, 30.0, 5  # connections that are compared; MB; one bad picture in so many


@dataclass(frozen=True)
class Server:
    """A service and how it is started; `path` is where photos are posted."""

    name: str
    command: tuple[str, ...]
    path: str
    environment: dict[str, str]


def servers(chosen: str, folder: Path) -> list[Server]:
    python = str(peer_python())
    # Beside a CPU build of torch PyPI's torchvision needs a fix in every process that imports it.
    fix = ROOT / "src/pizzaiolo/model/torchvision_fix.py"
    (folder / "sitecustomize.py").write_text(
        f'import runpy\nrunpy.run_path({str(fix)!r})["ensure_torchvision"]()\n'
    )
    ours = (sys.executable, "-m", "pizzaiolo", "serve", "--port", "PORT")
    found = [Server("pizzaiolo", ours, "/v1/predict", {})]
    scripts = {"fastapi": ("PORT",), "litserve": ("PORT", "8", "0.01"), "bentoml": ("PORT",)}
    for name, arguments in scripts.items():
        for last in (False, True):
            label = name + ("+channels_last" if last else "")
            if chosen == "none" or (chosen != "all" and label not in chosen.split(",")):
                continue
            command = (python, str(PEERS / f"serve_{name}.py"), *arguments)
            more = {"PYTHONPATH": str(folder)} | ({"PEER_CHANNELS_LAST": "1"} if last else {})
            found.append(Server(label, command, "/predict", more))
    return found


@contextmanager
def running(server: Server) -> Iterator[tuple[str, int, float]]:
    """Its address, process and the seconds from start to the first answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in server.command]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **server.environment},
            start_new_session=True,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            wait(address + server.path, child)
            yield address, child.pid, time.perf_counter() - started
        finally:
            os.killpg(child.pid, 15)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)
                child.wait()


def wait(url: str, child: subprocess.Popen[bytes]) -> None:
    """Return at the first answer to a photo."""
    data = photo().read_bytes()
    for _ in range(1200):
        if child.poll() is not None:
            raise SystemExit(f"{child.args} ended with {child.returncode}")
        try:
            if httpx.post(url, files={"file": data}, timeout=30).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{url} never answered")


def photo() -> Path:
    return sorted(photos("pizza_not_pizza").rglob("*.jpg"))[0]


def megabytes(pid: int) -> float:
    """Resident memory of a process and those below it."""
    own, below = 0.0, []
    for file in Path("/proc").glob("[0-9]*/status"):
        try:
            text = file.read_text()
        except OSError:
            continue
        parent, size = re.search(r"PPid:\s+(\d+)", text), re.search(r"VmRSS:\s+(\d+)", text)
        number = int(file.parent.name)
        if number == pid and size:
            own = int(size[1]) / 1024
        elif parent and int(parent[1]) == pid:
            below.append(number)
    return own + sum(map(megabytes, below))


def load(url: str, connections: int, seconds: int) -> dict[str, Any]:
    """What the generator measured."""
    done = subprocess.run(
        ["bash", str(PEERS / "load.sh"), url, str(photo()), str(connections), str(seconds)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    line = next(x for x in done.stdout.splitlines() if x.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def limit(seconds: float = 6.0) -> float:
    """Photos a second that decoding and inference alone allow: a thread for each core."""
    model, data = pizzaiolo.load(starter_file()), photo().read_bytes()
    cores = len(os.sched_getaffinity(0))

    def work(_: int) -> int:
        count, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            model.predict(data)
            count += 1
        return count

    with ThreadPoolExecutor(cores) as pool:
        return sum(pool.map(work, range(cores))) / seconds


def compare(given: argparse.Namespace, folder: Path) -> None:
    counts = [int(part) for part in given.connections.split(",")]
    rates: dict[str, float] = {}
    for server in servers(given.peers, folder):
        with running(server) as (address, pid, seconds):
            fresh = megabytes(pid)
            print(f"{server.name}: ready after {seconds:.1f} s, {fresh:.0f} MB", flush=True)
            for count in counts:
                found = load(address + server.path, count, given.seconds)
                answered = found["ok"] / given.seconds
                if count == CROWD:
                    rates[server.name] = answered
                middle, last = (found[key] or math.nan for key in ("p50_ms", "p99_ms"))
                print(
                    f"  {count:>3} connections: {answered:6.1f} answers/s, p50 {middle:.0f} ms, "
                    f"p99 {last:.0f} ms, slowest {found['max_ms']:.0f} ms, refused "
                    f"{found['not200']}", flush=True,
                )  # fmt: skip
            print(f"  {megabytes(pid):.0f} MB in the end", flush=True)
    told(rates)


def told(rates: dict[str, float]) -> None:
    """The ratios at the connections that are compared."""
    if "pizzaiolo" not in rates:
        return
    ours = rates.pop("pizzaiolo")
    alone = statistics.median(limit() for _ in range(3))
    print(f"limit alone {alone:.0f}/s: {ours / alone:.2f} of it ({WANTED_LIMIT} is wanted)")
    for last, wanted in ((False, WANTED_PEER), (True, WANTED_LAST)):
        side = {name: r for name, r in rates.items() if name.endswith("channels_last") == last}
        if side:
            best = max(side, key=lambda name: side[name])
            times = ours / side[best]
            print(f"{times:.1f} times {best} ({wanted} is wanted) at {CROWD} connections")


def long(folder: Path, count: int) -> None:
    """Good and bad pictures by turns; the memory after the first thousand and in the end."""
    (server,) = servers("none", folder)
    data = photo().read_bytes()
    bodies = [data] * (BAD - 1) + [data[: len(data) // 2]]
    with running(server) as (address, pid, _), httpx.Client(timeout=900) as client:

        def ask(number: int) -> int:
            body = bodies[number % BAD]
            return client.post(address + server.path, content=body).status_code

        sizes, codes, step = list[float](), set[int](), max(1, count // 10)
        starts = sorted({0, min(1000, count), *range(step, count, step), count})
        with ThreadPoolExecutor(8) as pool:
            for start, end in pairwise(starts):
                codes |= set(pool.map(ask, range(start, end)))
                sizes.append(megabytes(pid))
                print(f"  after {end:>7,}: {sizes[-1]:.0f} MB", flush=True)
        print(
            f"{count:,} requests: from {sizes[0]:.0f} MB after the first thousand to "
            f"{sizes[-1]:.0f} MB ({sizes[-1] - sizes[0]:+.0f}, {GROWN:.0f} is allowed); answers "
            f"{sorted(codes)}"
        )


@contextmanager
def logged(folder: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """Our service, its process and its access log."""
    log = folder / "log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "pizzaiolo", "serve", "--port", "0", "--access-log"]
        child = subprocess.Popen([*command, *flags], stdout=file, stderr=file)
        while not (said := re.search(r"http://\S+", log.read_text())):
            time.sleep(0.05)
        try:
            wait(f"{said[0]}/v1/predict", child)
            yield said[0], child, log
        finally:
            child.terminate()
            child.wait(30)


def faults(folder: Path, seconds: int) -> None:
    """Stops, a death and a storm."""
    data = photo().read_bytes()
    for flags in ((), ("--workers", "2")):
        with logged(folder, *flags) as (address, child, log):
            stopped(address, child, log, data)
    with logged(folder, "--workers", "2") as (address, child, log):
        killed(address, child, log, data)
    with logged(folder) as (address, _, _):
        beyond(address, photo(), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", default="1,8,32,128")
    parser.add_argument("--peers", default="all")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--requests", type=int, default=100_000)
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as folder:
        if given.long:
            long(Path(folder), given.requests)
        elif given.faults:
            faults(Path(folder), given.seconds)
        else:
            compare(given, Path(folder))


if __name__ == "__main__":
    main()
