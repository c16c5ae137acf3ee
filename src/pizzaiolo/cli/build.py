"""The commands that make a model: demo, prepare, models, train."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import console
from ..config import PrepareConfig, TrainConfig
from ..errors import UsageError
from ..flags import with_flags
from ..step import loading
from .root import JsonFlag, RayFlag, app, show

MODELS_SHOWN = 40


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder of everything the demo makes")] = Path(
        "demo-out"
    ),
    per_class: Annotated[int, typer.Option(help="pictures rendered per class", min=40)] = 150,
    seed: Annotated[int, typer.Option(help="seed of the pictures", min=0)] = 0,
) -> None:
    """Run the whole workflow on sample pictures that it renders itself, offline."""
    from ..demo.run import demo as run_demo

    run_demo(out, per_class=per_class, seed=seed)


@app.command()
@with_flags(PrepareConfig)
def prepare(
    source: Annotated[
        list[str],
        typer.Argument(
            help="folder, archive, table, food101:NAME, hf:owner/name or s3://BUCKET/FOLDER"
        ),
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
    ray: RayFlag = None,
    json: JsonFlag = False,
) -> None:
    """1. Collect, clean, deduplicate and split pictures into a DATASET, or check one."""
    if check:
        if ray is not None:
            raise UsageError("--check reads on this machine only", hint="leave out --ray")
        _check(source, out, json)
        return
    if out is None:
        raise UsageError(
            "--out is missing: where the DATASET goes",
            hint=f"pizzaiolo prepare {source[0]} --out DATASET",
        )
    given = [Path(s) if ":" not in s else s for s in source]
    if ray is not None:
        from ..cluster.prepare import prepare as run_on_ray

        result = run_on_ray(given, out, config, decisions, ray=ray)
    else:
        from ..prepare.run import prepare as run_prepare

        result = run_prepare(given, out, config, decisions)
    show(result, json, _prepare_lines)
    if review:
        from ..prepare.review.server import serve_review
        from ..prepare.review.sheet import replay_command

        serve_review(out, command=replay_command(source, out, config))


def _check(source: list[str], out: Path | None, json: bool) -> None:
    from ..prepare.check import check, report_lines

    if len(source) > 1 or out is not None:
        raise UsageError(
            "--check takes one DATASET and no --out", hint="pizzaiolo prepare DATASET --check"
        )
    result = check(source[0])
    show(result, json, lambda found: console.say("\n".join(report_lines(found))))
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
    from ..model.catalogue import describe, find_models

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
    ray: RayFlag = None,
    processes: Annotated[
        int | None,
        typer.Option(
            help="with --ray: how many train together (default: one a GPU, else one a machine)",
            min=1,
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """3. Train a model; the result is its best epoch."""
    if processes is not None and ray is None:
        raise UsageError(
            "--processes is for --ray",
            hint=f"--ray local --processes {processes} uses this machine's cores",
        )
    with loading():
        from ..train import run

    if show_batch is not None:
        if ray is not None:
            raise UsageError("--show-batch draws on this machine only", hint="leave out --ray")
        with console.prints_aside():
            run.show_batch(dataset, show_batch, config)
        console.say(f"Pictures {show_batch}")
        return
    if out is None:
        raise UsageError(
            "--out is missing: where the RUN goes", hint=f"pizzaiolo train {dataset} --out RUN"
        )
    with console.prints_aside():
        if ray is None:
            result = run.train(dataset, out, config, resume=resume)
        else:
            from ..cluster.train import train as run_on_ray

            result = run_on_ray(dataset, out, config, ray=ray, processes=processes, resume=resume)
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        show(result, json, _train_lines)


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
