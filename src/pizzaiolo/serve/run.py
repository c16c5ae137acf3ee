"""`pizzaiolo serve`: the application behind uvicorn."""

from __future__ import annotations

import signal
import socket

from ..config import ServeConfig
from ..core.service import run_app
from ..errors import WorkError
from ..predict import Predictor
from .app import create_app

GRACE = 10  # seconds that running requests may take after a stop was asked for


def serve(predictor: Predictor, config: ServeConfig = ServeConfig()) -> None:
    """Serve until interrupted; raises `WorkError` where the port can't be had."""
    listener = _listen(config)
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    # uvicorn raises a signal again after it has stopped: SIGTERM then ends like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    welcome = f"pizzaiolo serves on http://{address}:{port}   (API: /docs, stop: Ctrl-C)"
    run_app(create_app(predictor, config), listener, welcome, GRACE, lifespan="on")


def _listen(config: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen()  # from here on the port is ours, and clients may connect
    except (OSError, UnicodeError) as error:
        listener.close()
        raise WorkError(
            f"can't listen on {config.host}:{config.port}: "
            f"{getattr(error, 'strerror', None) or error}",
            hint="choose another one with --port, 0 takes any free one",
        ) from None
    return listener
