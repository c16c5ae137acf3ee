"""The commands that use a model: export, predict, serve, inspect."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import console
from ..config import ExportConfig, ServeConfig
from ..errors import UsageError
from ..flags import with_flags
from .root import CodeFlag, JsonFlag, LabelsFlag, ModelFlag, RayFlag, app, show

if TYPE_CHECKING:
    from ..core.labels import Labels
    from ..predict import Answer, Predictor
    from ..predict.job import Answering, Job, Totals

DeviceFlag = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda, openvino, coreml or directml", metavar="DEVICE"
    ),
]
TOLD_AFTER = 2.0  # seconds: then a job's time is worth a line


@app.command()
@with_flags(ExportConfig)
def export(
    model: Annotated[Path, typer.Argument(help="a RUN or a .pt file")],
    config: ExportConfig,
    out: Annotated[
        Path | None, typer.Option(help="the file to write: *.onnx, .int8.onnx, .ts, .pt2, .xml")
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(help="folder or DATASET for the check (default: the RUN's own data)"),
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(help="write a page that runs the model in the browser", metavar="DIR"),
    ] = None,
    web_runtime: Annotated[
        Path | None,
        typer.Option(help="onnxruntime-web from npm, where no network is", metavar="FILE.tgz"),
    ] = None,
    code: CodeFlag = None,
    json: JsonFlag = False,
) -> None:
    """6. Write one file for use elsewhere, kept only if it answers the same."""
    from ..export.run import export as run_export
    from ..export.web import export_web

    if out is None and web is None:
        raise UsageError(
            "there is nothing to write", hint="--out model.onnx for a file, --web DIR for a page"
        )
    result: dict[str, Any] = {}
    with console.prints_aside():
        if out is not None:
            result = run_export(model, out, config, sample=sample, code=code)
        if web is not None:
            source = out if out is not None and out.suffix == ".onnx" else model
            page = export_web(source, web, config, sample=sample, code=code, runtime=web_runtime)
            result = {**result, "web": page} if result else page
    show(result, json, _export_lines)


def _export_lines(result: dict[str, Any]) -> None:
    console.say(f"Exported {result['file']} ({result['bytes'] / 1e6:.1f} MB)")
    if parity := result["parity"]:
        console.say(
            f"Parity   {parity['agreement']:.0%} of {parity['pictures']} pictures agree; "
            f"largest difference {parity['max_abs_difference']:.1e}"
        )
    if "layers" in result:
        _int8_lines(result)
    for note in result.get("notes", ()):
        console.say(f"Note     {note}")
    if result["format"] == "web":
        console.say(f"Next     open {result['file']} in a browser")
    else:
        console.say(f"Next     pizzaiolo serve --model {result['file']}")
    if "web" in result:
        _export_lines(result["web"])


def _int8_lines(result: dict[str, Any]) -> None:
    gate, layers, times = result["gate"], result["layers"], result["latency"]
    console.say(
        f"Accuracy {gate['accuracy']:.1%} of {gate['pictures']} validation pictures, "
        f"{gate['fp32_accuracy']:.1%} in float32; {gate['max_drop']:g} points may be lost"
    )
    console.say(f"Layers   {layers['int8']} in int8, {layers['fp32']} left in float32")
    console.say(f"Speed    {times['int8_ms']:.1f} ms a picture, {times['fp32_ms']:.1f} in float32")


@app.command()
def card(
    model: Annotated[Path, typer.Argument(help="a RUN or a model file")], json: JsonFlag = False
) -> None:
    """Print what a model file says of itself; the file is only read, never run."""
    from ..core.bundle import KINDS, find_model
    from ..core.card_lines import card_lines
    from ..core.cards import read_card

    path = find_model(model)
    found = read_card(path)
    if json:
        facts = {"file": str(path), "format": KINDS[path.suffix], "bytes": path.stat().st_size}
        console.say_json({**facts, "card": found.summary()})
        return
    about = f"{path}, {KINDS[path.suffix]}, {path.stat().st_size / 1e6:.1f} MB"
    for name, text in [("file", about), *card_lines(found)]:
        console.say(f"{name:<13}{text}")


@app.command()
def predict(
    inputs: Annotated[list[str], typer.Argument(help="pictures, folders, globs, - for stdin")],
    model: ModelFlag = None,
    code: CodeFlag = None,
    labels: LabelsFlag = None,
    device: DeviceFlag = "auto",
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
    ray: RayFlag = None,
) -> None:
    """7. Answer pictures: one verdict each, as a table, JSON, CSV, Parquet or folders."""
    from ..predict.job import Job, run_job
    from ..starter import load

    if json and csv == "-":
        raise UsageError("--json and --csv - both want stdout", hint="give --csv a file")
    job = Job(tuple(inputs), csv, parquet, resume, sort, where, copy_to)
    job.check()
    with console.prints_aside():
        names = labels.split(",") if labels else None
        predictor = load(model, code, device if ray is None else _checked(device), names)
        stdin = sys.stdin.buffer if "-" in inputs else None
        with _answering(ray, predictor, (code, device, names or ())) as answering:
            shown = _shown(job, json, predictor.labels)
            totals = run_job(predictor, job, shown, stdin, answering)
    if where is not None:
        console.note(f"{totals.chosen:,} of {totals.pictures:,} pictures meet the condition")
    _tell(totals, quiet=json or csv == "-")
    if totals.failed:
        raise typer.Exit(1)


def _checked(device: str) -> str:
    """What this machine itself runs on while a cluster answers on `device`."""
    from ..predict import check_device

    check_device(device)
    return "auto"


def _answering(
    ray: str | None, predictor: Predictor, asked: tuple[str | None, str, Sequence[str]]
) -> AbstractContextManager[Answering | None]:
    """What answers in the place of this machine: a cluster where one is named."""
    if ray is None or predictor.path is None:
        return nullcontext()
    from ..cluster.predict import Model, answering_on

    return answering_on(ray, Model.of(predictor.path, *asked))


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
def serve(
    config: ServeConfig,
    model: ModelFlag = None,
    code: CodeFlag = None,
    device: DeviceFlag = "auto",
) -> None:
    """8. Answer over HTTP, with a web page to drop photos on."""
    from ..serve.run import serve as run_serve
    from ..starter import load

    run_serve(partial(load, model, code, device), config)


@app.command()
def inspect(
    picture: Annotated[Path, typer.Argument(help="one picture")],
    model: ModelFlag = None,
    code: CodeFlag = None,
    html: Annotated[
        Path | None,
        typer.Option(help="write a page with the pictures of every stage", metavar="FILE"),
    ] = None,
    pixel: Annotated[
        str | None,
        typer.Option(
            help="whose numbers are shown, in what the model sees (default: the middle)",
            metavar="X,Y",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Follow one picture's tensors from the file's bytes to the verdict."""
    from ..inspect_tensors import Look, look
    from ..starter import load

    wanted = Look(picture, html, pixel)
    wanted.check()
    with console.prints_aside():
        found = look(load(model, code), wanted)
    if json:
        console.say_json(found.to_json())
        return
    console.say_table(found.header, found.rows)
    console.say()
    console.say_table(found.pixel_header, found.pixel_rows)
    if html is not None:
        console.say(f"\nPage  {html} ({html.stat().st_size / 1e6:.1f} MB)")
