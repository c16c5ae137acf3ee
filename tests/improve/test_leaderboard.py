"""The leaderboard: order, paired differences, correction for many, costs, limits, the CSV."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pizzaiolo.evaluate.compare import compare
from pizzaiolo.evaluate.figures import main_figures
from pizzaiolo.evaluate.slices import holm
from pizzaiolo.improve.aim import Aim
from pizzaiolo.improve.leaderboard import COLUMNS, Leaderboard, Limits, leaderboard
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.trial import DONE, FAILED, Study, Trial
from toy_study import DEFAULT, answer, make_folds, make_study

FOLDS = make_folds(400)


def trial(number: int, skill: float, **facts: Any) -> Trial:
    """A finished setting of some skill; settings of one skill answer alike."""
    outcome: Outcome = answer(FOLDS, skill, 1)
    value = Aim.of("accuracy").value(outcome.predictions(FOLDS))
    made = Trial(number, replace(DEFAULT, label_smoothing=number / 100), {}, DONE, value, outcome)
    return replace(made, **facts)


def board(*trials: Trial, limits: Limits = Limits(), aim: str = "accuracy") -> Leaderboard:
    return leaderboard(Study(FOLDS, Aim.of(aim), trials, trials[0]), limits)


@pytest.fixture(scope="module")
def searched() -> Study:
    return make_study(60)


def test_the_best_comes_first_and_only_finished_settings_count(searched: Study) -> None:
    rows = leaderboard(searched).rows
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    values = [row.value for row in rows]
    assert values == sorted(values, reverse=True)
    assert len(rows) == sum(t.state == DONE for t in searched.trials) < len(searched.trials)
    assert all(row.trial.state == DONE for row in rows)


def test_values_have_the_intervals_of_an_evaluation(searched: Study) -> None:
    row = leaderboard(searched).rows[0]
    assert row.trial.outcome is not None
    figure = main_figures(row.trial.outcome.predictions(searched.folds))["accuracy"]
    assert (row.value, row.low, row.high) == pytest.approx((figure.value, figure.low, figure.high))
    assert row.pictures == len(searched.folds)


def test_differences_are_paired_and_corrected_for_their_number(searched: Study) -> None:
    made = leaderboard(searched)
    assert searched.default.outcome is not None
    first = searched.default.outcome.predictions(searched.folds)
    others = [row for row in made.rows if row.trial.number]
    raw = []
    for row in others:
        assert row.trial.outcome is not None and row.gain is not None
        found = compare(first, row.trial.outcome.predictions(searched.folds))
        assert (row.gain.value, row.gain.low) == (found.difference, found.low)
        raw.append(found.p_value)
    assert [row.p_gain for row in others] == holm(raw)
    starred = [row.real for row in others]
    assert starred == [p < 0.05 for p in holm(raw)] and any(starred) and not all(starred)
    assert sum(p < 0.05 for p in raw) > sum(starred), "the correction takes some stars away"
    assert made.default is not None and made.default.gain is None and not made.default.real


def test_the_best_is_as_good_as_itself_and_far_worse_ones_are_not() -> None:
    first, same, worse = board(trial(0, -0.5), trial(1, 1.0), trial(2, 0.99)).rows
    assert first.as_good and first.behind is None
    assert same.as_good and same.behind is not None and same.behind.value <= 0
    assert not worse.as_good and worse.trial.number == 0
    assert worse.behind is not None and worse.behind.high < 0


def test_a_lower_loss_is_better() -> None:
    trials = [trial(0, 0.0, value=0.2), trial(1, 1.0, value=0.1), trial(2, -1.0, value=0.3)]
    rows = board(*trials, aim="log_loss").rows
    assert [row.trial.number for row in rows] == [1, 0, 2]
    gains = [row.gain.value for row in rows if row.gain]
    assert gains[0] > 0 > gains[1], "a gain is over 0 where the loss is lower"


def test_a_setting_judged_on_one_fold_is_compared_there() -> None:
    rows = FOLDS.rows(0)
    part = answer(FOLDS, 1.0, 1, rows)
    found = board(trial(0, 0.0), trial(1, 1.0, outcome=part, value=0.95)).rows
    row = next(r for r in found if r.trial.number == 1)
    assert row.pictures == len(rows) and row.gain is not None and row.gain.pictures == len(rows)
    low, high = row.low or 0, row.high or 0
    whole = next(r for r in found if r.trial.number == 0)
    assert low < row.value < high, "though all of these answers are right"
    assert high - low > (whole.high or 0) - (whole.low or 0), "fewer pictures, a wider interval"


def test_of_equal_values_the_cheaper_is_better() -> None:
    costs = [(9.0, 10.0), (5.0, 30.0), (5.0, 20.0), (None, None)]
    made = board(
        *(
            trial(i, 0.5, latency_ms=ms, megabytes=mb)
            for i, (ms, mb) in enumerate(costs)
        )
    )  # fmt: skip
    assert [row.trial.number for row in made.rows] == [2, 1, 0, 3]


def test_the_front_is_what_nothing_beats_in_all_three() -> None:
    told = [(0.9, 10, 10), (0.97, 20, 20), (0.95, 20, 20), (0.96, 12, 9), (0.96, 12, 9)]
    told.append((0.98, 30, 5))
    trials = [
        trial(i, 0.0, value=value, latency_ms=ms, megabytes=mb)
        for i, (value, ms, mb) in enumerate(told)
    ]
    made = board(*trials, trial(6, 0.0, value=0.99))
    assert [row.trial.number for row in made.front] == [0, 3, 1, 5]  # 2 is beaten, 4 is 3 again
    assert made.rows[0].trial.number == 6 and not made.rows[0].pareto, "its cost is not known"


def test_the_best_within_the_limits_is_chosen() -> None:
    trials = [
        trial(0, 0.0, latency_ms=6.0, megabytes=14.0),
        trial(1, 0.6, latency_ms=12.0, megabytes=20.0),
        trial(2, 1.2, latency_ms=27.0, megabytes=50.0),
        trial(3, 2.0),
    ]

    def chosen(ms: float | None = None, mb: float | None = None) -> int | None:
        best = board(*trials, limits=Limits(ms, mb)).best
        return best.trial.number if best else None

    assert [chosen(), chosen(30), chosen(12), chosen(None, 19.9)] == [3, 2, 1, 0]
    assert (
        chosen(5) is None and str(Limits(5)) == "5 ms" and str(Limits(5, 2.5)) == "5 ms and 2.5 MB"
    )
    assert [r.fits for r in board(*trials, limits=Limits(12)).rows] == [False, False, True, True]


def test_what_is_as_good_and_cheaper_is_named() -> None:
    made = board(
        trial(0, -2.0, latency_ms=2.0),
        trial(1, 1.0, latency_ms=20.0),
        trial(2, 0.98, latency_ms=9.0),
    )
    assert made.cheaper is not None and made.cheaper.trial.number == 2
    assert board(trial(0, 1.0, latency_ms=2.0), trial(1, 0.0, latency_ms=1.0)).cheaper is None
    assert board(trial(0, 1.0)).cheaper is None


@pytest.mark.parametrize("state", [FAILED, DONE])
def test_without_a_default_nothing_is_compared_with_it(state: str) -> None:
    lost = trial(0, 0.0, state=state, outcome=None, value=None)
    made = board(lost, trial(1, 1.0), trial(2, 0.5))
    assert made.default is None and len(made.rows) == 2
    assert all(row.gain is None and not row.real for row in made.rows)
    assert made.rows[1].behind is not None


def test_an_empty_board_has_no_best() -> None:
    made = board(trial(0, 0.0, state=FAILED, outcome=None, value=None))
    assert made.rows == () and made.best is None and made.front == () and made.cheaper is None


def test_a_value_that_is_no_number_has_no_rank() -> None:
    made = board(trial(0, 0.0), trial(1, 1.0, value=float("nan")))
    assert [row.trial.number for row in made.rows] == [0]


def test_the_csv_has_all_rows(searched: Study, tmp_path: Path) -> None:
    made = leaderboard(searched, Limits(10))
    made.write_csv(tmp_path / "leaderboard.csv")
    with open(tmp_path / "leaderboard.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS and len(lines) == len(made.rows)
    for line, row in zip(lines, made.rows, strict=True):
        assert line["setting"] == row.setting and int(line["trial"]) == row.trial.number
        assert np.isclose(float(line["value"]), row.value)
        assert line["fits"] == str(row.fits) and line["real"] == str(row.real)
    assert {line["fits"] for line in lines} == {"True", "False"}
    default = next(line for line in lines if line["trial"] == "0")
    assert default["gain"] == "" and default["p_corrected"] == ""
