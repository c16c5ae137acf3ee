"""What each setting of a winner brings, judged on the folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import WorkError
from pizzaiolo.improve import ablation
from pizzaiolo.improve.ablation import MEMBER, PUT_BACK, SWITCHED_ON, ablate
from pizzaiolo.improve.aim import Aim
from pizzaiolo.improve.folds import Folds, make_folds
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.trial import DONE, Study, Trial
from pizzaiolo.train.defaults import LITE1, LITE2, filled

BASE = filled(TrainConfig())
LITE0 = BASE.model
JOINED = replace(BASE, model=f"{LITE0}+{LITE1}+{LITE2}", quality="best")
HELPS = {"focal": 4, "smoothing": 2}  # pictures more that are right


class FakeBench:
    """Answers so many pictures rightly as the settings say; counts what it was asked."""

    def __init__(self, folds: Folds, right: dict[str, int], fails: str = "") -> None:
        self.folds, self.right, self.fails = folds, right, fails
        self.asked: list[TrainConfig] = []

    def run(self, config: TrainConfig) -> Outcome:
        self.asked.append(config)
        if self.fails and self.fails in (config.loss, config.model):
            raise WorkError("the loss is no number")
        count = 6 + 2 * (config.model or "").count("+")
        count += self.right.get("focal", 0) if config.loss == "focal" else 0
        count += self.right.get("smoothing", 0) if config.label_smoothing else 0
        return outcome(self.folds, count)


def outcome(folds: Folds, right: int) -> Outcome:
    """The first `right` pictures are right, surely."""
    sure = np.where(np.arange(len(folds)) < right, 0.9, 0.1)
    probabilities = np.stack([1 - sure, 1 - sure], axis=1)
    probabilities[np.arange(len(folds)), folds.truth] = sure
    return Outcome(probabilities, seconds=1.0)


@pytest.fixture(scope="module")
def folds(tiny_dataset: Dataset) -> Folds:
    return make_folds(tiny_dataset, 5)


def study(folds: Folds, *others: Trial) -> Study:
    default = Trial(0, BASE, {}, DONE, 0.5, outcome(folds, 6))
    return Study(folds, Aim.of("accuracy"), (default, *others), default)


def test_each_setting_is_put_back_alone(folds: Folds) -> None:
    winner = replace(BASE, loss="focal", label_smoothing=0.1)
    bench = FakeBench(folds, HELPS)
    found = ablate(bench, study(folds), winner)
    assert [(e.name, e.kind, e.value) for e in found] == [
        ("loss", PUT_BACK, "focal"), ("label_smoothing", PUT_BACK, "label smoothing 0.1"),
    ]  # fmt: skip
    gains = [e.gain for e in found]
    assert [round(g.value * len(folds)) for g in gains if g] == [4, 2]
    assert all(g and g.low < g.value < g.high and g.pictures == len(folds) for g in gains)
    assert all(e.config.loss == "cross_entropy" for e in found if e.name == "loss")


def test_a_setting_that_harms_has_a_gain_below_nought(folds: Folds) -> None:
    winner = replace(BASE, loss="focal")
    (effect,) = ablate(FakeBench(folds, {"focal": -3}), study(folds), winner)
    assert effect.gain and round(effect.gain.value * len(folds)) == -3


def test_the_members_of_a_join_are_taken_out_one_at_a_time(folds: Folds) -> None:
    found = ablate(FakeBench(folds, {}), study(folds), JOINED)
    members = {e.value: e for e in found if e.kind == MEMBER}
    assert set(members) == {"lite0", "lite1", "lite2"}
    assert members["lite1"].config.model == f"{LITE0}+{LITE2}"
    back = [e for e in found if e.kind == PUT_BACK]
    assert [e.config.model for e in back] == [LITE0]
    assert all(e.gain and e.gain.value > 0 for e in found)


def test_what_two_ways_lead_to_is_tried_once(folds: Folds) -> None:
    bench = FakeBench(folds, {})
    found = ablate(bench, study(folds), replace(BASE, model=f"{LITE0}+{LITE2}"))
    assert [e.config.model for e in found] == [LITE0, LITE2]
    assert {e.kind for e in found} == {PUT_BACK, MEMBER}


def test_what_the_search_has_tried_is_not_tried_again(folds: Folds) -> None:
    winner = replace(BASE, loss="focal")
    bench = FakeBench(folds, HELPS)
    known = Trial(1, winner, {}, DONE, 0.6, outcome(folds, 10))
    (effect,) = ablate(bench, study(folds, known), winner)
    assert bench.asked == []
    assert effect.gain and round(effect.gain.value * len(folds)) == 4


def test_of_the_default_usual_amounts_are_switched_on(folds: Folds) -> None:
    bench = FakeBench(folds, HELPS)
    found = ablate(bench, study(folds), BASE)
    assert {e.kind for e in found} == {SWITCHED_ON}
    assert found[0].name == "loss" and found[0].gain and found[0].gain.value > 0
    assert {e.name for e in found} == {"knowledge", "label_smoothing", "loss", "balance"}
    assert all(e.value != e.other for e in found)


def test_a_network_trained_by_steps_gets_augmentation_too(folds: Folds) -> None:
    base = replace(BASE, recipe="finetune")
    default = Trial(0, base, {}, DONE, 0.5, outcome(folds, 6))
    own = Study(folds, Aim.of("accuracy"), (default,), default)
    names = {e.name for e in ablate(FakeBench(folds, {}), own, base)}
    assert {"augment", "mixup", "cutmix", "erase", "dropout", "weight_decay"} <= names


def test_without_time_what_is_left_out_is_said(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(ablation.time, "monotonic", lambda: clock[0])

    class Slow(FakeBench):
        def run(self, config: TrainConfig) -> Outcome:
            clock[0] += 10
            return super().run(config)

    winner = replace(BASE, loss="focal", label_smoothing=0.1, balance="weights")
    bench = Slow(folds, HELPS)
    found = ablate(bench, study(folds), winner, seconds=25)
    assert len(bench.asked) == 2  # a third would end after 30 seconds
    assert [e.reason for e in found if e.gain is None] == ["no time was left"] * 2
    assert found[0].gain is not None


def test_a_trial_that_fails_does_not_stop_the_others(folds: Folds) -> None:
    winner = replace(BASE, loss="focal", label_smoothing=0.1)
    found = ablate(FakeBench(folds, HELPS, fails="cross_entropy"), study(folds), winner)
    failed = [e for e in found if e.gain is None]
    assert [(e.name, e.reason) for e in failed] == [("loss", "it failed: the loss is no number")]
    assert failed == found[-1:]
    assert failed[0].to_dict()["gain"] is None and found[0].to_dict()["gain"]["pictures"] == 28
