"""The commands that use a model: export, predict, serve, inspect."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import console
from ..config import ExportConfig, ServeConfig
from ..errors import UsageError
from ..flags import with_flags
from .root import CodeFlag, JsonFlag, ModelFlag, app, show

if TYPE_CHECKING:
    from ..core.labels import Labels
    from ..predict import Answer
    from ..predict.job import Job, Totals

TOLD_AFTER = 2.0  # seconds: then a job's time is worth a line


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
    json: Annotated[bool, typer.Option("--json", help="print one JSON object a line")] = False,
    csv: Annotated[
        str | None, typer.Option(help="write the answers as CSV, - for stdout", metavar="FILE")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(help="write every answer as Parquet, kept while it runs", metavar="FILE"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="skip the pictures that the Parquet file has")
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(help="confidence, novelty (highest first), verdict or path", metavar="ORDER"),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="only those, for example 'verdict == \"Not sure\" and confidence < 0.6'",
            metavar="CONDITION",
        ),
    ] = None,
    copy_to: Annotated[
        Path | None, typer.Option(help="copy the pictures to a folder per verdict", metavar="DIR")
    ] = None,
) -> None:
    """7. Answer pictures: one verdict each, as a table, JSON, CSV, Parquet or folders."""
    from ..predict.job import Job, run_job
    from ..starter import load

    if json and csv == "-":
        raise UsageError("--json and --csv - both want stdout", hint="give --csv a file")
    job = Job(tuple(inputs), csv, parquet, resume, sort, where, copy_to)
    job.check()
    with console.prints_aside():
        predictor = load(model, code)
        stdin = sys.stdin.buffer if "-" in inputs else None
        totals = run_job(predictor, job, _shown(job, json, predictor.labels), stdin)
    if where is not None:
        console.note(f"{totals.chosen:,} of {totals.pictures:,} pictures meet the condition")
    _tell(totals, quiet=json or csv == "-")
    if totals.failed:
        raise typer.Exit(1)


def _shown(job: Job, json: bool, labels: Labels) -> Callable[[Answer], None] | None:
    """What prints an answer; None where the answers go elsewhere."""
    from ..predict.people import Lines

    if json:
        return lambda answer: console.say_json(answer.to_json())
    chosen = job.where is not None or job.order is not None
    if job.csv is not None or job.copy_to is not None or (job.parquet is not None and not chosen):
        return None
    out = console.results()
    lines = Lines(labels, bar=out.isatty(), encoding=out.encoding or "")
    return lambda answer: console.say(lines.line(answer))


def _tell(totals: Totals, quiet: bool) -> None:
    """What was done: what was written on stdout, unless the answers are there; the rest aside."""
    for line in totals.written:
        (console.note if quiet else console.say)(line)
    if totals.written and totals.pictures:
        parts = [f"{verdict} {count:,}" for verdict, count in sorted(totals.verdicts.items())]
        (console.note if quiet else console.say)(f"verdicts: {', '.join(parts)}")
    if totals.skipped:
        console.note(f"{totals.skipped:,} were answered before and are left out")
    if totals.seconds > TOLD_AFTER:
        console.note(f"{totals.pictures:,} pictures in {totals.seconds:.1f} s, {totals.rate}")
    if totals.failed:
        console.note(f"{totals.failed:,} of {totals.pictures:,} could not be read")


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
