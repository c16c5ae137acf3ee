"""The commands that say how good a model is, and make it better: evaluate, improve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import console
from ..config import EvaluateConfig, ImproveConfig
from ..flags import with_flags
from .root import CodeFlag, JsonFlag, RayFlag, app, show

SHOWN = 5  # pictures that only one of two models gets right


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
    against: Annotated[
        Path | None,
        typer.Option(
            help="say whether it is better than OTHER: an evaluation's folder, its "
            "predictions.parquet, a RUN or a model file",
            metavar="OTHER",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """4. Test a model: metrics with intervals and the mistakes as pictures."""
    from ..evaluate.run import evaluate as run_evaluate

    with console.prints_aside():
        result = run_evaluate(model, dataset, out, config, code=code, card=card, against=against)
    show(result, json, _evaluate_lines)


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
    if against := result["against"]:
        console.say(f"Against  {against['sentence']}")
        for what, paths in (("right", against["gained"]), ("wrong", against["lost"])):
            if paths:
                more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
                console.say(f"         {what} here only: {', '.join(paths[:SHOWN])}{more}")
    console.say(f"Report   {result['report']}")


@app.command()
@with_flags(ImproveConfig)
def improve(
    dataset: Annotated[Path, typer.Argument(help="a DATASET made by prepare")],
    out: Annotated[Path, typer.Option(help="folder of the STUDY; one that is there goes on")],
    config: ImproveConfig,
    space: Annotated[
        Path | None,
        typer.Option(help="TOML file of what is tried (default: see STUDY/space.toml)"),
    ] = None,
    suggest: Annotated[
        Path | None,
        typer.Option(help="folder of unlabelled photos: say which to label next"),
    ] = None,
    ray: RayFlag = None,
    json: JsonFlag = False,
) -> None:
    """5. Search for better settings, and say what else would help."""
    with console.prints_aside():
        if ray is None:
            from ..improve.run import improve as run_improve

            result = run_improve(dataset, out, config, space=space, suggest=suggest)
        else:
            from ..cluster.improve import improve as run_on_ray

            result = run_on_ray(dataset, out, config, space=space, suggest=suggest, ray=ray)
    show(result, json, _improve_lines)
    if result["interrupted"]:
        raise typer.Exit(130)


def _improve_lines(result: dict[str, Any]) -> None:
    from ..improve.told import header, rows, searched, verdicts

    console.say(searched(result))
    console.say_table(header(result), rows(result))
    for line in verdicts(result):
        console.say(line)
