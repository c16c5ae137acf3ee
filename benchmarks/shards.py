"""What do shards change about reading? Pictures a second from files, a tar and Parquet.

    python benchmarks/shards.py [--source FOLDER] [--photos 20000] [--shard-mb 64] [--buffer 2000]

Copies of photos (those of FOLDER, again and again with other bytes at their end, until there are
enough) are written as files and as shards, and read in the orders of training and of evaluation,
with bytes alone and with decoding. Cold means that the system was asked to forget the pages of
these files (posix_fadvise); a disk's own memory, and that of a virtual machine's host, stay.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from common import header, photos

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.image import read_image
from pizzaiolo.core.manifest import Row
from pizzaiolo.core.shards import KINDS, Layout, copy_bytes, find_place
from pizzaiolo.prepare.write import STAGING, store_copies
from pizzaiolo.train.sampling import EpochSampler, Stream

SIDE = 256  # of the copies, pixels
DECODED = 1000  # pictures of each pass with decoding


def some_copies(source: Path, count: int) -> list[bytes]:
    """Small JPEGs as `prepare` writes them, at most `count`."""
    copies = []
    for file in sorted(f for f in source.rglob("*") if f.is_file())[:count]:
        image, buffer = read_image(file, short_side=SIDE), io.BytesIO()
        scale = SIDE / min(image.size)
        image.resize((round(image.width * scale), round(image.height * scale))).save(
            buffer, "JPEG", quality=95
        )
        copies.append(buffer.getvalue())
    return copies


def written(root: Path, copies: list[bytes], count: int, config: PrepareConfig) -> list[Path]:
    """The pictures as a DATASET's training split; where each lies, in the manifest's order."""
    staging, rows = root / STAGING, []
    staging.mkdir(parents=True)
    for i in range(count):
        content = copies[i % len(copies)] + i.to_bytes(8)  # no two alike; decoders ignore it
        sha256 = hashlib.sha256(content).hexdigest()
        (staging / f"{sha256}.jpg").write_bytes(content)
        rows.append(Row(f"{i:07}.jpg", "ab"[i % 2], sha256=sha256, split="train"))
    return [root / str(row.file) for row in store_copies(root, rows, ("a", "b"), config)]


def forget(files: Sequence[Path]) -> None:
    """Ask the system to drop the pages of these files, or of their shards."""
    places = (find_place(file) for file in files)
    for name in {p.shard if p else str(f) for p, f in zip(places, files, strict=True)}:
        handle = os.open(name, os.O_RDONLY)
        os.fdatasync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def rate(files: Sequence[Path], order: Iterable[int], read: Callable[[Path], object]) -> float:
    """Pictures a second."""
    started, count = time.perf_counter(), 0
    for i in order:
        read(files[i])
        count += 1
    return count / (time.perf_counter() - started)


def measured(files: Sequence[Path], buffer: int) -> dict[str, float]:
    """Pictures a second by what is done, cold and warm."""
    layout = Layout.of(files)
    sampler = EpochSampler(len(files), 0, stream=Stream(layout, buffer) if layout else None)
    found = {}
    for name, order in (("training order", sampler), ("in order", range(len(files)))):
        forget(files)
        found[f"{name}, cold"] = rate(files, order, copy_bytes)
        found[f"{name}, warm"] = rate(files, order, copy_bytes)
    found["training order, decoded"] = rate(files, list(sampler)[:DECODED], read_image)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="photos (default: pizza_not_pizza)")
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--shard-mb", type=int, default=64)
    parser.add_argument("--buffer", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="a folder on the disk that is measured")
    given = parser.parse_args()
    header()
    copies = some_copies(given.source or photos("pizza_not_pizza"), 500)
    plain = PrepareConfig(shard_mb=given.shard_mb)
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=given.out) as name:
        for kind in (None, *KINDS):
            root = Path(name) / (kind or "files")
            started = time.perf_counter()
            files = written(root, copies, given.photos, replace(plain, shards=kind))
            seconds = time.perf_counter() - started
            size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) / 1e6
            print(f"{kind or 'files'}: {given.photos} pictures, {size:.0f} MB, {seconds:.1f} s")
            table[kind or "files"] = measured(files, given.buffer)
    print(f"pictures a second; shuffled {given.buffer} at a time in shards\n")
    print(f"{'':<24}{'files':>9}" + "".join(f"{kind:>12}{'ratio':>7}" for kind in KINDS))
    for what, base in table["files"].items():
        ratios = "".join(f"{table[k][what]:12.0f}{table[k][what] / base:7.2f}" for k in KINDS)
        print(f"{what:<24}{base:9.0f}{ratios}")


if __name__ == "__main__":
    main()
