"""Pictures of several requests computed at once, where that was measured to pay.

On a CPU a thread for each picture uses all cores, and nothing is gained. A GPU computes eight
pictures in hardly more time than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock

import numpy as np

from ..predict import BATCH, Engine, Pixels, Predictor
from ..predict.engines import Outputs

PATIENCE = 0.002  # seconds that a batch waits for more pictures
PAYS = 0.7  # of the time one by one, at most
FEW = 2  # pictures that are tried together at first
ROUNDS = 2  # of which the faster counts
AGREED = 3  # measurements that have to say that batches pay


@dataclass(frozen=True)
class Measured:
    """Seconds for `pictures` pictures, one by one on `threads` threads and all at once."""

    pictures: int
    threads: int
    alone: float
    together: float

    @property
    def pays(self) -> bool:
        """Whether pictures are to be computed together."""
        return self.together < PAYS * self.alone

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures take {1000 * self.alone:.0f} ms one by one on "
            f"{self.threads} threads and {1000 * self.together:.0f} ms together: "
            f"{'batches' if self.pays else 'no batches'}"
        )


def measure(predictor: Predictor, threads: int) -> Measured:
    """How long the engine takes for grey pictures, one by one and at once.

    First a few where the engine itself asks for one at a time, since on a CPU that tells all. What
    would change how the service works is measured `AGREED` times: another process may have been in
    the way.
    """
    batch: int = getattr(predictor.engine, "batch", 1)
    for count in [batch] * AGREED if batch > 1 else [FEW, *[BATCH] * AGREED]:
        measured = _measure(predictor, threads, count)
        if not measured.pays:
            break
    return measured


def _measure(predictor: Predictor, threads: int, count: int) -> Measured:
    engine, size = predictor.engine, predictor.card.preprocess.size
    grey = np.full((count, size, size, 3), 128, np.uint8)
    engine(grey)  # the first time of a shape takes longer
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(engine, [grey[:1]] * threads))
        alone = _fastest(lambda: list(pool.map(engine, [grey[:1]] * count)))
    return Measured(count, threads, alone, _fastest(lambda: engine(grey)))


def _fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


class Together:
    """An engine that gives another one the pictures of several threads at once, `most` of them.

    Who comes first waits `PATIENCE` for others and computes for all; who comes meanwhile is in the
    next batch. Each batch is filled up to `most`, so that a picture gets the same bits whatever
    stands beside it. `seen` hears how many there were.
    """

    batch = 1

    def __init__(
        self, engine: Engine, most: int, seen: Callable[[float], object] = lambda _: None
    ) -> None:
        self.engine, self.most, self.seen = engine, most, seen
        self.workers = 2 * most
        self.where = f"{getattr(engine, 'where', 'the CPU')}, {most} pictures at once"
        self._asked: SimpleQueue[tuple[Pixels, Future[Outputs]]] = SimpleQueue()
        self._turn = Lock()

    def __call__(self, pixels: Pixels) -> Outputs:
        if len(pixels) != 1:
            rows = [self(pixels[i : i + 1]) for i in range(len(pixels))]
            probabilities, embeddings = zip(*rows, strict=True)
            return np.concatenate(probabilities), np.concatenate(embeddings)
        mine: Future[Outputs] = Future()
        self._asked.put((pixels, mine))
        with self._turn:
            while not mine.done():
                self._run(self._batch())
        return mine.result()

    def _batch(self) -> list[tuple[Pixels, Future[Outputs]]]:
        found, end = [self._asked.get()], time.perf_counter() + PATIENCE
        while len(found) < self.most:
            try:
                found.append(self._asked.get(timeout=max(0.0, end - time.perf_counter())))
            except Empty:
                break
        return found

    def _run(self, batch: list[tuple[Pixels, Future[Outputs]]]) -> None:
        self.seen(len(batch))
        missing = self.most - len(batch)
        try:
            pixels = np.concatenate([given for given, _ in batch] + [batch[-1][0]] * missing)
            probabilities, embeddings = self.engine(pixels)
        except Exception as error:  # whatever the engine raises is each one's answer
            for _, answer in batch:
                answer.set_exception(error)
            return
        for i, (_, answer) in enumerate(batch):
            answer.set_result((probabilities[i : i + 1], embeddings[i : i + 1]))
