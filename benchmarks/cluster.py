"""The steps on a local Ray against the same steps without it: seconds, memory, and whether the
results are the same.

    python benchmarks/cluster.py prepare [--repeat 3] [--features]
    python benchmarks/cluster.py duplicates [--counts 10000,100000,1000000] [--plain]
    python benchmarks/cluster.py train|improve|predict ...

`duplicates` searches synthetic records as `prepare` does, each with its hash and that of its
mirror image, of which two in a hundred are copies with 1 to 10 bits flipped and half of those
mirrored; makes groups of what it finds and splits them. Each line is a process with a Ray of its
own, and the peak is that of the largest of all processes, shared memory counted in each.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from common import header, photos, pizzaiolo

DISTANCE = 10  # bits, the default of `prepare`
COPIES = 50  # one picture in so many is a copy
OTHERS = ("train", "improve", "predict")  # each in a file of its own


def prepare(repeat: int, features: bool) -> None:
    """The whole command on 1,400 photos with and without Ray, by turns, nothing known before."""
    source, flags = photos("pizza_not_pizza"), [] if features else ["--no-features"]
    seconds: dict[str, list[float]] = {"plain": [], "ray": []}
    with tempfile.TemporaryDirectory() as name:
        for turn in range(repeat):
            for how, more in (("plain", ()), ("ray", ("--ray", "local"))):
                cache = str(Path(name, f"cache_{how}_{turn}"))
                done = pizzaiolo("prepare", source, "--out", Path(name, how), *flags, *more,
                                 PIZZAIOLO_CACHE=cache)  # fmt: skip
                seconds[how].append(done.seconds)
        rows, same = compared(Path(name, "plain"), Path(name, "ray"))
    plain, ray = (statistics.median(seconds[how]) for how in ("plain", "ray"))
    print(f"prepare{' with features' if features else ''}, {rows} photos: plain {plain:.1f} s, "
          f"--ray local {ray:.1f} s, {ray / plain:.2f} times; rows the same: {same}")  # fmt: skip


def compared(here: Path, there: Path) -> tuple[int, bool]:
    """How many rows a data set has, and whether another has the very same."""
    from pizzaiolo.core.manifest import Dataset

    plain, ray = Dataset.open(here), Dataset.open(there)
    same = list(plain.rows) == list(ray.rows) and plain.fingerprint == ray.fingerprint
    return len(plain.rows), same


def records(count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Hashes, those of the mirror images, and how many at the end are copies of the first."""
    chance = np.random.default_rng(0)
    hashes, mirrored = (chance.integers(0, 2**64, count, np.uint64) for _ in range(2))
    planted = count // COPIES
    order = np.argsort(chance.random((planted, 64)), axis=1).astype(np.uint64)
    flipped = np.arange(64)[None] < chance.integers(1, DISTANCE + 1, (planted, 1))
    flips = np.bitwise_or.reduce(np.where(flipped, np.uint64(1) << order, np.uint64(0)), axis=1)
    turned = np.arange(planted) % 2 == 0
    first, second = hashes[:planted].copy(), mirrored[:planted].copy()
    hashes[-planted:] = np.where(turned, second, first) ^ flips
    mirrored[-planted:] = np.where(turned, first, second) ^ flips
    return hashes, mirrored, planted


def search(count: int, plain: bool) -> dict[str, Any]:
    """Near hashes, groups and split of so many records."""
    from pizzaiolo.cluster.duplicates import near_pairs_on
    from pizzaiolo.cluster.session import connected
    from pizzaiolo.prepare.duplicates import by_hash, groups_of
    from pizzaiolo.prepare.hamming import near_pairs
    from pizzaiolo.prepare.split import assign_splits

    hashes, mirrored, planted = records(count)
    labels = [("pizza", "not_pizza")[i % 2] for i in range(count)]
    with connected("local") as cluster:
        near = near_pairs if plain else near_pairs_on(cluster, worth=0)
        started = time.perf_counter()
        pairs = np.concatenate(by_hash(hashes, mirrored, DISTANCE, near))
        searched = time.perf_counter() - started
        roots = groups_of(count, pairs)
        names = [f"g{hashes[root]:016x}" for root in roots]
        splits = assign_splits(names, labels, (0.7, 0.15, 0.15), 0)
        seconds = time.perf_counter() - started
    hits = sum(roots[i] == roots[count - planted + i] for i in range(planted))
    digest = hashlib.sha256("".join(splits).encode() + pairs.tobytes()).hexdigest()
    return {"seconds": seconds, "search": searched, "recall": hits / planted,
            "pairs": len(pairs), "groups": len(set(roots)), "digest": digest}  # fmt: skip


def watched(command: list[str]) -> tuple[Any, dict[str, float]]:
    """The JSON that a command prints, and the peak memory in MB of its processes, by name."""
    peaks: dict[str, float] = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        while child.poll() is None:
            for name, size in memory(child.pid):
                peaks[name] = max(peaks.get(name, 0), size)
            time.sleep(0.05)
        assert child.stdout is not None
        output = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"{command[0]} exited with {child.returncode}")
    return json.loads(output.splitlines()[-1]), peaks


def memory(session: int) -> list[tuple[str, float]]:
    """Name and resident MB of each process of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            text = (folder / "stat").read_text()
            name, rest = text.partition("(")[2].rpartition(")")[::2]
            if int(rest.split()[3]) == session:
                found.append((name, int((folder / "statm").read_text().split()[1]) * 4096 / 1e6))
    return found


def duplicates(counts: list[int], plain: bool) -> None:
    print(f"{'records':>9} {'engine':<6} {'seconds':>8} {'search':>7} {'recall':>7} {'groups':>8} "
          f"{'of the line before':>18}  peak MB")  # fmt: skip
    for how in ("ray", "plain") if plain else ("ray",):
        before: tuple[int, float] | None = None
        for count in counts:
            command = [sys.executable, __file__, "duplicates", "--one", how, "--counts", str(count)]
            found, peaks = watched(command)
            growth = f"{found['seconds'] / before[1]:.1f} times" if before else ""
            largest = sorted(peaks.items(), key=lambda item: -item[1])[:3]
            print(f"{count:>9} {how:<6} {found['seconds']:>8.2f} {found['search']:>7.2f} "
                  f"{found['recall']:>7.4f} {found['groups']:>8} {growth:>18}  "
                  f"{', '.join(f'{name} {size:.0f}' for name, size in largest)}; "
                  f"result {found['digest'][:8]}")  # fmt: skip
            before = count, found["seconds"]


def main() -> None:
    if sys.argv[1:2] and sys.argv[1] in OTHERS:
        step = sys.argv.pop(1)
        importlib.import_module(f"cluster_{step}").main()
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("prepare", "duplicates", *OTHERS))
    parser.add_argument("--repeat", type=int, default=1, help="of prepare: so many turns")
    parser.add_argument("--features", action="store_true", help="prepare with the backbone, too")
    parser.add_argument("--counts", default="10000,100000,1000000", help="numbers of records")
    parser.add_argument("--plain", action="store_true", help="also without Ray")
    parser.add_argument("--one", choices=("ray", "plain"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    counts = [int(count) for count in given.counts.split(",")]
    if given.one:
        print(json.dumps(search(counts[0], given.one == "plain")))
        return
    header()
    if given.step == "prepare":
        prepare(given.repeat, given.features)
    else:
        duplicates(counts, given.plain)


if __name__ == "__main__":
    main()
