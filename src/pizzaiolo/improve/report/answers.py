"""The first screen: is there something better, what does it cost, does the test agree."""

from __future__ import annotations

from dataclasses import dataclass

from ..leaderboard import Leaderboard, Row
from ..scale import Scale, chance, judged_on, many, megabytes, milliseconds, tried
from ..trial import FAILED, STOPPED, Study
from .facts import Facts


@dataclass(frozen=True)
class Answer:
    """A box: what is written large, in which colour (good, bad, plain), and sentences under it."""

    big: str
    colour: str = "plain"
    unit: str = ""
    said: tuple[str, ...] = ()
    minor: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """A difference with its interval on a scale around zero, per cent of the scale's width."""

    low: float
    high: float
    value: float
    zero: float
    ends: tuple[str, str]


def subtitle(facts: Facts) -> str:
    """How much was tried, and judged on what."""
    study = facts.study
    counts = {s: sum(t.state == s for t in study.trials) for s in (STOPPED, FAILED)}
    text = tried(study.searched, counts, facts.seconds)
    text += f", {judged_on(len(study.folds), study.folds.count)}"
    return f"{text}. Interrupted: not all could be said" if facts.interrupted else text


def better(facts: Facts) -> Answer:
    """Whether something beats the default recipe, and by how much."""
    board, scale = facts.board, Scale.of(facts.study.aim)
    best, default = board.best, board.default
    if best is None:
        return _nothing(board)
    value = f"{scale.value(best.value)} {scale.name} ({scale.ends(best.low, best.high)})"
    if best is default:
        within = f" within {board.limits}" if str(board.limits) else ""
        has = f"It has {value}."
        if len(board.rows) == 1:
            return Answer("Only the default", said=("Nothing else was finished.", has))
        return Answer("Keep the default", said=(f"No other setting was better{within}.", has))
    if default is None or best.gain is None:
        return Answer(scale.value(best.value), said=(f"{best.setting}: {value}.",))
    gain = f"{scale.gain(best.gain.value)} {scale.units}"
    against = f"{value}; the default has {scale.value(default.value)}."
    tried = many(len(board.rows), "setting")
    if best.real:
        luck = f"More than chance: {chance(best.p_gain)}, corrected for {tried}."
        big, unit = scale.headline(best.gain.value)
        return Answer(big, "good", unit, (_named(best), against), (luck,))
    luck = f"{chance(best.p_gain)}, corrected for {tried}"
    why = f"{gain}, which chance alone may bring: {luck}."
    return Answer("Within noise", "plain", "", (_named(best), against), (why,))


def _named(row: Row) -> str:
    return f"{row.setting}."


def _nothing(board: Leaderboard) -> Answer:
    if not board.rows:
        return Answer("Nothing", "bad", "", ("No setting was finished.",))
    top = board.rows[0]
    told = f"No setting keeps to {board.limits}. The best of all: {top.setting}."
    return Answer("Nothing fits", "bad", "", (told,))


def span(facts: Facts) -> Span | None:
    """The best's difference to the default, drawn around zero."""
    best, scale = facts.board.best, Scale.of(facts.study.aim)
    if best is None or best.gain is None:
        return None
    gain = best.gain
    ends = min(gain.low, 0.0), max(gain.high, 0.0)
    pad = 0.08 * (ends[1] - ends[0]) or 0.01
    low, wide = ends[0] - pad, ends[1] - ends[0] + 2 * pad

    def at(value: float) -> float:
        return round(100 * (value - low) / wide, 2)

    names = scale.gain(gain.low), scale.gain(gain.high)
    return Span(at(gain.low), 100 - at(gain.high), at(gain.value), at(0.0), names)


def cost(facts: Facts) -> Answer:
    """What the best costs against the default, and what would be cheaper and as good."""
    board = facts.board
    best, default = board.best or _fastest(board), board.default
    if best is None or (best.trial.latency_ms is None and best.trial.megabytes is None):
        return Answer("Not measured", said=("Latency and size are not known.",))
    size = megabytes(best.trial.megabytes)
    ms, _, unit = milliseconds(best.trial.latency_ms).partition("\u00a0")
    whose = f" Of all, {best.setting} is the fastest." if board.best is None else ""
    said = [f"a picture on this machine, one at a time; the model file has {size}.{whose}"]
    if default is not None and best is not default and default.trial.latency_ms is not None:
        costs = milliseconds(default.trial.latency_ms), megabytes(default.trial.megabytes)
        said.append(f"The default: {costs[0]}, {costs[1]}.")
    minor = [f"Limit: {board.limits}."] if str(board.limits) else []
    cheaper = board.cheaper
    if cheaper is not None:
        minor.append(_cheaper(cheaper, facts))
    return Answer(ms, "plain", unit, tuple(said), tuple(minor))


def _fastest(board: Leaderboard) -> Row | None:
    """The row with the least latency, None where none is known."""
    known = [row for row in board.rows if row.trial.latency_ms is not None]
    return min(known, key=lambda row: row.trial.latency_ms or 0.0, default=None)


def _cheaper(row: Row, facts: Facts) -> str:
    scale, trial = Scale.of(facts.study.aim), row.trial
    costs = f"{milliseconds(trial.latency_ms)}, {megabytes(trial.megabytes)}"
    return f"As good within noise: {row.setting} ({scale.value(row.value)}, {costs})."


def judged(study: Study, board: Leaderboard) -> list[str]:
    """How the figures of the leaderboard came about."""
    folds = study.folds
    told = [
        f"{many(len(folds), 'picture')} of the train and the validation split, in {folds.count} "
        "folds: each is answered by a model that has not learnt from it. Near-duplicates stay in "
        "one fold, and intervals count them once.",
        "Differences are paired: the same pictures for both. Chances are corrected for the number "
        "of settings (Holm), so at most one board in twenty shows a false star. Of many settings "
        "the best owes something to luck; only the test split is free of that.",
    ]
    if any(row.trial.soup for row in board.rows):
        told.append(
            "A soup is the mean of the weights of several settings, named by their numbers in "
            "leaderboard.csv; as a model it costs no more than one. Which were stirred in was "
            "chosen on the validation split, which flatters it a little."
        )
    short = [row for row in board.rows if row.pictures < len(folds)]
    if short:
        told.append(
            f"{many(len(short), 'setting')} trained by gradient steps answered "
            f"{many(short[0].pictures, 'picture')} only, those of the validation split, on which "
            "the best epoch was chosen, too: that flatters a little. The value is the default's on "
            "all pictures and the difference on these."
        )
    return told
