"""The application that the commands belong to, and what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__, console

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="From a folder of photos to a picture recogniser that can be trusted and served.",
    epilog="Start with: pizzaiolo demo, or pizzaiolo predict photo.jpg",
)

JsonFlag = Annotated[bool, typer.Option("--json", help="print one JSON object")]
RayFlag = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="work on a Ray cluster: its address, or local for this machine",
        metavar="ADDRESS",
    ),
]
ModelFlag = Annotated[
    Path | None,
    typer.Option("--model", help="a RUN or a model file (default: the starter)", metavar="MODEL"),
]
LabelsFlag = Annotated[
    str | None,
    typer.Option(
        "--labels", help="classes of an ONNX model that has no card, in order", metavar="A,B"
    ),
]
CodeFlag = Annotated[
    str | None,
    typer.Option(help="path/to/file.py:Class of your own module, for its .pt file"),
]


def _version(wanted: bool) -> None:
    if wanted:
        console.say(f"pizzaiolo {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    pass


def show(result: dict[str, Any], as_json: bool, lines: Any) -> None:
    """Print a result: as JSON, or as `lines` tells it."""
    if as_json:
        console.say_json(result)
    else:
        lines(result)
