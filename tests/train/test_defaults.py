"""What is trained where the settings leave it open."""

from typing import Any

import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.train.defaults import BY_STEPS, COSTS, MODELS, affordable, filled, unused

LITE0 = "tf_efficientnet_lite0"


@pytest.mark.parametrize(
    ("settings", "recipe", "quality", "model"),
    [
        ({}, "head", "quick", LITE0),
        ({"quality": "good"}, "head", "good", MODELS["good"]),
        ({"quality": "best"}, "head", "best", MODELS["best"]),
        ({"recipe": "finetune"}, "finetune", "good", LITE0),
        ({"recipe": "finetune", "quality": "best"}, "finetune", "best", LITE0),
        ({"recipe": "scratch"}, "scratch", "good", LITE0),
        ({"model": "cnn"}, "scratch", "good", "cnn"),
        ({"model": "own.py:Net"}, "scratch", "good", "own.py:Net"),
        ({"model": "own.py:Net", "weights": "w.pt"}, "finetune", "good", "own.py:Net"),
        ({"model": "resnet18", "quality": "best"}, "head", "best", "resnet18"),
        ({"pretrained": False}, "scratch", "good", LITE0),
        ({"weights": "w.pt", "quality": "best"}, "head", "best", LITE0),
    ],
)
def test_what_is_left_open_is_filled(
    settings: dict[str, Any], recipe: str, quality: str, model: str
) -> None:
    found = filled(TrainConfig(**settings))
    assert (found.recipe, found.quality, found.model) == (recipe, quality, model)


def test_a_network_given_in_python_starts_at_random() -> None:
    assert filled(TrainConfig(), own_network=True).recipe == "scratch"


def test_what_is_set_stays() -> None:
    config = TrainConfig(recipe="scratch", quality="best", model="resnet18", epochs=3)
    assert filled(config) == config


@pytest.mark.parametrize("quality", ["quick", "good", "best"])
def test_each_quality_adds_a_network(quality: str) -> None:
    assert MODELS[quality].count("+") == list(MODELS).index(quality)


@pytest.mark.parametrize(
    ("seconds", "quality"), [(1, "quick"), (20, "quick"), (100, "good"), (300, "best")]
)
def test_a_time_budget_buys_as_much_as_there_is_time_for(seconds: float, quality: str) -> None:
    assert affordable(0.01, 1000, seconds) == quality
    assert filled(TrainConfig(), most=lambda: quality).model == MODELS[quality]
    assert filled(TrainConfig(quality="best"), most=lambda: quality).quality == "best"


def test_what_costs_more_comes_later() -> None:
    assert list(COSTS) == list(MODELS) and sorted(COSTS.values()) == list(COSTS.values())


def test_settings_without_effect_are_named() -> None:
    config = TrainConfig(recipe="head", lr=0.1, epochs=3, balance="weights", quality="best")
    assert unused(config) == ["epochs", "lr"]
    assert unused(TrainConfig(recipe="scratch", lr=0.1)) == []
    assert all(hasattr(config, name) for name in BY_STEPS)
