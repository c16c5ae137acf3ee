"""The commands that use a model: export, predict, serve, inspect."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import console
from ..config import ExportConfig, ServeConfig
from ..errors import InputError
from ..flags import with_flags
from .root import CodeFlag, JsonFlag, ModelFlag, app, show


@app.command()
@with_flags(ExportConfig)
def export(
    model: Annotated[Path, typer.Argument(help="a RUN or a .pt file")],
    out: Annotated[Path, typer.Option(help="the file to write, *.onnx")],
    config: ExportConfig,
    sample: Annotated[
        Path | None,
        typer.Option(help="folder or DATASET for the check (default: the RUN's own data)"),
    ] = None,
    code: CodeFlag = None,
    json: JsonFlag = False,
) -> None:
    """6. Write one file that needs no PyTorch, kept only if it answers the same."""
    from ..export.run import export as run_export

    with console.prints_aside():
        result = run_export(model, out, config, sample=sample, code=code)
    show(result, json, _export_lines)


def _export_lines(result: dict[str, Any]) -> None:
    parity = result["parity"]
    console.say(f"Exported {result['file']} ({result['bytes'] / 1e6:.1f} MB)")
    console.say(
        f"Parity   {parity['agreement']:.0%} of {parity['pictures']} pictures agree; "
        f"largest difference {parity['max_abs_difference']:.1e}"
    )
    console.say(f"Next     pizzaiolo serve --model {result['file']}")


@app.command()
def predict(
    inputs: Annotated[list[str], typer.Argument(help="pictures, folders, globs, - for stdin")],
    model: ModelFlag = None,
    code: CodeFlag = None,
    json: JsonFlag = False,
) -> None:
    """7. Answer pictures: one verdict each."""
    from ..predict import expand
    from ..starter import load

    paths = list(expand(_with_stdin(inputs)))
    failed = 0
    with console.prints_aside():
        predictor = load(model, code)
        for answer in console.track(predictor.predict_many(paths), "predicting", len(paths)):
            failed += answer.error is not None
            if json:
                console.say_json(answer.to_json())
            else:
                console.say(answer.line)
    if failed:
        console.note(f"{failed} of {len(paths)} could not be read")
        raise typer.Exit(1)


def _with_stdin(inputs: list[str]) -> list[str]:
    if "-" not in inputs:
        return inputs
    lines = sys.stdin.buffer.read().splitlines()
    listed = [os.fsdecode(line) for line in lines if line.strip()]
    if not listed:
        raise InputError("the list on stdin names no picture", hint="expected one path a line")
    return [item for item in inputs if item != "-"] + listed


@app.command()
@with_flags(ServeConfig)
def serve(config: ServeConfig, model: ModelFlag = None, code: CodeFlag = None) -> None:
    """8. Answer over HTTP, with a web page to drop photos on."""
    from ..serve.run import serve as run_serve
    from ..starter import load

    run_serve(load(model, code), config)


@app.command()
def inspect(
    picture: Annotated[Path, typer.Argument(help="one picture")],
    model: ModelFlag = None,
    code: CodeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Follow one picture's tensors from the file's bytes to the verdict."""
    from ..inspect_tensors import inspect as run_inspect
    from ..starter import load

    with console.prints_aside():
        stages = run_inspect(load(model, code), picture)
    if json:
        console.say_json({"path": str(picture), "stages": [s.to_json() for s in stages]})
        return
    rows = [
        (
            s.name,
            str(list(s.shape)),
            s.dtype,
            f"{s.low:.3g}",
            f"{s.high:.3g}",
            f"{s.mean:.3g}",
            s.note,
        )
        for s in stages
    ]
    console.say_table(("stage", "shape", "type", "low", "high", "mean", "what happened"), rows)
