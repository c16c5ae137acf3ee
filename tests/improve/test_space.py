"""The search space: read, checked, suggested from, counted."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.improve.space import Space
from pizzaiolo.train.defaults import BY_STEPS, filled

ROOT = Path(__file__).parents[2]
SMALL = """
[space]
recipe = ["head", "finetune"]
model = ["tf_efficientnet_lite0", "tf_efficientnet_lite1"]
label_smoothing = { low = 0.0, high = 0.2, step = 0.05 }
loss = "focal"
batch_size = { low = 8, high = 32, step = 8 }
"""


def space(tmp_path: Path, text: str) -> Space:
    file = tmp_path / "space.toml"
    file.write_text(text)
    return Space.read(file)


def given(**params: Any) -> optuna.trial.FixedTrial:
    return optuna.trial.FixedTrial(params)


def test_a_trial_s_picks_become_settings(tmp_path: Path) -> None:
    trial = given(recipe="finetune", model="tf_efficientnet_lite1", label_smoothing=0.1,
                  batch_size=16)  # fmt: skip
    config = space(tmp_path, SMALL).suggest(trial)
    assert config == filled(
        TrainConfig(recipe="finetune", model="tf_efficientnet_lite1", label_smoothing=0.1,
                    batch_size=16, loss="focal")
    )  # fmt: skip
    assert "loss" not in trial.distributions, "what is fixed is not asked for"


def test_what_the_recipe_has_no_use_for_is_not_asked_for(tmp_path: Path) -> None:
    trial = given(recipe="head", model="tf_efficientnet_lite0", label_smoothing=0.0)
    config = space(tmp_path, SMALL).suggest(trial)  # FixedTrial raises for what it has not
    assert config.batch_size == TrainConfig().batch_size
    assert set(trial.distributions) == {"recipe", "model", "label_smoothing"}


def test_all_settings_are_counted_and_enumerated_once(tmp_path: Path) -> None:
    small = space(tmp_path, SMALL)
    every = list(small.every())
    assert small.size() == len(every) == len(set(every)) == 2 * 5 + 2 * 5 * 4
    assert {c.label_smoothing for c in every} == {0.0, 0.05, 0.1, 0.15, 0.2}


def test_a_range_without_steps_has_no_end(tmp_path: Path) -> None:
    endless = space(tmp_path, "[space]\nrecipe = 'finetune'\nlr = { low = 1e-5, high = 1e-3 }")
    assert endless.size() is None and list(endless.every()) == []


def test_the_same_settings_have_the_same_picks(tmp_path: Path) -> None:
    small = space(tmp_path, SMALL)
    for config in small.every():
        params = small.params(config)
        assert params is not None and small.suggest(given(**params)) == config
    assert small.params(filled(TrainConfig())) is None, "its loss is not in the space"


def test_the_usual_space_holds_the_default_recipe() -> None:
    usual = Space.read()
    params = usual.params(filled(TrainConfig()))
    assert params is not None and params["model"] == "tf_efficientnet_lite0"
    assert not params.keys() & set(BY_STEPS)
    assert usual.recipes() == {"head", "finetune"}


def test_what_is_read_can_be_written_and_read_again(tmp_path: Path) -> None:
    usual = Space.read()
    assert space(tmp_path, usual.to_toml()).to_dict() == usual.to_dict()
    other = usual.to_toml().replace("# ", "#   ")
    assert space(tmp_path, other).to_dict() == usual.to_dict()


@pytest.mark.parametrize(
    "file", sorted((ROOT / "recipes").glob("search_*.toml")), ids=lambda p: p.name
)
def test_every_search_recipe_is_valid(file: Path) -> None:
    read = Space.read(file)
    for name in ("low", "high"):  # both ends of each range are settings that train takes
        picks = Ends(name)
        assert read.suggest(picks).recipe in read.recipes()


class Ends:
    """Picks one end of everything."""

    def __init__(self, end: str) -> None:
        self.low = end == "low"

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[0 if self.low else -1]

    def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
        return low if self.low else high

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        return low if self.low else high


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("losss = ['bce']", "did you mean 'loss'?"),
        ("loss = ['bcee']", "did you mean 'bce'?"),
        ("loss = []", "no choices"),
        ("device = ['cpu']", "device is not searched"),
        ("mixup = { low = 0.2, high = 0.1 }", "expected low < high"),
        ("mixup = { low = 0.0, high = 1.0, log = true }", "low above 0"),
        ("mixup = { low = 0.0 }", "expected a list of choices"),
        ("mixup = { low = 0.0, high = 1.0, setp = 0.1 }", "did you mean 'step'?"),
        ("mixup = { low = 0.0, high = 1.0, step = 0 }", "positive step"),
        ("mixup = { low = 0.0, high = 1.0, step = 'a' }", "expected numbers"),
        ("mixup = { low = false, high = 1.0 }", "mixup must be float"),
        ("epochs = { low = 1, high = 5, step = 0.5 }", "positive step"),
        ("dropout = { low = 0.0, high = 2.0 }", "dropout is 2.0, expected 0.0 to 0.95"),
        ("model = { low = 1, high = 2 }", "expected a list of choices"),
    ],
)
def test_a_wrong_line_is_one_message(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        space(tmp_path, f"[space]\n{line}")
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert "space.toml" in caught.value.message


@pytest.mark.parametrize("text", ["", "[train]\nloss = 'bce'", "space = 1", "[space]\n[train]"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"expected \[space\] alone"):
        space(tmp_path, text)


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no space at"):
        Space.read(tmp_path / "gone.toml")
    with pytest.raises(InputError, match="is not TOML"):
        space(tmp_path, "[space")


def test_a_part_keeps_the_choices_that_are_allowed(tmp_path: Path) -> None:
    small = space(tmp_path, SMALL)
    heads = small.only(lambda config: config.recipe == "head")
    assert heads is not None and heads.recipes() == {"head"} and heads.size() == 10
    light = small.only(lambda config: config.model == "tf_efficientnet_lite0")
    assert light is not None
    assert {config.model for config in light.every()} == {"tf_efficientnet_lite0"}
    assert small.only(lambda config: False) is None
