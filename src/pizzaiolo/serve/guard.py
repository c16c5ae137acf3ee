"""What the service holds at bay: too many requests at once, bodies that are too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from .problems import Problem

PAUSE = 0.03  # seconds before a refusal


class Gate:
    """At most `running` requests work and at most `waiting` more are let in; the rest get 503.

    A body arrives before its request takes a slot, so that slow senders hold up nobody.
    """

    def __init__(self, running: int, waiting: int, timeout: float) -> None:
        self.slots = asyncio.Semaphore(running)
        self.running = running
        self.room = running + waiting
        self.timeout = timeout
        self.inside = 0
        self.working = 0

    @property
    def waiting(self) -> int:
        """Requests that were let in and hold no slot."""
        return self.inside - self.working

    async def knock(self) -> None:
        """Raise `Problem` 503 where it is full and stays so for a moment.

        Clients that are refused and ask again at once would take the time of those who are in.
        """
        if self.inside >= self.room:
            await asyncio.sleep(PAUSE)
            if self.inside >= self.room:
                raise busy("the queue is full")

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Let a request in while the block runs; raises `Problem` 503 at once when full."""
        if self.inside >= self.room:
            raise busy("the queue is full")
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot while the block runs; raises `Problem` 503 when there is none in time."""
        try:
            async with asyncio.timeout(self.timeout):
                await self.slots.acquire()
        except TimeoutError:
            raise busy(f"no answer within {self.timeout:g} s") from None
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1
            self.slots.release()


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
