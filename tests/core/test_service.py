"""A service that stops when asked, at whatever moment."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pizzaiolo.core import service
from pizzaiolo.core.service import run_app


async def nothing(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    """An application that nobody asks."""


def test_a_stop_while_the_address_is_told_is_a_clean_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    def note(message: str) -> None:
        said.append(message)
        if message == "welcome":
            raise KeyboardInterrupt

    monkeypatch.setattr(service, "note", note)
    listener = socket.create_server(("127.0.0.1", 0))
    run_app(nothing, listener, "welcome", 1, lifespan="off")
    assert said == ["welcome", "stopped"] and listener.fileno() == -1
