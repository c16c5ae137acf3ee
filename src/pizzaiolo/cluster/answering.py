"""The workers of `predict --ray`, and who works on what: nothing lost, nothing twice, in order."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..console import log
from ..errors import WorkError
from ..predict import Answer

if TYPE_CHECKING:
    from ..predict.sources import Place

CHUNK = 32  # pictures for each thread of a worker, that it gets at once
AHEAD = 4  # chunks for each worker that are under way, or wait for an earlier one
TRIES, TRIES_ALONE = 2, 3  # of a chunk, then of each of its pictures, before that is to blame
STARTS = 3  # for each worker: so many in a row that end before they have opened the model
COUNTED_EVERY = 5.0  # seconds between two counts of the processors: machines come and go
PATIENCE = 30.0  # seconds without any worker, before that is told


@dataclass(frozen=True)
class Kind:
    """What each worker has: a GPU or none, and the threads that read and compute."""

    device: str
    gpus: int
    threads: int
    count: int


@dataclass(eq=False)
class _Slot:
    """The answers to pictures that were sent together, by the place of the first."""

    size: int
    parts: dict[int, list[Answer]] = field(default_factory=dict)

    def whole(self) -> bool:
        return sum(map(len, self.parts.values())) == self.size

    def answers(self) -> Iterator[Answer]:
        for _, part in sorted(self.parts.items()):
            yield from part


@dataclass(frozen=True)
class _Chunk:
    """Pictures that one worker gets at once; `start` is the place of the first in the slot."""

    slot: _Slot
    start: int
    paths: list[str]
    tries: int = 1

    def again(self) -> list[_Chunk]:
        """What to send after its worker was lost: itself, or each picture alone."""
        if len(self.paths) == 1 or self.tries < TRIES:
            return [_Chunk(self.slot, self.start, self.paths, self.tries + 1)]
        singles = enumerate(self.paths, self.start)
        return [_Chunk(self.slot, place, [path]) for place, path in singles]

    @property
    def is_to_blame(self) -> bool:
        return len(self.paths) == 1 and self.tries >= TRIES_ALONE


class Pool:
    """The workers, and what they work on: each on one chunk, so that a loss has one reason."""

    def __init__(self, worker: type, model: Any, kind: Kind) -> None:
        """`worker` is a class of actors, made of a model, a device and a number of threads: its
        `open` makes it ready, its `answer` takes paths."""
        import ray

        self.kind = kind
        self.model = ray.put(model)
        self.make = ray.remote(num_cpus=kind.threads, num_gpus=kind.gpus)(worker)
        self.busy: dict[Any, tuple[Any, _Chunk | None]] = {}  # without a chunk: it opens the model
        self.idle: list[Any] = []
        self.again: deque[_Chunk] = deque()
        self.slots: deque[_Slot] = deque()
        self.lost = self.ended = 0
        self.counted = self.seen = time.monotonic()
        self.is_over = self.pauses = False
        for _ in range(max(1, kind.count)):
            self._start()

    def close(self) -> None:
        """Let the workers go."""
        import ray

        for worker in [*self.idle, *(worker for worker, _ in self.busy.values())]:
            ray.kill(worker)

    def answers(self, places: Iterator[Place | None]) -> Iterator[Answer]:
        """Answers in the order of the pictures; only a few chunks for each worker are in memory."""
        chunks = self._chunks(places)
        while True:
            self._feed(chunks)
            if self.slots and self.slots[0].whole():
                yield from self.slots.popleft().answers()
            elif self.slots:
                self._wait()
            elif self.pauses:
                self.pauses = False
            elif self.is_over:
                break
            else:  # no worker is ready yet
                self._wait()
        if self.lost:
            log.warning("%d times a worker was lost; its work was done again", self.lost)

    def _chunks(self, places: Iterator[Place | None]) -> Iterator[_Chunk | None]:
        """What is sent together; None where the next may take long."""
        paths: list[str] = []
        for place in places:
            if place is not None:
                paths.append(os.fspath(place))
            if paths and (place is None or len(paths) == CHUNK * self.kind.threads):
                yield _Chunk(_Slot(len(paths)), 0, paths)
                paths = []
            if place is None:
                yield None
        if paths:
            yield _Chunk(_Slot(len(paths)), 0, paths)

    def _feed(self, chunks: Iterator[_Chunk | None]) -> None:
        """Give each idle worker a chunk, as far as there are some and not too many wait."""
        while self.idle and self.again:
            self._send(self.again.popleft())
        while self.idle and not (self.is_over or self.pauses):
            if len(self.slots) >= AHEAD * max(1, len(self.busy) + len(self.idle)):
                return
            chunk = next(chunks, self)
            if isinstance(chunk, _Chunk):
                self.slots.append(chunk.slot)
                self._send(chunk)
            else:
                self.is_over, self.pauses = chunk is self, chunk is None

    def _send(self, chunk: _Chunk) -> None:
        worker = self.idle.pop()
        self.busy[worker.answer.remote(chunk.paths)] = worker, chunk

    def _start(self) -> None:
        worker = self.make.remote(self.model, self.kind.device, self.kind.threads)
        self.busy[worker.open.remote()] = worker, None

    def _wait(self) -> None:
        """Take what has been done; look for machines that have come, where none has for a while."""
        import ray

        done, _ = ray.wait(list(self.busy), timeout=COUNTED_EVERY)
        now = time.monotonic()
        for ref in done:
            self._take(ref)
        if self.idle or any(chunk for _, chunk in self.busy.values()):
            self.seen = now
        elif now - self.seen > PATIENCE:
            log.warning("the cluster has no processor to spare; waiting for one")
            self.seen = now
        if now - self.counted > COUNTED_EVERY:
            self.counted = now
            self._grow()

    def _take(self, ref: Any) -> None:
        import ray
        from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError

        worker, chunk = self.busy.pop(ref)
        try:
            found = ray.get(ref)
        except (RayActorError, NodeDiedError, ObjectLostError, OutOfMemoryError) as error:
            ray.kill(worker)
            self._lose(chunk, error)
            return
        self.idle.append(worker)
        self.ended = 0
        if chunk is not None:
            chunk.slot.parts[chunk.start] = found

    def _lose(self, chunk: _Chunk | None, error: Exception) -> None:
        """Another worker takes the place of one that is lost, and does its work again."""
        self.lost += 1
        self.ended += chunk is None
        if self.ended >= STARTS * max(1, self.kind.count):
            why = next((x for x in reversed(str(error).splitlines()) if x.strip()), "no reason")
            raise WorkError(
                f"the workers end before they have opened the model: {why.strip()[:300]}",
                hint="all machines of the cluster need the same pizzaiolo, and enough memory",
            ) from None
        self._start()
        if chunk is None:
            return
        if chunk.is_to_blame:
            fault = {"code": "unreadable", "message": "its decoder crashed"}
            chunk.slot.parts[chunk.start] = [Answer(chunk.paths[0], error=fault)]
        else:
            self.again.extend(chunk.again())

    def _grow(self) -> None:
        """More workers where the cluster has become larger."""
        import ray

        has = ray.cluster_resources()
        cpus, gpus = has.get("CPU", 0), has.get("GPU", 0)
        most = int(min(cpus // self.kind.threads, gpus if self.kind.gpus else cpus))
        for _ in range(most - len(self.busy) - len(self.idle)):
            self._start()
