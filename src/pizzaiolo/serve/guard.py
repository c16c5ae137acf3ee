"""What the service holds at bay: too many requests at once, bodies that are too large."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from .problems import Problem

PAUSE = 0.03  # seconds before a refusal
WEIGHT = 0.1  # of the newest in the running mean


class Gate:
    """At most `running` requests work and at most `waiting` more are let in; the rest get 503.

    So do those who would wait longer than `patience` seconds for a slot, going by how often one
    became free of late. A body arrives before its request takes a slot, so that slow senders hold
    up nobody. `ahead` more get a slot than work: they lie ready for the threads, which else would
    wait for the event loop after each picture, and that has a thousand refusals to give.
    """

    def __init__(
        self,
        running: int,
        waiting: int,
        timeout: float,
        patience: float = math.inf,
        ahead: int = 0,
    ) -> None:
        self.slots = asyncio.Semaphore(running + ahead)
        self.running = running
        self.room = running + waiting
        self.timeout = timeout
        self.patience = patience
        self.inside = 0
        self.held = 0  # slots
        self.queued = 0  # those whose body has arrived, and who wait for a slot
        self.seconds = 0.0  # from one slot's release to the next where all are in use, on average
        self.released: float | None = None  # when, if some waited then

    @property
    def working(self) -> int:
        """Requests that are worked on."""
        return min(self.held, self.running)

    @property
    def waiting(self) -> int:
        """Requests that were let in and are not worked on."""
        return self.inside - self.working

    @property
    def wait(self) -> float:
        """How long, seconds, one more would wait for a slot."""
        return self.queued * self.seconds

    def widen(self, running: int) -> None:
        """Let as many work as that at once, where it were fewer; before anyone asks."""
        more = max(0, running - self.running)
        for _ in range(more):
            self.slots.release()
        self.running += more
        self.room += more

    async def knock(self) -> None:
        """Raise `Problem` 503 where it is full and stays so for a moment.

        Clients that are refused and ask again at once would take the time of those who are in.
        """
        if self._full() is not None:
            await asyncio.sleep(PAUSE)
            if (why := self._full()) is not None:
                raise busy(why)

    def _full(self) -> str | None:
        if self.inside >= self.room:
            return "the queue is full"
        if self.wait > self.patience:
            return f"no answer is to be expected within {self.patience:g} s"
        return None

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Let a request in while the block runs; raises `Problem` 503 at once when full."""
        if (why := self._full()) is not None:
            raise busy(why)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot while the block runs; raises `Problem` 503 when there is none in time."""
        self.queued += 1
        try:
            async with asyncio.timeout(self.timeout):
                await self.slots.acquire()
        except TimeoutError:
            raise busy(f"no answer within {self.timeout:g} s") from None
        finally:
            self.queued -= 1
        self.held += 1
        started = time.perf_counter()
        try:
            yield
        finally:
            self.held -= 1
            self.slots.release()
            self._learn(started, time.perf_counter())

    def _learn(self, started: float, now: float) -> None:
        """Where others waited all the time, from the last release: that has what the event loop
        takes in between."""
        seen = (now - started) / self.running if self.released is None else now - self.released
        self.seconds += WEIGHT * (seen - self.seconds) if self.seconds else seen
        self.released = now if self.queued else None


def busy(why: str) -> Problem:
    """503 with the time after which it is worth trying again."""
    return Problem(503, "overloaded", why, headers={"Retry-After": "1"})


def too_large(limit: int) -> Problem:
    """413 for a body over the limit."""
    return Problem(413, "too_many_bytes", f"the body is larger than {limit:,} bytes")


async def read_body(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body's pieces, refused as soon as they are over the limit, whatever was announced."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large(limit)
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > limit:
            raise too_large(limit)
        yield piece


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Give the block so many seconds; raises `Problem` 408 after them."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        detail = f"the body did not arrive within {seconds:g} s"
        raise Problem(408, "too_slow", detail, {"Connection": "close"}) from None
