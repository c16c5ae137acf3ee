"""How long one picture takes an engine on this machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from ..predict import Engine

WARM, LEAST, MOST = 5, 30, 300  # pictures
SECONDS = 1.0  # after which no more than the least are timed


def latency(engine: Engine, side: int) -> float:
    """Milliseconds that one picture of `side` pixels takes, the median."""
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    for _ in range(WARM):
        engine(picture)
    times: list[float] = []
    while len(times) < LEAST or (sum(times) < SECONDS and len(times) < MOST):
        started = perf_counter()
        engine(picture)
        times.append(perf_counter() - started)
    return 1000 * median(times)
