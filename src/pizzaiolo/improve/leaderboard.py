"""The leaderboard: who is best, which differences are real, what each costs, and what fits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..core.bundle import write_text
from ..core.predictions import Predictions
from ..evaluate.figures import Figure, main_figures
from ..evaluate.slices import holm
from .aim import Aim, Difference
from .trial import Study, Trial
from .words import trial_setting

SAME = 1e-9  # values closer than this are one
LEVEL = 0.05  # chance of any false alarm on the whole board
COLUMNS = (
    "rank", "trial", "setting", "value", "low", "high", "gain", "gain_low", "gain_high",
    "p_corrected", "real", "as_good_as_best", "latency_ms", "megabytes", "pareto", "fits",
    "pictures", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What a model may cost: milliseconds a picture and megabytes of file, None for no limit."""

    latency_ms: float | None = None
    megabytes: float | None = None

    def allow(self, trial: Trial) -> bool:
        """Whether a setting keeps to them; a cost that is not known does not."""
        return self.allow_cost(trial.latency_ms, trial.megabytes)

    def allow_cost(self, latency_ms: float | None, megabytes: float | None) -> bool:
        """Whether such a cost keeps to them."""
        pairs = ((self.latency_ms, latency_ms), (self.megabytes, megabytes))
        return all(most is None or (cost is not None and cost <= most) for most, cost in pairs)

    def __str__(self) -> str:
        ms, mb = self.latency_ms, self.megabytes
        parts = [f"{ms:g} ms"] if ms is not None else []
        return " and ".join(parts + ([f"{mb:g} MB"] if mb is not None else []))


@dataclass(frozen=True)
class Row:
    """One finished setting. `low` and `high` are the 95 % interval of `value`.

    `gain` is the improvement over the default on the same pictures (over 0: better), `behind` that
    over the best (mostly under 0); `p_gain` and `p_behind` are their chances where there is no
    difference, corrected for the number of rows (Holm). `pareto`: nothing else is better in one of
    value, latency and size and no worse in the others. `fits`: within the limits.
    """

    rank: int
    trial: Trial
    setting: str
    value: float
    low: float | None
    high: float | None
    pictures: int
    gain: Difference | None = None
    p_gain: float | None = None
    behind: Difference | None = None
    p_behind: float | None = None
    pareto: bool = False
    fits: bool = True

    @property
    def real(self) -> bool:
        """Whether the difference to the default is more than chance."""
        return self.p_gain is not None and self.p_gain < LEVEL

    @property
    def as_good(self) -> bool:
        """Whether it is within noise of the best."""
        return self.p_behind is None or self.p_behind >= LEVEL

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready values, by the columns of the CSV."""
        gain, trial = self.gain, self.trial
        ends = (gain.value, gain.low, gain.high) if gain else (None, None, None)
        values = (
            self.rank, trial.number, self.setting, self.value, self.low, self.high, *ends,
            self.p_gain, self.real, self.as_good, trial.latency_ms, trial.megabytes, self.pareto,
            self.fits, self.pictures, trial.seconds,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True)
class Leaderboard:
    """The finished settings, the best first.

    `best` is the first row within the limits, None where nothing fits. `default` is the row of the
    default recipe, None where that has failed.
    """

    rows: tuple[Row, ...]
    limits: Limits = Limits()

    @property
    def best(self) -> Row | None:
        """The best within the limits."""
        return next((row for row in self.rows if row.fits), None)

    @property
    def default(self) -> Row | None:
        """The default recipe."""
        return next((row for row in self.rows if row.trial.number == 0), None)

    @property
    def front(self) -> tuple[Row, ...]:
        """The rows that nothing beats in value, latency and size, the fastest first."""
        chosen = [row for row in self.rows if row.pareto]
        return tuple(sorted(chosen, key=lambda row: (_costs(row.trial), row.rank)))

    @property
    def cheaper(self) -> Row | None:
        """The fastest of those that fit and are within noise of the best, where one is faster."""
        best = self.best
        if best is None or best.trial.latency_ms is None:
            return None
        same = [r for r in self.rows if r.fits and r.as_good and r.trial.latency_ms is not None]
        fastest = min(same, key=lambda row: (_costs(row.trial), row.rank), default=best)
        return fastest if _costs(fastest.trial) < _costs(best.trial) else None

    def write_csv(self, path: Path) -> None:
        """Write leaderboard.csv, a line a row."""
        out = io.StringIO()
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({k: _cell(v) for k, v in row.to_dict().items()} for row in self.rows)
        write_text(path, out.getvalue())


def leaderboard(study: Study, limits: Limits = Limits()) -> Leaderboard:
    """Rank the finished trials of a study and compare each with the default and with the best."""
    judge = _Judge(study)
    trials = [t for t in study.done if t.outcome is not None and isfinite(_value(t))]
    trials.sort(key=lambda t: (judge.loss(t), *_costs(t), t.number))
    front = _front([(judge.loss(t), *_costs(t)) for t in trials])
    rows = [
        replace(judge.row(trial, rank), pareto=on_front, fits=limits.allow(trial))
        for rank, (trial, on_front) in enumerate(zip(trials, front, strict=True), 1)
    ]
    if not rows:
        return Leaderboard((), limits)
    gains = judge.gains(study.default, trials)
    behind = judge.gains(trials[0], trials)
    compared = [
        replace(row, gain=gain[0], p_gain=gain[1], behind=less[0], p_behind=less[1])
        for row, gain, less in zip(rows, gains, behind, strict=True)
    ]
    return Leaderboard(tuple(compared), limits)


class _Judge:
    """Measures trials; keeps their tables, since each is compared twice."""

    def __init__(self, study: Study) -> None:
        self.study, self.aim = study, study.aim
        self.tables: dict[int, Predictions] = {}

    def loss(self, trial: Trial) -> float:
        """The value with a sign that makes less better."""
        return -_value(trial) if self.aim.higher_is_better else _value(trial)

    def table(self, trial: Trial) -> Predictions:
        """The answers of a trial."""
        if trial.number not in self.tables:
            assert trial.outcome is not None
            self.tables[trial.number] = trial.outcome.predictions(self.study.folds)
        return self.tables[trial.number]

    def row(self, trial: Trial, rank: int) -> Row:
        """The row of a trial, not yet compared."""
        table, value = self.table(trial), _value(trial)
        low, high = _ends(value, main_figures(table).get(self.aim.name, Figure()), self.aim)
        said = trial_setting(trial, self.study.default)
        return Row(rank, trial, said, value, low, high, len(table))

    def gain(self, first: Trial, second: Trial) -> Difference:
        """How much the second is better, on the pictures that both have answered."""
        tables = self.table(first), self.table(second)
        if tables[0].paths == tables[1].paths:
            return self.aim.gain(*tables)
        assert first.outcome is not None and second.outcome is not None
        return self.aim.gain_of(self.study.folds, first.outcome, second.outcome)

    def gains(
        self, first: Trial, trials: Sequence[Trial]
    ) -> list[tuple[Difference | None, float | None]]:
        """How much each trial is better than the first, and its chance, corrected over all.

        Both are None for the first itself, and for all where it has no answers.
        """
        others = [t for t in trials if t.number != first.number and first.outcome is not None]
        found = [self.gain(first, trial) for trial in others]
        pairs = zip(found, holm([gain.p_value for gain in found]), strict=True)
        by_number = dict(zip((t.number for t in others), pairs, strict=True))
        return [by_number.get(trial.number, (None, None)) for trial in trials]


def _ends(value: float, found: Figure, aim: Aim) -> tuple[float | None, float | None]:
    """The interval of a value from that of the answers.

    Where a value was made comparable it differs from theirs; the wider side then counts for both.
    """
    if found.value is None or found.low is None or found.high is None:
        return None, None
    if abs(found.value - value) < SAME:
        return found.low, found.high
    half = max(found.high - found.value, found.value - found.low)
    return max(0.0, value - half), min(1.0 if aim.higher_is_better else inf, value + half)


def _value(trial: Trial) -> float:
    return inf if trial.value is None else trial.value


def _costs(trial: Trial) -> tuple[float, float]:
    """Milliseconds and megabytes, the unknown last."""
    ms, mb = trial.latency_ms, trial.megabytes
    return inf if ms is None else ms, inf if mb is None else mb


def _front(points: Sequence[tuple[float, float, float]]) -> list[bool]:
    """Which points (less is better) no other one beats; of equal points the first."""
    table = np.asarray(points, np.float64).reshape(-1, 3)
    found = []
    for i, point in enumerate(table):
        no_worse, better = (table <= point).all(axis=1), (table < point).any(axis=1)
        same = (table[:i] == point).all(axis=1)
        found.append(
            bool(np.isfinite(point[1]) and not same.any() and not (no_worse & better).any())
        )
    return found


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
