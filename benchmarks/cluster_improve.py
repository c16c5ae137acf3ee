"""`improve` on a local Ray against the plain command: 20 settings on the 1,400 photos.

    python benchmarks/cluster_improve.py [--data DATASET] [--trials 20] [--ways plain,workers,ray]
                                         [--kill]

Each begins with an empty cache. The diagnosis is left out, for it is the same; "search" is the time
from the end of the default recipe to that of the last setting. `--kill` ends one of the processes
by SIGKILL in the middle of one more search on Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from common import Run, header, photos, pizzaiolo

WAYS = {"plain": (), "workers": ("--workers", "2"), "ray": ("--ray", "local")}


def searched(data: Path, out: Path, cache: Path, trials: int, *flags: str) -> Run:
    return pizzaiolo("improve", data, "--out", out, "--trials", str(trials), "--no-diagnose",
                     "--no-ablation", *flags, PIZZAIOLO_CACHE=str(cache))  # fmt: skip


def trials(study: Path) -> list[Any]:
    """The trials of a study as its journal has them."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(study / "study.journal")))
    return list(storage.get_all_trials(storage.get_all_studies()[0]._study_id))


def seconds(study: Path) -> float:
    """From the end of the default recipe to the end of the last setting."""
    ends: list[datetime] = [t.datetime_complete for t in trials(study) if t.datetime_complete]
    return (max(ends) - ends[0]).total_seconds()


def killer(study: Path, done: list[int]) -> None:
    """End the process that is at a setting, once six are finished: it holds its sign of life."""
    while True:
        time.sleep(0.05)
        if not (study / "study.journal").is_file():
            continue
        found = trials(study)
        running = [t.user_attrs["process"] for t in found[1:] if "result" not in t.user_attrs]
        if len(found) < 7 or not running or not running[0]:
            continue
        file = study / ".processes" / running[0]
        inode = f":{file.stat().st_ino} " if file.is_file() else "none"
        for line in Path("/proc/locks").read_text().splitlines():
            if inode in line:
                done.append(int(line.split()[4]))
                os.kill(done[0], signal.SIGKILL)
                return


def tell(name: str, run: Run, study: Path) -> None:
    result = run.json()
    found = trials(study)
    configs = {json.dumps(t.user_attrs["config"], sort_keys=True) for t in found}
    whole = all("result" in t.user_attrs for t in found)
    deaths = sum(t.user_attrs.get("deaths", 0) for t in found)
    best = result["best"]["validation"]
    print(
        f"{name:<12} {run.seconds:>7.1f} {seconds(study):>7.1f} {result['trials']:>8} "
        f"{result['failed']:>6} {len(configs) == len(found) and whole!s:>17} {deaths:>6}   "
        f"{best['accuracy']:.4f} ({best['low']:.4f} to {best['high']:.4f}), "
        f"{result['best']['setting']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a DATASET of the photos, else one is prepared")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--ways", default="plain,workers,ray", help="which are compared")
    parser.add_argument("--kill", action="store_true", help="kill one process of a third search")
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = given.data or folder / "data"
        if not given.data:
            pizzaiolo("prepare", photos("pizza_not_pizza"), "--out", data)
        print(f"{'how':<12} {'all s':>7} {'search':>7} {'settings':>8} {'failed':>6} "
              f"{'none lost/doubled':>17} {'deaths':>6}   best, on the folds")  # fmt: skip
        for how in filter(None, given.ways.split(",")):
            run = searched(data, folder / how, folder / f"cache_{how}", given.trials, *WAYS[how])
            tell(how, run, folder / how)
        if given.kill:
            done: list[int] = []
            threading.Thread(target=killer, args=(folder / "k", done), daemon=True).start()
            run = searched(data, folder / "k", folder / "cache_k", given.trials, *WAYS["ray"])
            tell(f"killed {done[0] if done else 'none'}", run, folder / "k")


if __name__ == "__main__":
    sys.exit(main())
