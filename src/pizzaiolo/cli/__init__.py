"""The command line: one thin function per command, each parses, calls a step and prints."""

from __future__ import annotations

import sys

from .. import console
from ..errors import PizzaioloError, explain_os_error, extras_explained
from .build import demo, models, prepare, train
from .judge import evaluate, improve
from .keys import key
from .root import app
from .use import export, inspect, predict, serve

__all__ = [
    "app", "demo", "evaluate", "export", "improve", "inspect", "key", "main", "models", "predict",
    "prepare", "serve", "train",
]  # fmt: skip


def main() -> None:
    """Run the command line; every error we can explain is one message, never a traceback."""
    console.set_up_streams()
    console.set_up_logging()
    try:
        with extras_explained():
            app()
    except PizzaioloError as error:
        console.report_error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        explained = explain_os_error(error)
        console.report_error(explained)
        sys.exit(explained.exit_code)
    except SystemExit as stop:
        if stop.code == 130:
            console.note("interrupted; nothing half-written is left")
        raise
