"""The winner of a search: trained anew, tested once, compared with the default recipe."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import EvaluateConfig, TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.evaluate.compare import BETTER, NOISE, WORSE
from pizzaiolo.improve import winner as module
from pizzaiolo.improve.aim import Aim, Difference
from pizzaiolo.improve.winner import SAME, Crowned, crown, verdict_of
from toy_network import OWN_CODE

pytestmark = pytest.mark.usefixtures("one_thread")
DEFAULT = TrainConfig(model="cnn", size=32, epochs=1)
WINNER = replace(DEFAULT, epochs=2)
OTHER = replace(DEFAULT, label_smoothing=0.2)
ACCURACY = Aim.of("accuracy")
QUICK = EvaluateConfig(explain=False, robustness_seconds=0.0)


class Calls:
    """What was trained and evaluated, by the names of the folders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.evaluated: list[str] = []
        train, evaluate = module.train, module.evaluate

        def counted_train(data: Any, out: Path, *rest: Any, **more: Any) -> Any:
            self.trained.append(out.name)
            return train(data, out, *rest, **more)

        def counted_evaluate(run: Path, data: Any, out: Path, *rest: Any, **more: Any) -> Any:
            self.evaluated.append(out.name)
            return evaluate(run, data, out, *rest, **more)

        monkeypatch.setattr(module, "train", counted_train)
        monkeypatch.setattr(module, "evaluate", counted_evaluate)

    def taken(self) -> tuple[list[str], list[str]]:
        found = self.trained[:], self.evaluated[:]
        self.trained.clear()
        self.evaluated.clear()
        return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def crowned(study: Path, data: Dataset, winner: TrainConfig = WINNER) -> Crowned:
    return crown(study, data, winner, ACCURACY, DEFAULT, QUICK)


def looks(run: Path) -> int:
    (found,) = json.loads((run / "looks.json").read_text())["test"].values()
    return int(found["looks"])


@pytest.fixture(scope="module")
def tested(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose winner was tested."""
    study = tmp_path_factory.mktemp("tested") / "study"
    crowned(study, tiny_dataset)
    return study


@pytest.fixture
def study(tested: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(tested, tmp_path / "study"))


def test_winner_and_default_are_trained_and_tested_once(
    tiny_dataset: Dataset, tmp_path: Path, calls: Calls
) -> None:
    found = crowned(tmp_path, tiny_dataset)
    assert calls.taken() == (["default", "best"], ["evaluation-default", "evaluation"])
    for name in ("best/model.pt", "default/model.pt", "evaluation/report.html"):
        assert (tmp_path / name).is_file()
    assert looks(tmp_path / "best") == looks(tmp_path / "default") == found.looks == 1
    assert found.default and found.gain
    difference = found.best["accuracy"]["value"] - found.default["accuracy"]["value"]
    assert found.gain.value == pytest.approx(difference)
    assert found.best["against"]["other"].endswith("evaluation-default")
    assert found.gain.pictures == 12 and "12 test pictures" in found.sentence
    assert found.verdict in found.sentence


def test_a_winner_of_ones_own_code_is_tested(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_CODE)
    own = replace(DEFAULT, model=f"{tmp_path / 'own.py'}:Own", recipe="scratch")
    assert crowned(tmp_path, tiny_dataset, own).best["n"] == len(tiny_dataset.split("test"))


def test_the_same_winner_is_not_tested_again(
    tiny_dataset: Dataset, study: Path, calls: Calls
) -> None:
    first, second = crowned(study, tiny_dataset), crowned(study, tiny_dataset)
    assert calls.taken() == ([], [])
    assert first == second and second.looks == 1
    assert looks(study / "best") == 1


def test_a_new_winner_is_the_second_look_and_says_so(
    tiny_dataset: Dataset, study: Path, calls: Calls
) -> None:
    found = crowned(study, tiny_dataset, OTHER)
    assert calls.taken() == (["best"], ["evaluation"])
    assert found.looks == looks(study / "best") == 2
    assert "for the 2nd time" in found.sentence
    assert "for the 2nd time" in (study / "evaluation" / "report.html").read_text()
    assert crowned(study, tiny_dataset, OTHER) == found
    assert calls.taken() == ([], [])


def test_other_pictures_make_both_train_again(
    make_dataset: Any, study: Path, tmp_path: Path, calls: Calls
) -> None:
    crowned(study, make_dataset(tmp_path / "more", train=12))
    assert calls.taken() == (["default", "best"], ["evaluation-default", "evaluation"])


def test_the_default_as_winner_is_tested_alone(
    tiny_dataset: Dataset, tmp_path: Path, calls: Calls
) -> None:
    found = crowned(tmp_path, tiny_dataset, DEFAULT)
    assert calls.taken() == (["best"], ["evaluation"])
    assert (found.verdict, found.gain, found.default) == (SAME, None, None)
    assert "default recipe is the best found" in found.sentence
    assert not (tmp_path / "default").exists()


def test_a_test_that_was_cut_off_leaves_nothing_half(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pizzaiolo.evaluate.run.write_html", interrupted)
        with pytest.raises(KeyboardInterrupt):
            crowned(tmp_path, tiny_dataset)
    assert not (tmp_path / "evaluation-default").exists()
    assert not (tmp_path / "tested.json").exists()
    calls = Calls(monkeypatch)
    crowned(tmp_path, tiny_dataset)
    assert calls.taken() == (["best"], ["evaluation-default", "evaluation"])


def test_a_training_that_was_cut_off_goes_on(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pizzaiolo.train.run.write_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            crowned(tmp_path, tiny_dataset)
    assert (tmp_path / "default" / ".unfinished" / "last.ckpt").is_file()
    assert not (tmp_path / "default" / "model.pt").exists()
    crowned(tmp_path, tiny_dataset)
    assert not (tmp_path / "default" / ".unfinished").exists()


def test_a_training_of_another_winner_that_was_cut_off_is_begun_afresh(
    tiny_dataset: Dataset, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pizzaiolo.train.run.write_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            crowned(study, tiny_dataset, OTHER)
    found = crowned(study, tiny_dataset, replace(OTHER, seed=3))
    assert found.looks == 2
    settings = json.loads((study / "best" / "run.json").read_text())["card"]["training"]
    assert (settings["seed"], settings["label_smoothing"]) == (3, 0.2)


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("value", "p_value", "verdict"),
    [(0.02, 0.01, BETTER), (-0.02, 0.01, WORSE), (0.02, 0.3, NOISE), (0.0, 1.0, NOISE)],
)
def test_the_verdict_needs_more_than_chance(value: float, p_value: float, verdict: str) -> None:
    assert verdict_of(Difference(value, value - 0.01, value + 0.01, p_value, 100)) == verdict


def test_the_verdict_is_that_of_evaluate_where_interval_and_chance_disagree() -> None:
    assert verdict_of(Difference(0.02, -0.001, 0.041, 0.04, 100)) == NOISE


def test_a_damaged_list_of_tests_only_costs_another_look(
    tiny_dataset: Dataset, study: Path, calls: Calls
) -> None:
    (study / "tested.json").write_text("{")
    assert crowned(study, tiny_dataset).looks == 2
    assert calls.taken() == ([], ["evaluation-default", "evaluation"])
