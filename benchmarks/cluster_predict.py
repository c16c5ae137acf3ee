"""`predict --ray local` against the plain job on the same photos: seconds, ratio, the same rows?

    python benchmarks/cluster_predict.py [--photos 1400] [--repeat 3] [--feeding 200000]

On one machine both have the same cores, so what is measured is what Ray costs: a fixed time to
start, and a share of each picture. From both follows the size from which several machines pay.
`--feeding` counts how many pictures a second one driver can hand out and take back, with workers
that answer at once.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq
from common import half, header, photos, run

from pizzaiolo.cluster.answering import Kind, Pool
from pizzaiolo.cluster.session import connected
from pizzaiolo.predict import Answer
from pizzaiolo.starter import starter_file

FEW = 100  # photos, of which the fixed time is seen
MACHINES = (2, 4, 8)  # for which the size is told from which they pay


@dataclass(frozen=True)
class Timed:
    """Seconds for few photos and for all."""

    few: float
    all: float

    def each(self, count: int) -> float:
        return (self.all - self.few) / (count - FEW)

    def fixed(self, count: int) -> float:
        return self.few - FEW * self.each(count)


def seconds(files: Sequence[Path], out: Path, *flags: str) -> float:
    """What the whole command takes."""
    names = out.with_suffix(".txt")
    names.write_text("".join(f"{file}\n" for file in files))
    command = (sys.executable, "-m", "pizzaiolo", "predict", "-", "--model", str(starter_file()))
    out.unlink(missing_ok=True)
    line = shlex.join([*command, "--parquet", str(out), *flags])
    return run("sh", "-c", f"{line} < {names}", quiet=True).seconds


def predict(count: int, repeat: int) -> None:
    """Print what the plain job and the cluster's take, and whether their rows are the same."""
    files = [*half("pizza_not_pizza", "selection"), *half("pizza_not_pizza", "reported")][:count]
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        for _, some in product(range(repeat), (files[:FEW], files)):  # by turns: loads change
            for word, flags in (("plain", ()), ("ray", ("--ray", "local"))):
                taken[word, len(some)].append(seconds(some, Path(name, f"{word}.parquet"), *flags))
        tables = [pq.read_table(Path(name, f"{word}.parquet")) for word in ("plain", "ray")]
    same = tables[0].equals(tables[1])
    plain, on_ray = (
        Timed(*(median(taken[word, size]) for size in (FEW, len(files))))
        for word in ("plain", "ray")
    )
    print(f"\n| {len(files)} photos | seconds | to start | ms a photo |\n|---|---|---|---|")
    for word, found in (("plain", plain), ("--ray local", on_ray)):
        fixed, each = found.fixed(len(files)), found.each(len(files))
        print(f"| {word} | {found.all:.1f} | {fixed:.1f} | {each * 1000:.2f} |")
    print(f"ratio {on_ray.all / plain.all:.2f}; the same rows, to the last bit: {same}")
    for machines in MACHINES:
        gained = plain.each(len(files)) - on_ray.each(len(files)) / machines
        least = (on_ray.fixed(len(files)) - plain.fixed(len(files))) / gained
        print(f"{machines} such machines pay from {least:,.0f} photos" if gained > 0 else "never")


class Quick:
    """A worker that answers at once."""

    def __init__(self, model: str, device: str, threads: int) -> None:
        self.model = model

    def open(self) -> None:
        pass

    def answer(self, paths: Sequence[str]) -> list[Answer]:
        told = {"not_pizza": 0.25, "pizza": 0.75}
        return [Answer(path, "pizza", 0.75, "Pizza", told, 0.5) for path in paths]


def feeding(count: int) -> None:
    """Print how many answers a second one driver takes."""
    with connected("local"), closing(Pool(Quick, "", Kind("cpu", 0, 1, 1))) as pool:
        answers = pool.answers(Path(f"photos/{i:09}.jpg") for i in range(count))
        next(answers)
        started, cpu = time.perf_counter(), time.process_time()
        taken = sum(1 for _ in answers)
        wall, own = time.perf_counter() - started, time.process_time() - cpu
    print(f"\none driver: {taken / wall:,.0f} pictures a second, {own / taken * 1e6:.0f} us of its "
          f"own CPU for each")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1400)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--feeding", type=int, default=200_000)
    wanted = parser.parse_args()
    header()
    print(f"load average {os.getloadavg()[0]:.1f}: over 0.5 the figures are not of this alone")
    os.environ["OMP_NUM_THREADS"] = "1"
    photos("pizza_not_pizza")
    if wanted.photos:
        predict(wanted.photos, wanted.repeat)
    if wanted.feeding:
        feeding(wanted.feeding)


if __name__ == "__main__":
    main()
