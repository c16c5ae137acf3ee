"""The terminal: results on stdout, everything else on stderr, colour never carries meaning."""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Protocol, TextIO, TypeVar

from .errors import PizzaioloError

T = TypeVar("T")
log = logging.getLogger("pizzaiolo")
_results: list[TextIO] = []  # stdout, while what others print goes elsewhere


class Advance(Protocol):
    """Call it with the number of pieces done since the last call, with figures and a new total."""

    def __call__(self, n: int = 1, figures: str = "", total: int | None = None) -> None: ...


def set_up_streams() -> None:
    """Each line goes out at once, and a name that the terminal can't show goes out escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def set_up_logging(verbose: bool = False) -> None:
    """Log to stderr: warnings always, steps as well when `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("py.warnings").handlers[:] = [handler]


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """A progress bar on stderr while the block runs; silent where stderr is no terminal."""
    if not sys.stderr.isatty():  # what draws it takes a tenth of a first answer's time to load
        yield _silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, figures="")

        def advance(n: int = 1, figures: str = "", total: int | None = None) -> None:
            bar.update(task, advance=n, figures=figures, total=total)

        yield advance


def _silent(n: int = 1, figures: str = "", total: int | None = None) -> None:
    pass


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar on stderr."""
    if total is None and isinstance(items, Sequence):
        total = len(items)
    with progress(what, total) as advance:
        for item in items:
            yield item
            advance()


def note(message: str) -> None:
    """A line for people on stderr, in one write: those of several processes stay apart."""
    print(f"{message}\n", end="", file=sys.stderr)


@contextmanager
def prints_aside() -> Iterator[None]:
    """What the block prints by itself, as a person's own module may, goes to stderr."""
    _results.append(results())
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _results.pop()


def results() -> TextIO:
    """Where results go: stdout, whatever a block around does to it."""
    return _results[-1] if _results else sys.stdout


def say(message: str = "") -> None:
    """A line of the result on stdout."""
    print(message, file=results())


def say_json(value: Any) -> None:
    """The result as one line of JSON on stdout."""
    plain = "utf" not in (results().encoding or "").lower()
    say(json.dumps(value, ensure_ascii=plain, allow_nan=False))


def say_table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, fold: bool = False) -> None:
    """A plain table on stdout: columns padded, never cut, readable without colour.

    With `fold` a first cell that leaves no room for the others on the terminal stands on a line
    of its own.
    """
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    if fold and results().isatty():
        room = shutil.get_terminal_size().columns - sum(width + 2 for width in widths[1:])
        widths[0] = min(widths[0], max(room, len(header[0])))
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        if len(line[0]) > widths[0]:
            say(line[0])
            line[0] = ""
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(padded).rstrip())


def report_error(error: PizzaioloError) -> None:
    """One message and one hint on stderr, never a traceback."""
    note(f"error: {error.message}")
    if error.hint:
        note(f"hint: {error.hint}")
