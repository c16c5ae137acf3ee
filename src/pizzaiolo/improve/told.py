"""What `pizzaiolo improve` prints, from the result that `--json` gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .aim import Aim, Difference
from .scale import WIDE, Scale, judged_on, megabytes, milliseconds, tried

SHOWN, ADVICE = 5, 5


def searched(result: dict[str, Any]) -> str:
    """How much was tried, and by what it was judged."""
    text = tried(result["trials"], result, result["seconds"])
    return f"Searched {text}, {judged_on(result['pictures'], result['folds'])}".replace(WIDE, " ")


def header(result: dict[str, Any]) -> tuple[str, ...]:
    """The names of the columns of `rows`."""
    return ("rank", "setting", _scale(result).name, "against default", "latency", "size")


def rows(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The first rows of the leaderboard and the default; * marks a difference beyond chance."""
    scale = _scale(result)
    for row in result["leaderboard"]:
        if row["rank"] <= SHOWN or row["trial"] == 0:
            cells = (
                row["rank"], row["setting"], scale.value(row["value"]), _gain(row, scale),
                milliseconds(row["latency_ms"]), megabytes(row["megabytes"]),
            )  # fmt: skip
            yield tuple(str(cell).replace(WIDE, " ") for cell in cells)


def _gain(row: dict[str, Any], scale: Scale) -> str:
    if row["gain"] is None:
        return "-"
    gain = Difference(row["gain"], row["gain_low"], row["gain_high"], 1.0, 1)
    return f"{scale.gain(gain.value)} ({scale.between(gain)}){' *' if row['real'] else ''}"


def verdicts(result: dict[str, Any]) -> Iterator[str]:
    """What was found: the best, how it did in the test, what to do next."""
    best, test = result["best"], result["test"]
    if best is not None:
        yield f"Best     {best['run'] or 'not yet trained'}: {best['setting']}"
    if test is not None:
        yield f"Test     {test['sentence'].replace(WIDE, ' ')}"
    for number, advice in enumerate(result["advice"][:ADVICE], 1):
        yield f"{'Advice' if number == 1 else '':<8} {number}. {advice['what']}"
        if advice.get("command"):
            yield f"            {advice['command']}"
    if result["suggested"] is not None:
        yield f"Label    {result['suggested']['page']}"
    yield f"Report   {result['report']}"


def _scale(result: dict[str, Any]) -> Scale:
    return Scale.of(Aim.of(result["aim"]))
