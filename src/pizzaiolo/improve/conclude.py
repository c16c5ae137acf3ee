"""After a search: the leaderboard, what would help, the winner's test, the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from ..config import EvaluateConfig, ImproveConfig, to_dict
from ..core.manifest import Dataset
from ..evaluate.report.marks import read_marks
from .ablation import ablate
from .clock import ABLATION, DIAGNOSIS, PRICES, Clock
from .diagnose.advice import advise
from .diagnose.run import diagnose
from .leaderboard import Limits
from .pricing import Pricer, ranked
from .report import Facts, write_report
from .search import Search
from .steps import WEIGHTS
from .suggest import suggest
from .trial import FAILED, STOPPED
from .winner import PLAIN, crown

ABLATION_SECONDS = 120.0  # where there is no timeout
AMPLE = 40.0  # seconds with which the test may explain the mistakes and spoil pictures
LISTED = 100  # rows of the leaderboard in the JSON


@dataclass(frozen=True)
class Ending:
    """What a search leaves to be concluded from."""

    folder: Path
    data: Dataset
    config: ImproveConfig
    search: Search
    photos: Path | None = None


def conclude(ending: Ending, clock: Clock, interrupted: bool) -> dict[str, Any]:
    """Write what the search has found into the STUDY; returns what `improve --json` prints.

    Ctrl-C leaves out what is not yet known, and the report is written all the same.
    """
    config = ending.config
    limits = Limits(config.max_latency_ms, config.max_mb)
    pricer = Pricer(ending.search.costs, monotonic() if interrupted else clock.at(PRICES))
    study, board = ranked(ending.search.study(), limits, pricer, hurried=interrupted)
    board.write_csv(ending.folder / "leaderboard.csv")
    facts = Facts(study, board, str(ending.data.root), str(ending.folder), wish=config.wish)
    suggested: dict[str, Any] | None = None
    try:
        for stage in STAGES if board.best and not interrupted else ():
            facts = stage(ending, facts, clock)
        if facts.test and ending.photos is not None:
            best = ending.folder / "best"
            suggested = suggest(best, ending.data, ending.photos, ending.folder)
    except KeyboardInterrupt:
        interrupted = True
    facts = replace(
        facts,
        advice=advise(facts, read_marks(ending.data).command) if facts.test else (),
        seconds=monotonic() - clock.started,
        interrupted=interrupted,
    )
    page = write_report(ending.folder, facts)
    more = {"suggested": suggested, "report": str(page), "interrupted": interrupted}
    return {**summary(ending, facts), **more}


def _diagnosed(ending: Ending, facts: Facts, clock: Clock) -> Facts:
    best, config = facts.board.best, ending.config
    if best is None or not config.diagnose:
        return facts
    bench, rows = ending.search.bench, ending.data.rows
    found = diagnose(facts.study, best.trial, bench, rows, config, clock.at(DIAGNOSIS))
    return replace(facts, diagnosis=found)


def _ablated(ending: Ending, facts: Facts, clock: Clock) -> Facts:
    best = facts.board.best
    if best is None or not ending.config.ablation:
        return facts
    seconds = clock.left(ABLATION, without=ABLATION_SECONDS)
    effects = ablate(ending.search.bench, facts.study, best.trial.config, seconds)
    return replace(facts, ablation=effects)


def _tested(ending: Ending, facts: Facts, clock: Clock) -> Facts:
    best, study = facts.board.best, facts.study
    if best is None:
        return facts
    left = clock.rest()
    how = EvaluateConfig() if left is None or left >= AMPLE else PLAIN
    winner, default, journal = best.trial, study.default.config, ending.search.journal
    soup = journal.weights(winner.number) / WEIGHTS if winner.soup else None
    tested = crown(ending.folder, ending.data, winner.config, study.aim, default, how, soup)
    return replace(facts, test=tested)


STAGES: tuple[Callable[[Ending, Facts, Clock], Facts], ...] = (_diagnosed, _ablated, _tested)


def summary(ending: Ending, facts: Facts) -> dict[str, Any]:
    """What is known of a search as JSON-ready values."""
    study, board = facts.study, facts.board
    states = [trial.state for trial in study.trials]
    best, run = board.best, ending.folder / "best"
    return {
        "study": str(ending.folder),
        "dataset": str(ending.data.root),
        "aim": study.aim.name,
        "trials": study.searched,
        "stopped": states.count(STOPPED),
        "failed": states.count(FAILED),
        "pictures": len(study.folds),
        "folds": study.folds.count,
        "best": best
        and {
            "run": str(run) if facts.test else None,
            "trial": best.trial.number,
            "soup": list(best.trial.soup),
            "setting": best.setting,
            "params": best.trial.params,
            "config": to_dict(best.trial.config),
            "validation": {study.aim.name: best.value, "low": best.low, "high": best.high},
        },
        "leaderboard": [row.to_dict() for row in board.rows[:LISTED]],
        "pareto": [row.to_dict() for row in board.front],
        "advice": list(facts.advice),
        "ablation": [effect.to_dict() for effect in facts.ablation],
        "test": facts.test and facts.test.to_dict(),
        **(facts.diagnosis.to_json() if facts.diagnosis else {"learning_curve": None}),
        "seconds": round(facts.seconds or 0.0, 2),
    }
