"""How fast pictures are inspected, against Pillow's bare decode and the peers; and memory.

    python benchmarks/prepare.py [--repeat 5] [--many 14000]

`decode` opens and decodes every file with Pillow and does nothing else. `inspect` is what prepare
looks at: header, decode, EXIF, quality, hashes. `with copies` also resizes and writes the upright
copies. All three run in the same kind of pool on as many processes, whose start-up counts for
none; they take turns, and medians are printed. The peers (cleanvision, imagededup) run from
PIZZAIOLO_PEERS by the Python of PIZZAIOLO_PEERS_PYTHON, on the same files in one flat folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from common import PEERS, header, photos, pizzaiolo, run
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.image import Limits, read_bytes, read_picture
from pizzaiolo.prepare.candidate import Candidate
from pizzaiolo.prepare.inspect import DETAIL_SIDE, inspect_one, look_closely, perceptual_hashes

CONFIG = PrepareConfig()
PYTHON = Path(
    os.environ.get("PIZZAIOLO_PEERS_PYTHON", "~/.cache/pizzaiolo-peers/full/bin/python")
).expanduser()


def decode(file: Path) -> None:
    """The limit: Pillow's decode alone."""
    with Image.open(file) as image:
        image.load()


def inspect(file: Path) -> tuple[int, int]:
    """Everything that prepare finds out about a picture, without its copy."""
    data = read_bytes(file, Limits(CONFIG.max_bytes))
    hashlib.sha256(data).hexdigest()
    image, _ = read_picture(data, Limits(), DETAIL_SIDE)
    grey, _ = look_closely(image)
    return perceptual_hashes(grey)


def with_copies(staging: Path, file: Path) -> bytes:
    """The step as it is: `inspect` and the upright copy, both kept."""
    found = inspect_one(Candidate(file, str(file), "x"), staging, CONFIG)
    return json.dumps(found.facts()).encode()


def rate(work: Callable[[Path], object], files: Sequence[Path], workers: int) -> float:
    """Pictures a second, in processes that have started and imported everything."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        list(pool.map(work, files[: 16 * workers], chunksize=8))
        started = time.perf_counter()
        list(pool.map(work, files, chunksize=8))
        return len(files) / (time.perf_counter() - started)


def speed(files: Sequence[Path], folder: Path, repeat: int) -> tuple[float, float]:
    """Prints the ratios; returns the seconds of `inspect` and of a whole `prepare` without
    features."""
    workers = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {"decode": [], "inspect": [], "with copies": []}
    for _ in range(repeat):
        staging = folder / "staging"
        staging.mkdir()
        # With an empty cache for every round nothing is known beforehand.
        works = (decode, inspect, partial(with_copies, staging))
        for name, work in zip(rates, works, strict=True):
            rates[name].append(rate(work, files, workers))
        shutil.rmtree(staging)
    limit = rates["decode"]
    for name, values in rates.items():
        ratio = statistics.median(v / d for v, d in zip(values, limit, strict=True))
        median = statistics.median(values)
        print(f"  {name:<12} {median:6.0f} pictures/s, {ratio:.2f} of decode alone")
    runs = [
        pizzaiolo(
            "prepare", photos("pizza_not_pizza"), "--out", folder / f"data{i}", "--no-features",
            PIZZAIOLO_CACHE=str(folder / f"cache{i}"),
        ).seconds
        for i in range(min(3, repeat))
    ]  # fmt: skip
    again = pizzaiolo(
        "prepare", photos("pizza_not_pizza"), "--out", folder / "data0", "--no-features",
        PIZZAIOLO_CACHE=str(folder / "cache0"),
    ).seconds  # fmt: skip
    whole = statistics.median(runs)
    print(f"  whole command {whole:.1f} s; a second run over the same files {again:.1f} s")
    return len(files) / statistics.median(rates["inspect"]), whole


def peers(files: Sequence[Path], folder: Path, looked: float, ours: float) -> None:
    """Seconds of the peers' own work, imports not counted, which is looking and no copies."""
    if not (PYTHON.exists() and PEERS.exists()):
        print(f"  no peers: {PYTHON} and {PEERS} are wanted")
        return
    flat = folder / "flat"
    flat.mkdir()
    for file in files:
        (flat / f"{file.parent.name}_{file.name}").symlink_to(file)
    for script, *flags in (("cleanvision",), ("imagededup", "--method", "phash")):
        done = run(PYTHON, PEERS / f"run_clean_{script}.py", flat, *flags, quiet=True)
        line = next(s for s in done.output.splitlines() if s.startswith("RESULT "))
        seconds = json.loads(line.removeprefix("RESULT "))["seconds"]
        print(
            f"  {script:<12} {seconds:6.1f} s: {seconds / looked:.1f} times our inspection and "
            f"hashes, {seconds / ours:.1f} times our whole command"
        )


PARTS = 10  # different pictures that one photo gives


def parts(folder: Path, file: Path) -> None:
    """Writes ten pictures of one photo that are no near-copies: nine tiles, and all of it."""
    with Image.open(file) as image:
        photo = image.convert("RGB")
    width, height = (side // 3 for side in photo.size)
    for number in range(PARTS - 1):
        x, y = number % 3 * width, number // 3 * height
        tile = photo.crop((x, y, x + width, y + height))
        tile.save(folder / file.parent.name / f"{file.stem}_{number}.jpg", quality=85)
    photo.reduce(2).save(folder / file.parent.name / f"{file.stem}_all.jpg", quality=85)


def memory(files: Sequence[Path], folder: Path, many: int) -> None:
    """Peak memory of the whole command for a tenth of `many` different pictures, and for all."""
    large, small = folder / "many", folder / "few"
    for source in (large, small):
        for name in {file.parent.name for file in files}:
            (source / name).mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(parts, large), files[:: max(1, len(files) * PARTS // many)]))
    made = sorted(large.glob("*/*.jpg"))
    chosen = random.Random(0).sample(made, len(made) // 10)
    for file in chosen:
        shutil.copy(file, small / file.relative_to(large))
    peaks = []
    for source, count in ((small, len(chosen)), (large, len(made))):
        done = pizzaiolo(
            "prepare", source, "--out", folder / f"memory{count}", "--no-features",
            PIZZAIOLO_CACHE=str(folder / f"memory-cache{count}"),
        )  # fmt: skip
        peaks.append(done.megabytes)
        print(f"  {count:>6} files: peak {done.megabytes:.0f} MB, {done.seconds:.1f} s")
    print(f"  ratio of peak memory {peaks[1] / peaks[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--many", type=int, default=14_000, help="pictures, of a photo ten")
    parser.add_argument("--no-speed", action="store_true", help="measure memory only")
    options = parser.parse_args()
    header()
    files = sorted(photos("pizza_not_pizza").glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PIZZAIOLO_CACHE"] = str(folder / "cache")
        print(f"{len(files)} photos")
        if not options.no_speed:
            peers(files, folder, *speed(files, folder, options.repeat))
        memory(files, folder, options.many)


if __name__ == "__main__":
    main()
