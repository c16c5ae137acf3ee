"""What the benchmarks share: where the photos are, the machine, and a command's time and memory."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
PHOTOS = Path(os.environ.get("PIZZAIOLO_PHOTOS", ROOT.parent / "shared" / "data"))
PEERS_HOME = Path(os.environ.get("PEERS_HOME", Path.home() / ".cache" / "pizzaiolo-peers"))
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


def half(name: str, which: Literal["selection", "reported"]) -> list[Path]:
    """Half of a folder of photos, its files sorted: those with an even place serve choices, those
    with an odd one are only reported on."""
    files = sorted(file for file in photos(name).rglob("*") if file.is_file())
    return files[0 if which == "selection" else 1 :: 2]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean, and its 95 % interval by Student's t: nan for one value."""
    from scipy.stats import t

    mean, count = statistics.mean(values), len(values)
    if count < 2:
        return mean, math.nan, math.nan
    width = float(t.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
    return mean, mean - width, mean + width


PEER = """
import runpy, sys
runpy.run_path({fix!r})["ensure_torchvision"]()
sys.path.insert(0, {folder!r})
sys.argv = {arguments!r}
runpy.run_path({script!r}, run_name="__main__")
"""


def peer_python() -> Path:
    """The interpreter of the peers' environment, else of this one."""
    theirs = PEERS_HOME / "full" / "bin" / "python"
    return theirs if theirs.exists() else Path(sys.executable)


def peer(
    script: str,
    data: Path,
    epochs: int,
    *flags: str,
    judged_on: str = "validation",
    out: Path | None = None,
) -> dict[str, Any]:
    """A peer's own report (train_s, val_acc of the last epoch, predict_s, ...) on the copies of a
    DATASET, from the same weights; {"missing": why} where it is not installed. What it saves is
    kept in the folder `out`."""
    if not (PEERS / script).is_file():
        return {"missing": f"{PEERS / script} is not here; set PIZZAIOLO_PEERS"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        for ours, theirs in (("train", "train"), (judged_on, "val")):
            (folder / "data" / theirs).symlink_to(data / "images" / ours)
        fix = ROOT / "src" / "pizzaiolo" / "model" / "torchvision_fix.py"
        code = PEER.format(
            fix=str(fix), folder=str(PEERS), script=str(PEERS / script),
            arguments=[script, str(folder / "data"), str(epochs), *flags],
        )  # fmt: skip
        try:
            done = run(
                peer_python(), "-c", code,
                PEER_WEIGHTS=str(_peer_weights(folder)), PEER_OUT=str(out or folder / "out"),
            )  # fmt: skip
        except SystemExit as error:
            return {"missing": str(error)}
    line = next(x for x in done.output.splitlines() if x.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def _peer_weights(folder: Path) -> Path:
    import torch

    from pizzaiolo.model.embedded import embedded_classifier

    torch.save(embedded_classifier("tf_efficientnet_lite0").state_dict(), folder / "lite0.pth")
    return folder / "lite0.pth"


def header() -> None:
    """The machine and the date, above every table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{date.today()}, {platform.machine()}, {cores} cores, Python {platform.python_version()}"
    )
