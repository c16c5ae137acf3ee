"""The whole diagnosis on a bench that answers from made-up features."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pizzaiolo.config import BACKBONE, TrainConfig
from pizzaiolo.errors import WorkError
from pizzaiolo.improve.aim import Aim
from pizzaiolo.improve.diagnose.fit import FITS, UNDER
from pizzaiolo.improve.diagnose.run import diagnose, head_config
from pizzaiolo.improve.heads import Roles, roles
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.trial import DONE, Study, Trial
from pizzaiolo.train.defaults import filled
from toy_study import DEFAULT, make_folds, make_rows

FOLDS = make_folds(300)


@dataclass
class ToyBench:
    """Heads on features [N, D] that are there already."""

    features: np.ndarray
    learnt: list[Roles] = field(default_factory=list)
    ran: list[TrainConfig] = field(default_factory=list)

    @property
    def embeddings(self) -> torch.Tensor:
        return torch.from_numpy(self.features)

    def look(self, config: TrainConfig) -> "ToyBench":
        return self

    def learn(self, config: TrainConfig, parties: Roles) -> np.ndarray:
        self.learnt.append(parties)
        model = LogisticRegression().fit(self.features[parties.training],
                                         FOLDS.truth[parties.training])  # fmt: skip
        found: np.ndarray = model.predict_proba(self.features[parties.asked])
        return found

    def run(self, config: TrainConfig) -> Outcome:
        self.ran.append(config)
        found, right = np.full((len(FOLDS), 2), np.nan), []
        for fold in range(FOLDS.count):
            parties = roles(FOLDS, fold)
            found[parties.asked] = self.learn(config, parties)
            known = self.learn(config, replace(parties, asked=parties.training))
            right.append((known.argmax(1) == FOLDS.truth[parties.training]).mean())
        self.learnt.clear()
        return Outcome(found, float(np.mean(right)), 0.1, 0.1)


class Broken(ToyBench):
    def look(self, config: TrainConfig) -> ToyBench:
        raise WorkError("no weights")

    def learn(self, config: TrainConfig, parties: Roles) -> np.ndarray:
        raise WorkError("no weights")


def features(apart: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(len(FOLDS), 12))
    noise[:, :6] += apart * (2 * FOLDS.truth[:, None] - 1)
    return noise.astype(np.float32)


@pytest.fixture
def study() -> Callable[[ToyBench, TrainConfig], Study]:
    def make(bench: ToyBench, config: TrainConfig) -> Study:
        outcome, aim = ToyBench(bench.features).run(config), Aim.of("accuracy")
        value = aim.value(outcome.predictions(FOLDS))
        trial = Trial(0, config, {}, DONE, value, outcome, 0.1)
        return Study(FOLDS, aim, (trial,), trial)

    return make


Make = Callable[[ToyBench, TrainConfig], Study]


def test_everything_is_looked_at(study: Make) -> None:
    bench = ToyBench(features(1.0))
    made = study(bench, DEFAULT)
    found = diagnose(made, made.default, bench, make_rows(FOLDS))  # type: ignore[arg-type]
    assert found.gap.verdict == FITS and not found.tried
    assert found.noise is not None and not found.noise.found
    assert found.curve is not None and found.forecast is not None
    assert "lite0" in found.learner and "stands for" not in found.learner
    told = json.loads(json.dumps(found.to_json()))
    assert {"learning_curve", "gap", "label_noise", "balance", "weak", "tried"} <= set(told)
    assert told["learning_curve"]["points"][-1]["share"] == 1


def test_what_the_search_has_answered_is_not_answered_again(study: Make) -> None:
    bench = ToyBench(features(1.0))
    made = study(bench, DEFAULT)
    found = diagnose(made, made.default, bench, [])  # type: ignore[arg-type]
    assert found.curve is not None
    assert found.curve.accuracy[-1] == pytest.approx(made.default.value)
    assert max(len(p.training) for p in bench.learnt) < 0.75 * len(FOLDS) * 0.6


def test_underfitting_tries_a_larger_model(study: Make) -> None:
    bench = ToyBench(features(0.0))
    made = study(bench, DEFAULT)
    found = diagnose(made, made.default, bench, [])  # type: ignore[arg-type]
    assert found.gap.verdict == UNDER
    assert [t.remedy.what for t in found.tried] == ["take a larger model"]
    assert bench.ran == [found.tried[0].remedy.config] and not found.tried[0].helped


def test_a_remedy_that_the_search_has_tried_is_looked_up(study: Make) -> None:
    bench = ToyBench(features(0.0))
    made = study(bench, DEFAULT)
    larger = filled(replace(DEFAULT, model=f"{BACKBONE}+tf_efficientnet_lite2"))
    good = ToyBench(features(1.0)).run(larger)
    other = replace(made.default, number=1, config=larger, outcome=good)
    made = replace(made, trials=(*made.trials, other))
    found = diagnose(made, made.default, bench, [])  # type: ignore[arg-type]
    assert found.tried[0].helped and bench.ran == []


def test_without_time_nothing_long_is_begun(study: Make) -> None:
    bench = ToyBench(features(0.0))
    made = study(bench, DEFAULT)
    found = diagnose(made, made.default, bench, [], deadline=monotonic())  # type: ignore[arg-type]
    assert found.curve is None and found.forecast is None and not bench.ran
    assert found.tried[0].reason == "no time for it"
    assert found.to_json()["learning_curve"] is None


def test_what_can_not_be_seen_is_left_out(study: Make) -> None:
    bench = Broken(features(1.0))
    made = study(bench, DEFAULT)
    found = diagnose(made, made.default, bench, [])  # type: ignore[arg-type]
    assert found.noise is None and found.curve is None and found.weak.hardest


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (TrainConfig(recipe="finetune", model="tf_efficientnet_lite1"), "tf_efficientnet_lite1"),
        (TrainConfig(recipe="scratch", model="cnn"), BACKBONE),
        (TrainConfig(recipe="scratch", model="net.py:Net"), BACKBONE),
        (TrainConfig(recipe="finetune", model="tf_efficientnet_lite1", pretrained=False), BACKBONE),
    ],
)
def test_a_head_stands_for_what_takes_too_long(config: TrainConfig, model: str) -> None:
    found = head_config(config)
    assert (found.recipe, found.model) == ("head", model)


def test_a_head_stands_for_itself() -> None:
    config = replace(DEFAULT, loss="focal", label_smoothing=0.1)
    assert head_config(config) == filled(config)
