"""The command that makes an API key for the service."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import console
from .root import app


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="who will use it, for the log")],
    admin: Annotated[bool, typer.Option("--admin", help="may change the model too")] = False,
) -> None:
    """Make an API key for `serve --keys FILE`; the line for the file goes to stdout."""
    from ..serve.keys import ADMIN, PREDICT, new_key

    secret, made = new_key(name, ADMIN if admin else PREDICT)
    console.say(str(made))
    console.note(f"the key of {name}, shown this once: {secret}")
    console.note("the line on stdout is for the file of `serve --keys FILE`; it holds a hash only")
