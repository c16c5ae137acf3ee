"""What becomes of requests while the service stops, loses a worker, or has too many of them.

`serve.py --faults` runs it. The client is not the service's: it counts what it sent, and what it
got for it. Each request has an id of its own, which the access log has as well.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

REFUSED, CUT = "not connected", "cut"
CROWD = 128  # connections
SOONEST, SLOWEST = 0.050, 1.0  # seconds: a refusal, and an answer


@dataclass(frozen=True)
class Told:
    """A request: its id, when it was sent (seconds since 1970), and what came of it, and when."""

    name: str
    sent: float
    outcome: int | str
    ended: float
    header: str = ""


@dataclass
class Crowd:
    """Clients that post one picture over and over, each on a connection that it keeps."""

    address: str
    data: bytes
    clients: int = 16
    told: list[Told] = field(default_factory=list)
    over: bool = False

    def __enter__(self) -> Crowd:
        self.numbers = count()
        self.threads = [threading.Thread(target=self._client) for _ in range(self.clients)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        for thread in self.threads:
            thread.join()

    def _client(self) -> None:
        host = urlsplit(self.address)
        line = http.client.HTTPConnection(str(host.hostname), host.port, timeout=60)
        while not self.over:
            told = self._ask(line, f"r{next(self.numbers)}")
            self.told.append(told)
            if told.outcome in (REFUSED, CUT):
                line.close()
            if told.outcome == REFUSED:
                return
        line.close()

    def _ask(self, line: http.client.HTTPConnection, name: str) -> Told:
        sent, outcome, header = time.time(), REFUSED, ""
        try:
            if line.sock is None:
                line.connect()
            outcome = CUT
            line.request("POST", "/v1/predict", self.data, {"X-Request-ID": name})
            got = line.getresponse()
            got.read()
            return Told(name, sent, got.status, time.time(), got.getheader("Retry-After") or "")
        except (OSError, http.client.HTTPException):
            return Told(name, sent, outcome, time.time(), header)

    def outcomes(self) -> dict[int | str, int]:
        """How many requests came to what."""
        return dict(Counter(told.outcome for told in self.told))


def log_lines(log: Path) -> list[dict[str, object]]:
    """The access log's lines on pictures."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return [told for told in map(json.loads, lines) if told["path"] == "/v1/predict"]


def lost(told: Iterable[Told], log: Path) -> list[str]:
    """The requests that the service took on, by its log, and whose client has no answer."""
    taken = {str(line["request"]) for line in log_lines(log)}
    return [one.name for one in told if isinstance(one.outcome, str) and one.name in taken]


def stopped(address: str, process: subprocess.Popen[bytes], log: Path, data: bytes) -> None:
    """SIGTERM under load: what was taken on is answered."""
    with Crowd(address, data) as crowd:
        time.sleep(4)
        process.send_signal(signal.SIGTERM)
        asked = time.time()
        code = process.wait(30)
        took = time.time() - asked
    gone = lost(crowd.told, log)
    print(
        f"SIGTERM under load: ended with {code} after {took:.1f} s; {len(crowd.told)} sent: "
        f"{_words(crowd.outcomes())}; taken on by the log and not answered: {len(gone)} (0 wanted)",
        flush=True,
    )


def killed(address: str, process: subprocess.Popen[bytes], log: Path, data: bytes) -> None:
    """SIGKILL of one of two workers under load: the other goes on, and it comes back."""
    with Crowd(address, data) as crowd:
        time.sleep(4)
        pids = {int(part) for part in _children(process.pid)}
        victim = min(pids)
        os.kill(victim, signal.SIGKILL)
        gone = time.time()
        while (fresh := _first_of_another(log, pids)) is None and time.time() < gone + 20:
            _ask_anew(address, data)
        time.sleep(2)
    cuts = [told for told in crowd.told if told.outcome == CUT]
    late = [told for told in cuts if told.sent > gone]
    between = [told for told in crowd.told if told.outcome == 200 and gone < told.ended]
    back = "not in 20 s" if fresh is None else f"{fresh - gone:.1f} s"
    print(
        f"SIGKILL of one of two workers: {len(crowd.told)} sent: {_words(crowd.outcomes())}; cut "
        f"that were sent after the kill: {len(late)} (0 wanted); answered after it "
        f"{len(between)}; a new worker's first answer after {back}", flush=True,
    )  # fmt: skip


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _ask_anew(address: str, data: bytes) -> None:
    """A request on a connection of its own: those that are open stay where they are."""
    with Crowd(address, data, clients=1):
        time.sleep(0.05)


def _first_of_another(log: Path, pids: set[int]) -> float | None:
    """When a process that is none of these answered first, seconds since 1970."""
    from datetime import datetime

    for line in log_lines(log):
        if int(str(line["pid"])) not in pids:
            return datetime.fromisoformat(str(line["time"])).timestamp()
    return None


def beyond(address: str, photo: Path, seconds: int) -> None:
    """More clients than it can answer (hey): accepted ones soon, the others refused at once."""
    command = ["hey", "-cpus", "1", "-z", f"{seconds}s", "-c", str(CROWD), "-t", "0", "-m", "POST"]
    command += ["-T", "image/jpeg", "-D", str(photo), "-o", "csv", f"{address}/v1/predict"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    times: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(found.stdout)):
        times.setdefault(row["status-code"], []).append(float(row["response-time"]))
    errors = found.stdout.count("error") + len(found.stderr.splitlines())
    print(f"{CROWD} connections for {seconds} s, {errors} connection errors (0 wanted)")
    for status, wanted in (("200", SLOWEST), ("503", SOONEST)):
        values = sorted(times.get(status, [])) or [float("nan")]
        middle, last = (values[int(share * (len(values) - 1))] for share in (0.5, 0.99))
        print(
            f"  {status}: {len(values) / seconds:.0f}/s, p50 {1000 * middle:.0f} ms, p99 "
            f"{1000 * last:.0f} ms ({1000 * wanted:.0f} wanted), slowest "
            f"{1000 * values[-1]:.0f} ms",
            flush=True,
        )


def _words(outcomes: dict[int | str, int]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(
        outcomes.items(), key=lambda pair: str(pair[0])))  # fmt: skip
