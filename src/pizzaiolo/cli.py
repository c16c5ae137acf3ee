"""The command line: one thin function per command, each parses, calls a step and prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__, console
from .config import EvaluateConfig, ExportConfig, PrepareConfig, ServeConfig, TrainConfig
from .errors import InputError, PizzaioloError, UsageError, explain_os_error, extras_explained
from .flags import with_flags

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="From a folder of photos to a picture recogniser that can be trusted and served.",
    epilog="Start with: pizzaiolo demo, or pizzaiolo predict photo.jpg",
)

MODELS_SHOWN = 40
JsonFlag = Annotated[bool, typer.Option("--json", help="print one JSON object")]
ModelFlag = Annotated[
    Path | None,
    typer.Option("--model", help="a RUN or a model file (default: the starter)", metavar="MODEL"),
]
CodeFlag = Annotated[
    str | None,
    typer.Option(help="path/to/file.py:Class of your own module, for its .pt file"),
]


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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder of everything the demo makes")] = Path(
        "demo-out"
    ),
    per_class: Annotated[int, typer.Option(help="pictures rendered per class", min=40)] = 150,
    seed: Annotated[int, typer.Option(help="seed of the pictures", min=0)] = 0,
) -> None:
    """Run the whole workflow on sample pictures that it renders itself, offline."""
    from .demo.run import demo as run_demo

    run_demo(out, per_class=per_class, seed=seed)


@app.command()
@with_flags(PrepareConfig)
def prepare(
    source: Annotated[
        list[str], typer.Argument(help="folder, archive, table, food101:NAME or hf:owner/name")
    ],
    config: PrepareConfig,
    out: Annotated[Path | None, typer.Option(help="folder of the DATASET")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="verify the DATASET that is given, make none")
    ] = False,
    decisions: Annotated[
        Path | None, typer.Option(help="decisions.csv of a review, to be applied", metavar="FILE")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="then serve the review sheet on 127.0.0.1")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """1. Collect, clean, deduplicate and split pictures into a DATASET, or check one."""
    if check:
        _check(source, out, json)
        return
    if out is None:
        raise UsageError(
            "--out is missing: where the DATASET goes",
            hint=f"pizzaiolo prepare {source[0]} --out DATASET",
        )
    from .prepare.run import prepare as run_prepare

    given = [Path(s) if ":" not in s else s for s in source]
    result = run_prepare(given, out, config, decisions)
    _print(result, json, _prepare_lines)
    if review:
        from .prepare.review.server import serve_review
        from .prepare.review.sheet import replay_command

        serve_review(out, command=replay_command(source, out, config))


def _check(source: list[str], out: Path | None, json: bool) -> None:
    from .prepare.check import check, report_lines

    if len(source) > 1 or out is not None:
        raise UsageError(
            "--check takes one DATASET and no --out", hint="pizzaiolo prepare DATASET --check"
        )
    result = check(source[0])
    _print(result, json, lambda found: console.say("\n".join(report_lines(found))))
    if result["faults"]:
        raise typer.Exit(1)


def _prepare_lines(result: dict[str, Any]) -> None:
    rejected = result["rejected"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
    console.say(f"Found    {result['found']} files, kept {result['kept']}")
    console.say(f"Rejected {sum(rejected.values())}{f' ({reasons})' if reasons else ''}")
    flagged = result["flagged"]
    console.say(
        f"Flagged  {flagged['label_suspect']} labels that look wrong, "
        f"{flagged['outlier']} pictures that look odd"
    )
    console.say(f"Groups   {result['groups']} of near-duplicates that stay together")
    splits = ", ".join(f"{name} {count}" for name, count in result["splits"].items())
    console.say(f"Splits   {splits}")
    console.say(f"Classes  {', '.join(result['classes'])}")
    dataset = Path(result["dataset"])
    console.say(f"Report   {dataset / 'report.html'}   ({result['seconds']:.1f} s)")
    console.say(f"Review   {dataset / 'review.html'}")
    console.say(f"Next     pizzaiolo train {dataset} --out RUN")


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="part of a name, * and ? allowed")] = "",
    json: JsonFlag = False,
) -> None:
    """2. List the architectures that `train --model` takes."""
    from .model.catalogue import describe, find_models

    names = find_models(pattern)
    if json:
        console.say_json(describe(names))
        return
    header = ("name", "params", "GFLOPs", "   MB", "input", "weights", "licence")
    console.say_table(header, map(_model_row, describe(names[:MODELS_SHOWN])), fold=True)
    if len(names) > MODELS_SHOWN:
        more = len(names) - MODELS_SHOWN
        console.say(f"... and {more} more; narrow it: pizzaiolo models 'resnet*'")
    console.say("GFLOPs: 1e9 multiply-adds for one picture of the input side (pixels).")
    console.say("Weights: here on this disk, or to download; none means a random start.")


def _model_row(model: dict[str, Any]) -> tuple[str, ...]:
    where = "here" if model["offline"] else "download"
    cost = "-" if model["gflops"] is None else _short(model["gflops"])
    return (
        model["name"],
        f"{_short(model['parameters'] / 1e6)}M".rjust(6),
        cost.rjust(6),
        f"{model['megabytes']:5.0f}",
        f"{model['input'] or '-':>5}",
        "none" if model["licence"] is None else where,
        (model["licence"] or "-").removesuffix("-license"),
    )


def _short(number: float) -> str:
    """About three digits: 0.22, 4.09, 17.6, 1775."""
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f}"


@app.command()
@with_flags(TrainConfig)
def train(
    dataset: Annotated[Path, typer.Argument(help="a DATASET made by prepare")],
    config: TrainConfig,
    out: Annotated[Path | None, typer.Option(help="folder of the RUN")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on where a training into --out was cut off")
    ] = False,
    show_batch: Annotated[
        Path | None,
        typer.Option(
            help="draw training pictures as the network sees them, and stop", metavar="FILE"
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """3. Train a model; the result is its best epoch."""
    from .train import run

    if show_batch is not None:
        run.show_batch(dataset, show_batch, config)
        console.say(f"Pictures {show_batch}")
        return
    if out is None:
        raise UsageError(
            "--out is missing: where the RUN goes", hint=f"pizzaiolo train {dataset} --out RUN"
        )
    result = run.train(dataset, out, config, resume=resume)
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        _print(result, json, _train_lines)


def _train_lines(result: dict[str, Any]) -> None:
    scores = result["validation"]
    console.say(
        f"Trained  {result['backbone']}, recipe {result['recipe']} ({result['seconds']:.1f} s)"
    )
    epoch = "" if result["recipe"] == "head" else f"epoch {result['best_epoch']}: "
    console.say(
        f"Best     {epoch}validation accuracy {scores['accuracy']:.1%}, "
        f"F1 {scores['f1']:.3f}, loss {scores['loss']:.4f}"
    )
    console.say(f"Model    {result['model']}")
    console.say(f"Next     pizzaiolo evaluate {result['run']} {result['dataset']} --out REPORT")


@app.command()
@with_flags(EvaluateConfig)
def evaluate(
    model: Annotated[Path, typer.Argument(help="a RUN or a model file")],
    dataset: Annotated[Path, typer.Argument(help="a DATASET made by prepare")],
    out: Annotated[Path, typer.Option(help="folder of the report")],
    config: EvaluateConfig,
    code: CodeFlag = None,
    card: Annotated[
        Path | None,
        typer.Option(help="write a model card in the Hugging Face format", metavar="FILE"),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """4. Test a model: metrics with intervals and the mistakes as pictures."""
    from .evaluate.run import evaluate as run_evaluate

    result = run_evaluate(model, dataset, out, config, code=code, card=card)
    _print(result, json, _evaluate_lines)


def _evaluate_lines(result: dict[str, Any]) -> None:
    console.say(f"{result['n']} pictures of the {result['split']} split")
    rows = []
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "ece"):
        if result[name]["value"] is not None:
            value, low, high = (f"{result[name][key]:.3f}" for key in ("value", "low", "high"))
            rows.append((name.replace("_", " "), value, f"{low} to {high}"))
    console.say_table(("measure", "value", "95 % interval"), rows)
    console.say(f"Mistakes {result['mistakes']}, not sure {result['not_sure']}")
    if (answered := result["answered"])["value"] is not None:
        console.say(
            f"Answered {result['coverage']:.1%} of them, {answered['value']:.1%} of those right"
        )
    if settled := result["settled"]:
        console.say(
            f"Settled  temperature {settled['temperature']:.2f}, "
            f"threshold {settled['threshold']:.2f}, on {settled['pictures']} validation pictures"
        )
    console.say(f"Report   {result['report']}")


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
    from .export.run import export as run_export

    result = run_export(model, out, config, sample=sample, code=code)
    _print(result, json, _export_lines)


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
    from .predict import expand
    from .starter import load

    paths = list(expand(_with_stdin(inputs)))
    predictor = load(model, code)
    failed = 0
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
    from .serve.run import serve as run_serve
    from .starter import load

    run_serve(load(model, code), config)


@app.command()
def inspect(
    picture: Annotated[Path, typer.Argument(help="one picture")],
    model: ModelFlag = None,
    code: CodeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Follow one picture's tensors from the file's bytes to the verdict."""
    from .inspect_tensors import inspect as run_inspect
    from .starter import load

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


def _print(result: dict[str, Any], as_json: bool, lines: Any) -> None:
    if as_json:
        console.say_json(result)
    else:
        lines(result)
