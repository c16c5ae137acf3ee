"""What to do next: the most valuable first, and never against the figures."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pizzaiolo.evaluate.figures import Figure
from pizzaiolo.improve.ablation import PUT_BACK, SWITCHED_ON, Effect
from pizzaiolo.improve.aim import Difference
from pizzaiolo.improve.diagnose.advice import advise
from pizzaiolo.improve.diagnose.balance import Balance
from pizzaiolo.improve.diagnose.fit import OVER, Remedy, Tried
from pizzaiolo.improve.diagnose.forecast import Forecast
from pizzaiolo.improve.diagnose.noise import Noise, Suspect
from pizzaiolo.improve.diagnose.run import Diagnosis
from pizzaiolo.improve.leaderboard import Leaderboard, Row
from pizzaiolo.improve.report import Facts
from pizzaiolo.train.defaults import filled
from toy_study import DEFAULT, make_facts, make_study

PREPARE = "pizzaiolo prepare photos --out data"
STUDY = make_study(30)
FLAT = Forecast(0.02, 0.0, 0.5, 900.0)
STEEP = Forecast(0.0, 1.2, 0.5, 900.0, np.tile([0.0, 1.2, 0.5], (50, 1)))
SOUND = Noise(Figure(0.0, 0.0, 0.01), {})


def facts(**changes: object) -> Facts:
    """Facts in which nothing stands out, but for the changes to the diagnosis."""
    made = make_facts(STUDY, ablation=(), wish=None)
    assert made.diagnosis is not None
    quiet = replace(
        made.diagnosis,
        forecast=FLAT,
        noise=SOUND,
        tried=(),
        weak=replace(made.diagnosis.weak, slices=()),
        gap=replace(made.diagnosis.gap, verdict="fits"),
    )
    own = {k: v for k, v in changes.items() if k in Diagnosis.__dataclass_fields__}
    rest = {k: v for k, v in changes.items() if k not in own}
    board = replace(made.board, rows=made.board.rows[:1])
    told: dict[str, Any] = {"diagnosis": replace(quiet, **own), "board": board, **rest}  # type: ignore[arg-type]
    return replace(made, **told)


def said(told: Facts) -> list[str]:
    return [step["what"] for step in advise(told, PREPARE)]


def test_nothing_to_do_is_said_with_the_limit() -> None:
    (only,) = advise(facts(), PREPARE)
    assert only["what"].startswith("Take the best as it is: nothing here helps beyond noise")
    assert "At most 1.0 % of the labels are wrong" in only["why"]
    assert only["command"] == "pizzaiolo export study/best --out model.onnx"


def test_a_default_that_is_as_good_is_kept() -> None:
    top = facts().board.rows[0]
    usual = next(row for row in make_facts(STUDY).board.rows if row.trial.number == 0)
    as_good, worse = (replace(usual, p_behind=p) for p in (0.4, 0.001))

    def told(*rows: Row) -> dict[str, str]:
        return advise(facts(board=Leaderboard(rows)), PREPARE)[0]

    kept = told(top, as_good)
    assert kept["what"] == "Keep the default recipe: nothing here helps beyond noise"
    assert kept["why"].startswith("It is as good as the best found, within noise.")
    assert kept["command"] == "pizzaiolo export study/default --out model.onnx"
    assert told(as_good)["command"] == "pizzaiolo export study/best --out model.onnx"
    assert told(top, worse)["what"].startswith("Take the best as it is")
    assert told(top, replace(as_good, fits=False))["what"].startswith("Take the best as it is")


def test_wrong_labels_come_first_where_they_cost_most() -> None:
    suspects = (Suspect("a.jpg", "pizza", "not_pizza", 0.9),)
    noise = Noise(Figure(0.15, 0.11, 0.19), {"pizza": 0.29, "not_pizza": 0.01}, suspects)
    first = advise(facts(noise=noise, forecast=STEEP), PREPARE)[0]
    assert "about 178 of 1,190" in first["what"]
    assert "15.0 % (11.0 to 19.0 %)" in first["why"] and "called Pizza" in first["why"]
    assert first["command"] == f"{PREPARE} --review"


def test_a_rising_curve_asks_for_photos_and_says_how_many() -> None:
    steps = advise(facts(forecast=STEEP, wish=0.97), PREPARE)
    assert "about 1,200 more double them" in steps[0]["what"]
    needed = STEEP.needed(0.97)
    assert needed is not None
    more = (needed.pictures / STEEP.most - 1) * len(STUDY.folds)
    told = re.search(r"97.0 % takes about ([\d,]+) more", steps[0]["why"])
    assert told and int(told[1].replace(",", "")) == pytest.approx(more, rel=0.06)
    assert steps[0]["command"] == "pizzaiolo prepare photos MORE_PICTURES --out data"
    assert "--suggest FOLDER" in steps[1]["command"]
    assert not any("nothing here helps" in step["what"] for step in steps)


def test_a_wish_below_the_floor_is_not_promised() -> None:
    (only,) = advise(facts(wish=0.999), PREPARE)
    assert "won't reach 99.9 %" in only["why"]
    assert "MORE_PICTURES" not in only["command"]


def test_a_wish_that_is_reached_is_not_mentioned() -> None:
    assert "0.9" not in " ".join(step["why"] for step in advise(facts(wish=0.9), PREPARE))


def test_a_rare_class_asks_for_its_photos() -> None:
    rare = Balance({"not_pizza": 1000, "pizza": 190}, 5.3, "pizza", 0.7, 0.98, 0.001)
    assert said(facts(balance=rare))[0] == "Add photos of Pizza, the rarest class"


def test_a_remedy_is_advised_only_where_it_helped() -> None:
    config = filled(replace(DEFAULT, label_smoothing=0.1))
    remedy = Remedy("soften the labels", {"label_smoothing": 0.1}, config)
    gap = replace(facts().diagnosis.gap, verdict=OVER)  # type: ignore[union-attr]
    helped = Tried(remedy, Difference(0.02, 0.01, 0.03, 0.001, 1190))
    idle = Tried(remedy, Difference(0.001, -0.01, 0.012, 0.8, 1190))
    first = advise(facts(gap=gap, tried=(helped,)), PREPARE)[0]
    assert first["what"] == "Soften the labels" and "--label-smoothing 0.1" in first["command"]
    assert not any("often" in what for what in said(facts(gap=gap, tried=(idle,))))
    late = Tried(remedy, reason="no time for it")
    assert "Try this: soften the labels" in said(facts(gap=gap, tried=(late,)))


def test_settings_are_advised_by_what_the_ablation_found() -> None:
    better, worse = (
        Difference(0.02, 0.01, 0.03, 1e-4, 900),
        Difference(-0.02, -0.03, -0.01, 1e-4, 9),
    )
    luck = Difference(0.01, 0.0, 0.02, 0.04, 900)

    def effect(kind: str, gain: Difference) -> Effect:
        return Effect("loss", "focal", "cross entropy", kind, DEFAULT, gain)

    assert said(facts(ablation=(effect(SWITCHED_ON, better),))) == ["Take focal for loss"]
    assert said(facts(ablation=(effect(PUT_BACK, worse),))) == ["Take cross entropy for loss"]
    for harmless in (effect(SWITCHED_ON, worse), effect(PUT_BACK, better)):
        assert "Take focal" not in " ".join(said(facts(ablation=(harmless,))))
    many = tuple(effect(SWITCHED_ON, luck) for _ in range(5))
    assert len(said(facts(ablation=many))) == 1


def test_a_faster_setting_is_named_where_it_is_as_good() -> None:
    made = facts()
    best, other = make_facts(STUDY).board.rows[:2]
    slow, fast = (
        replace(row, trial=replace(row.trial, latency_ms=ms), p_behind=p)
        for row, ms, p in ((best, 30.0, None), (other, 8.0, 0.6))
    )
    board = replace(made.board, rows=(slow, fast))
    told = " ".join(said(replace(made, board=board)))
    assert f"take the faster setting: {other.setting}" in told
    worse = replace(made.board, rows=(slow, replace(fast, p_behind=0.01)))
    assert "faster" not in " ".join(said(replace(made, board=worse)))


def test_every_step_has_words_and_a_command() -> None:
    for told in (
        make_facts(STUDY),
        facts(),
        facts(forecast=STEEP),
        facts(noise=Noise(Figure(), {})),
    ):
        for step in advise(told):
            assert set(step) == {"what", "why", "command"} and all(step.values())
            assert step["command"].startswith("pizzaiolo ") and not step["what"].endswith(".")
            assert step["why"].endswith(".")


def test_without_a_diagnosis_there_is_still_an_answer() -> None:
    assert advise(facts(diagnosis=None), PREPARE)
