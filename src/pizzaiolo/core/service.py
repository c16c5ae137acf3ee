"""An application behind uvicorn, on a socket that listens already, until it is asked to stop."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from typing import Any, Literal

from ..console import note

LINGER = 0.4  # seconds after the stop in which clients are told that it ends, and as long again
BACKLOG = 1024  # connections that may wait until they are accepted
TURN = 0.0005  # seconds; with Python's 0.005 a thread that computes waits for a busy event loop


def run_app(
    app: Any, listener: socket.socket, welcome: str, grace: int, lifespan: Literal["on", "off"]
) -> None:
    """Say `welcome`, if any, and answer until Ctrl-C; running requests get `grace` seconds then.

    For a moment more clients are answered, and told to use their connection no more: one that is
    closed without a word may just then carry a request.
    """
    import uvicorn  # not for those who only read a model file

    from .http import HttpProtocol

    last = LastAnswers(app)
    settings = uvicorn.Config(
        last,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan=lifespan,
        timeout_graceful_shutdown=grace,
        http=HttpProtocol,
        ws="none",
        backlog=1,  # asyncio accepts as many at once: one process would take those of all
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            listener.listen(BACKLOG)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """First new clients are still let in, then only those who are in are waited for."""
            last.told = True
            await _until(lambda: not self.server_state.connections, LINGER)
            await _until(lambda: not _knocked_at(listener), LINGER)
            for server in self.servers:
                server.close()
            listener.close()
            await _until(lambda: not self.server_state.connections, LINGER)
            await super().shutdown(sockets)

    before = sys.getswitchinterval()
    try:  # Ctrl-C may come as soon as the address is known
        if welcome:
            note(welcome)
        sys.setswitchinterval(TURN)
        Server(settings).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        sys.setswitchinterval(before)
        listener.close()
    if welcome:
        note("stopped")


async def _until(true: Callable[[], bool], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true() and loop.time() < end:
        await asyncio.sleep(0.001)


def _knocked_at(listener: socket.socket) -> bool:
    """Whether a client is connected that was not let in yet."""
    return bool(select.select([listener], [], [], 0)[0])


class LastAnswers:
    """ASGI middleware: once `told`, every answer is the last one of its connection."""

    def __init__(self, app: Any) -> None:
        self.app, self.told = app, False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start" and self.told:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, send_last)
