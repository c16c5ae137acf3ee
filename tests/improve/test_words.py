"""A setting in words: only what differs, in names that people use."""

from dataclasses import replace

import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.improve.words import changed, setting, short_model

DEFAULT = TrainConfig(model="tf_efficientnet_lite0", recipe="head", quality="quick")
JOIN = "tf_efficientnet_lite0+tf_efficientnet_lite2"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "default (lite0)"),
        ({"seed": 3, "workers": 2, "quality": "best", "device": "cpu"}, "default (lite0)"),
        (
            {"label_smoothing": 0.1, "loss": "focal", "model": JOIN},
            "lite0+lite2, focal, label smoothing 0.1",
        ),
        ({"knowledge": False}, "without ImageNet's knowledge"),
        ({"balance": "weights", "size": 256}, "balanced by weights, size 256"),
        ({"augment": "rand", "lr": 0.1, "epochs": 3}, "default (lite0)"),  # head has no use for it
        (
            {"recipe": "finetune", "lr": 0.000316, "epochs": 12, "mixup": 0.2, "augment": "none"},
            "finetune, 12 epochs, rate 0.000316, no augmentation, mixup 0.2",
        ),
        ({"find_lr": True, "recipe": "scratch", "model": "cnn"}, "cnn, scratch, rate found on"),
    ],
)
def test_only_what_differs_is_said(changes: dict[str, object], said: str) -> None:
    assert setting(replace(DEFAULT, **changes), DEFAULT) == said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "lite0"),
        ("tf_efficientnet_lite4.in1k", "lite4"),
        ("resnet50.a1_in1k", "resnet50"),
        ("tf_efficientnet_b0", "tf_efficientnet_b0"),
        ("nets/own.py:Small", "own.py:Small"),
        ("resnet18 + tf_efficientnet_lite1", "resnet18+lite1"),
    ],
)
def test_models_have_short_names(name: str | None, said: str) -> None:
    assert short_model(name) == said


def test_the_model_and_the_recipe_come_first() -> None:
    other = replace(DEFAULT, loss="bce", recipe="finetune", model="resnet18", mixup=0.1)
    assert changed(other, DEFAULT) == ["model", "recipe", "loss", "mixup"]
