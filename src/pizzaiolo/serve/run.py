"""`pizzaiolo serve`: the application behind uvicorn, in one process or several."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..config import ServeConfig
from ..console import note
from ..core.service import run_app
from ..errors import WorkError
from ..predict import Predictor
from .access import Rules, bare_host
from .keys import read_keys
from .workers import FIGURES, supervise

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE = 10  # seconds that running requests may take after a stop was asked for


def serve(source: Callable[[], Predictor], config: ServeConfig = ServeConfig()) -> None:
    """Serve the model that `source` loads until interrupted.

    Raises `WorkError` where the port can't be had, and what loading a model raises.
    """
    rules, listener = rules_of(config), _listen(config)
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    welcome = f"pizzaiolo serves on http://{address}:{port}   (API: /docs, stop: Ctrl-C)"
    if config.workers == 1:
        _answer(source, config, rules, listener, welcome)
        return
    with listener, tempfile.TemporaryDirectory(prefix="pizzaiolo-figures-") as folder:
        os.environ[FIGURES] = folder  # before prometheus_client is imported
        try:
            note(welcome)
            # Whom nobody accepts any more is to be refused, and not to wait in our copy's queue.
            work = partial(_answer, source, config, rules, listener)
            supervise(config.workers, work, leave=listener.close)
            note("stopped")
        finally:
            del os.environ[FIGURES]


def _answer(
    source: Callable[[], Predictor], config: ServeConfig, rules: Rules, listener: socket.socket,
    welcome: str = "",
) -> None:  # fmt: skip
    """Answer in this process."""
    from .app import create_app  # imports what counts, which looks for FIGURES

    # uvicorn raises a signal again after it has stopped: SIGTERM then ends like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app = create_app(source(), config, rules, source)
    run_app(app, listener, welcome, GRACE, lifespan="on")


def rules_of(config: ServeConfig) -> Rules:
    """Who may come in, by the settings and the environment; of a rate, one process's share."""
    hosts = frozenset(bare_host(host) for host in config.allowed_hosts)
    if not hosts and config.host in LOOPBACK:
        hosts = frozenset(LOOPBACK)
    keys = read_keys(Path(config.keys) if config.keys else None, os.environ)
    origins = frozenset(origin.rstrip("/") for origin in config.cors)
    rate = None if config.rate is None else config.rate / config.workers
    return Rules(keys, frozenset() if "*" in hosts else hosts, origins, rate)


def _listen(config: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # Only for sockets that say TCP asyncio turns off Nagle's delay: 40 ms of every answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(1024)  # from here on the port is ours, and clients may connect
    except (OSError, UnicodeError) as error:
        listener.close()
        raise WorkError(
            f"can't listen on {config.host}:{config.port}: "
            f"{getattr(error, 'strerror', None) or error}",
            hint="choose another one with --port, 0 takes any free one",
        ) from None
    return listener
