"""What the service holds at bay: too many requests at once, bodies that are too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from .problems import Problem


class Gate:
    """At most `running` requests work and at most `waiting` wait; the rest get 503 at once."""

    def __init__(self, running: int, waiting: int, timeout: float) -> None:
        self.slots = asyncio.Semaphore(running)
        self.max_waiting = waiting
        self.timeout = timeout
        self.waiting = 0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Hold a slot while the block runs; raises `Problem` 503 when there is none in time."""
        if self.slots.locked() and self.waiting >= self.max_waiting:
            raise busy("the queue is full")
        self.waiting += 1
        try:
            await asyncio.wait_for(self.slots.acquire(), self.timeout)
        except TimeoutError:
            raise busy(f"no answer within {self.timeout:g} s") from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self.slots.release()


def busy(why: str) -> Problem:
    """503 with the time after which it is worth trying again."""
    return Problem(503, "overloaded", why, headers={"Retry-After": "1"})


def too_large(limit: int) -> Problem:
    """413 for a body over the limit."""
    return Problem(413, "too_many_bytes", f"the body is larger than {limit:,} bytes")


def check_length(request: Request, limit: int) -> None:
    """Refuse a body by its announced length, before it is read."""
    text = request.headers.get("content-length", "0")
    if text.isdigit() and int(text) > limit:
        raise too_large(limit)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, refused as soon as it is over the limit, whatever was announced."""
    check_length(request, limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)
