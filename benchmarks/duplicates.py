"""The duplicate search as pictures grow more: seconds, peak memory and what was found.

    python benchmarks/duplicates.py [--counts 10000,100000,1000000] [--embeddings 10000,100000]
                                    [--width 1280]

Hashes are random, two in a hundred of them copies of others with 1 to 10 bits flipped; embeddings
lie in clusters, two in a hundred are copies with noise. The growth of time is told against the
growth of the count (1.0 is linear; all pairs would be 10 from line to line). Each line is a
process of its own, so the peak is its own: interpreter and libraries take about 100 MB of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from common import header, run

DISTANCE = 10  # bits, the default of `prepare`
WIDTH = 1280  # of an embedding, as the default backbone gives it
COPIES = 50  # one picture in so many is a copy


def hashes(count: int, width: int) -> dict[str, float]:
    """Near pairs among random hashes; how many of the planted copies were found."""
    from pizzaiolo.prepare.hamming import near_pairs

    del width  # a hash has none
    chance = np.random.default_rng(0)
    values, planted = chance.integers(0, 2**64, count, np.uint64), count // COPIES
    order = np.argsort(chance.random((planted, 64)), axis=1).astype(np.uint64)
    flipped = np.arange(64)[None] < chance.integers(1, DISTANCE + 1, (planted, 1))
    flips = np.where(flipped, np.uint64(1) << order, np.uint64(0))
    values[-planted:] = values[:planted] ^ np.bitwise_or.reduce(flips, axis=1)
    started = time.perf_counter()
    pairs = near_pairs(values, DISTANCE)
    return found(pairs, count, planted, started)


def embeddings(count: int, width: int) -> dict[str, float]:
    """Nearest neighbours among clustered embeddings; how many of the planted copies were found."""
    from pizzaiolo.prepare.neighbours import nearest

    chance = np.random.default_rng(0)
    centres, planted = chance.normal(size=(300, width)), count // COPIES
    features = np.empty((count, width), np.float32)
    for start in range(0, count, 4096):
        part = features[start : start + 4096]
        noise = chance.normal(size=part.shape)
        part[:] = np.maximum(centres[chance.integers(0, 300, len(part))] + noise, 0)
    noise = np.abs(chance.normal(size=(planted, width)))
    features[-planted:] = features[:planted] + 0.5 * noise
    started = time.perf_counter()
    pairs = nearest(features)
    return found(pairs, count, planted, started)


def found(pairs: np.ndarray, count: int, planted: int, started: float) -> dict[str, float]:
    seconds = time.perf_counter() - started
    known = {tuple(pair) for pair in pairs[pairs[:, 1] >= count - planted].tolist()}
    hits = sum((i, count - planted + i) in known for i in range(planted))
    return {"seconds": seconds, "recall": hits / planted, "pairs": len(pairs)}


def table(what: str, counts: list[int], width: int) -> None:
    print(f"{what:<11} {'seconds':>8} {'peak MB':>8} {'recall':>7} {'pairs':>9} {'growth':>7}")
    before: tuple[int, float] | None = None
    for count in counts:
        done = run(sys.executable, __file__, "--one", what, str(count), "--width", str(width))
        result = json.loads(done.output)
        growth = ""
        if before:
            growth = f"{result['seconds'] / before[1] / (count / before[0]):.1f}"
        print(
            f"{count:<11} {result['seconds']:>8.2f} {done.megabytes:>8.0f} "
            f"{result['recall']:>7.4f} {result['pairs']:>9} {growth:>7}"
        )
        before = count, result["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="10000,100000,1000000", help="numbers of hashes")
    parser.add_argument("--embeddings", default="10000,100000", help="numbers of embeddings")
    parser.add_argument("--width", type=int, default=WIDTH, help="numbers of one embedding")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        what, count = given.one
        print(
            json.dumps({"hashes": hashes, "embeddings": embeddings}[what](int(count), given.width))
        )
        return
    header()
    for what, counts in (("hashes", given.counts), ("embeddings", given.embeddings)):
        if counts:
            table(what, [int(count) for count in counts.split(",")], given.width)


if __name__ == "__main__":
    main()
