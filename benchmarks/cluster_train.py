"""`train` with two processes of a local Ray against the plain command, on the 1,400 photos.

    python benchmarks/cluster_train.py [--data DATASET] [--recipes head,finetune] [--kill]

Recipe head begins with an empty cache each time. The fine-tuning is one epoch of all layers on
small inputs, so short that it costs a minute. `--kill` ends one of the two processes by SIGKILL
in the middle of it, and compares with the run that was left alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common import Run, header, photos, pizzaiolo

HEAD = ("--recipe", "head")
FINETUNE = ("--recipe", "finetune", "--quality", "quick", "--epochs", "1", "--size", "96",
            "--batch-size", "16", "--checkpoint-seconds", "3")  # fmt: skip
TWO = ("--ray", "local", "--processes", "2")


def state(run: Path) -> dict[str, Any]:
    import torch

    return dict(torch.load(run / "model.pt", weights_only=True)["state"])


def gap(one: Path, other: Path) -> float:
    """The largest difference of any weight."""
    a, b = state(one), state(other)
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def trained(data: Path, out: Path, cache: Path, *flags: str) -> Run:
    return pizzaiolo("train", data, "--out", out, *flags, PIZZAIOLO_CACHE=str(cache))


def tell(what: str, plain: Run, ray: Run, pictures: int, difference: float) -> None:
    from pizzaiolo.evaluate.intervals import wilson

    one, two = (run.json()["validation"]["accuracy"] for run in (plain, ray))
    low, high = wilson(one * pictures, pictures)
    print(
        f"{what:<22} {plain.seconds:>7.1f} {ray.seconds:>7.1f} {ray.seconds / plain.seconds:>6.2f}"
        f"   {one:.4f} ({low:.3f} to {high:.3f})   {two:.4f}   {low <= two <= high}"
        f"   {difference:.1e}"
    )


def killer(run: Path, done: list[int]) -> None:
    """End a process of Ray that trains, once the first checkpoint stands."""
    while not (run / ".unfinished" / "last.ckpt").is_file():
        time.sleep(0.05)
    shown = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout
    rows = [line.split(maxsplit=2) for line in shown.splitlines()[1:]]
    parents = {pid: parent for pid, parent, _ in rows}

    def ours(pid: str) -> bool:
        while pid in parents and pid != str(os.getpid()):
            pid = parents[pid]
        return pid == str(os.getpid())

    for pid, _, name in rows:
        if "RayTrainWorker" in name and ours(pid):
            os.kill(int(pid), signal.SIGKILL)
            done.append(int(pid))
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a DATASET of the photos, else one is prepared")
    parser.add_argument("--recipes", default="head,finetune", help="which are compared")
    parser.add_argument("--kill", action="store_true", help="kill one process of a fine-tuning")
    given = parser.parse_args()
    header()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = given.data or folder / "data"
        if not given.data:
            pizzaiolo("prepare", photos("pizza_not_pizza"), "--out", data)
        from pizzaiolo.core.manifest import Dataset

        pictures = len(Dataset.open(data).split("validation"))
        print(f"{'recipe':<22} {'plain s':>7} {'ray s':>7} {'times':>6}   validation accuracy, "
              f"95 % ({pictures})   on Ray   within   largest gap of a weight")  # fmt: skip
        for what, flags in (("head", HEAD), ("finetune, one epoch", FINETUNE)):
            if flags[1] not in given.recipes.split(","):
                continue
            runs = [folder / f"{how}_{flags[1]}" for how in ("plain", "ray")]
            plain = trained(data, runs[0], folder / f"cache_plain_{flags[1]}", *flags)
            ray = trained(data, runs[1], folder / f"cache_ray_{flags[1]}", *flags, *TWO)
            tell(what, plain, ray, pictures, gap(*runs))
        if given.kill:
            run, done = folder / "killed", list[int]()
            threading.Thread(target=killer, args=(run, done), daemon=True).start()
            ended = trained(data, run, folder / "cache_ray_finetune", *FINETUNE, *TWO)
            print(f"process {done} killed: {ended.seconds:.1f} s, largest gap of a weight to the "
                  f"run that was left alone {gap(folder / 'ray_finetune', run):.1e}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
