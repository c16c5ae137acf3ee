"""An application behind uvicorn, on a socket that listens already, until it is asked to stop."""

from __future__ import annotations

import socket
from typing import Any, Literal

from ..console import note


def run_app(
    app: Any, listener: socket.socket, welcome: str, grace: int, lifespan: Literal["on", "off"]
) -> None:
    """Say `welcome`, if any, and answer until Ctrl-C; running requests get `grace` seconds then."""
    import uvicorn  # not for those who only read a model file

    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan=lifespan,
        timeout_graceful_shutdown=grace,
    )
    try:  # Ctrl-C may come as soon as the address is known
        if welcome:
            note(welcome)
        uvicorn.Server(settings).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    if welcome:
        note("stopped")
