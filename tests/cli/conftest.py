"""A command run inside the test's own process: much faster than one of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from pizzaiolo import cli, console


class Done(NamedTuple):
    """What a command left: its exit code and both streams."""

    code: object
    out: str
    err: str


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """Runs `pizzaiolo` with these arguments."""
    handlers, level = console.log.handlers[:], console.log.level

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["pizzaiolo", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return Done(stop.value.code or 0, *capsys.readouterr())

    yield run
    console.log.handlers[:], console.log.level = handlers, level
