"""What the benchmarks share: where the photos are, the machine, and a command's time and memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PHOTOS = Path(os.environ.get("PIZZAIOLO_PHOTOS", ROOT.parent / "shared" / "data"))
PEERS = Path(os.environ.get("PIZZAIOLO_PEERS", ROOT.parent / "shared" / "peers"))


@dataclass(frozen=True)
class Run:
    """One finished command: wall time in seconds, peak memory in MB, and what it printed."""

    seconds: float
    megabytes: float
    output: str

    def json(self) -> Any:
        return json.loads(self.output.splitlines()[-1])


def run(*command: str | Path, quiet: bool = False, **environment: str) -> Run:
    """Run a command to its end; raises where it fails. `quiet` drops its progress bars."""
    started = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
        env={**os.environ, **environment},
    ) as child:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]} exited with {child.returncode}")
    return Run(time.perf_counter() - started, usage.ru_maxrss / 1024, output)


def pizzaiolo(*arguments: str | Path, **environment: str) -> Run:
    """Run our command in this environment; its last line is the JSON result."""
    return run(sys.executable, "-m", "pizzaiolo", *arguments, "--json", **environment)


def photos(name: str) -> Path:
    """A folder of the measuring photos, or a clear end."""
    folder = PHOTOS / name
    if not folder.exists():
        raise SystemExit(f"{folder} is not here; set PIZZAIOLO_PHOTOS to the folder of photos")
    return folder


def header() -> None:
    """The machine and the date, above every table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{date.today()}, {platform.machine()}, {cores} cores, Python {platform.python_version()}"
    )
