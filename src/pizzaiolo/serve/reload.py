"""SIGHUP takes the model's file anew, as `POST /v1/model/reload` does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool

from ..console import log, note
from .problems import Problem
from .service import Service


@contextmanager
def reloading_on_signal(service: Service) -> Iterator[None]:
    """While the block runs; where the platform or the thread allows it."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def begin() -> None:
        task = loop.create_task(_reload(service))
        tasks.add(task)  # the loop itself holds it weakly
        task.add_done_callback(tasks.discard)

    try:
        loop.add_signal_handler(signal.SIGHUP, begin)
    except (AttributeError, NotImplementedError, ValueError, RuntimeError):
        yield  # Windows, or a loop beside the main thread
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def _reload(service: Service) -> None:
    try:
        await run_in_threadpool(service.reload)
    except Problem as problem:
        log.warning("%s", problem.detail)
    else:
        note("the model was loaded anew")
