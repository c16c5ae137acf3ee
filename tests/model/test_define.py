"""From settings to a network, and from a card to the same network again."""

from typing import Any

import pytest
import torch
from torch import nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError, UsageError
from pizzaiolo.model.define import MOST_OWN_CLASSES, define, rebuild
from pizzaiolo.model.head import KnowingHead
from toy_network import Own

pytestmark = pytest.mark.usefixtures("one_thread")
LITE0 = "tf_efficientnet_lite0"


def card(**architecture: Any) -> Card:
    return Card(Labels(("a", "b", "c")), Preprocess(32, 36), architecture)


@pytest.mark.parametrize("model", ["cnn", "resnet18", "mobilenetv3_small_050"])
def test_the_card_builds_the_same_network_again(model: str) -> None:
    made = define(TrainConfig(model=model, pretrained=False, size=32), 3)
    again = rebuild(Card(Labels(("a", "b", "c")), made.preprocess, made.architecture))
    shapes = {k: v.shape for k, v in made.network.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes


@pytest.mark.parametrize("recipe", ["head", "finetune"])
def test_the_head_keeps_the_classes_that_the_network_knows(recipe: str) -> None:
    made = define(TrainConfig(recipe=recipe, model=f"{LITE0}+{LITE0}", size=32), 3)
    assert isinstance(made.network.head, KnowingHead)
    assert made.architecture["own_classes"] == [1000, 1000]
    again = rebuild(Card(Labels(("a", "b", "c")), made.preprocess, made.architecture))
    again.load_state_dict(made.network.state_dict())
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(again.eval()(pictures), made.network.eval()(pictures))


@pytest.mark.parametrize(
    "settings",
    [
        {"knowledge": False},
        {"pretrained": False},
        {"recipe": "scratch"},
        {"model": "cnn"},
    ],
)
def test_where_nothing_is_known_or_wanted_the_head_is_one_layer(settings: dict[str, Any]) -> None:
    config = TrainConfig(**{"recipe": "head", "model": LITE0, "size": 32, **settings})
    made = define(config, 3)
    assert isinstance(made.network.head, nn.Linear) and "own_classes" not in made.architecture


@pytest.mark.parametrize("width", [999, 1280])
def test_a_layer_of_very_many_classes_or_another_width_is_left(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = nn.Linear(width, 10 if width != 1280 else MOST_OWN_CLASSES + 1)
    monkeypatch.setattr("pizzaiolo.model.define.own_layers", lambda name: [layer])
    made = define(TrainConfig(recipe="head", model=LITE0, size=32), 3)
    assert isinstance(made.network.head, nn.Linear)


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": LITE0, "embedding": 1280, "widths": [1280], "own_classes": ["many"]},
        {"name": LITE0, "embedding": 1280, "widths": [1280], "own_classes": [10**15]},
        {"name": LITE0, "embedding": 1280, "widths": [1280, 1], "own_classes": [5]},
        {"name": LITE0, "embedding": 1280, "own_classes": [5]},
        {"name": f"{LITE0}+{LITE0}", "embedding": 2560, "sides": [224]},
        {"name": f"{LITE0}+{LITE0}", "embedding": 2560, "sides": ["a", "b"]},
    ],
)
def test_a_card_that_describes_no_head_or_no_ensemble_is_damaged(
    architecture: dict[str, Any],
) -> None:
    with pytest.raises(ModelFileError, match=r"the card (does not say|describes no network)"):
        rebuild(card(kind="timm", **architecture))


@pytest.mark.parametrize("recipe", ["head", "finetune", "scratch"])
def test_pretrained_weights_are_used_where_the_recipe_allows_it(recipe: str) -> None:
    torch.manual_seed(0)
    made = define(TrainConfig(recipe=recipe), 2)
    published = define(TrainConfig(recipe="head"), 2).network.backbone.state_dict()
    same = all(torch.equal(v, published[k]) for k, v in made.network.backbone.state_dict().items())
    assert same == made.pretrained == (recipe != "scratch")
    assert made.weights_licence.startswith("Apache" if made.pretrained else "none")


@pytest.mark.parametrize(
    ("mode", "short_side"), [("crop", 146), ("pad", 128), ("squash", 128)]
)  # fmt: skip
def test_the_resize_mode_is_a_choice_that_the_definition_keeps(mode: str, short_side: int) -> None:
    """Pain: a centre crop hides the subject."""
    made = define(TrainConfig(model="cnn", resize_mode=mode), 2)
    assert (made.preprocess.mode, made.preprocess.short_side) == (mode, short_side)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError, match="no model 'resnet81'"):
        define(TrainConfig(model="resnet81"), 2)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({}, "kind None"),
        ({"kind": "oven", "name": "x"}, "kind 'oven'"),
        ({"kind": "cnn"}, "how wide the embedding is"),
        ({"kind": "cnn", "embedding": "wide"}, "how wide the embedding is"),
        ({"kind": "cnn", "embedding": -3}, "how wide the embedding is"),
        ({"kind": "timm", "name": "resnet_of_2050", "embedding": 3}, "which this timm lacks"),
        ({"kind": "custom", "name": "Own"}, "its code is needed"),
    ],
)
def test_a_card_that_names_no_network_is_a_clear_error(
    architecture: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelFileError, match=words) as caught:
        rebuild(card(**architecture))
    assert caught.value.exit_code == 2


def test_a_lost_module_says_how_to_name_its_code() -> None:
    """Pain: a saved model needs the training script, and does not say so."""
    with pytest.raises(ModelFileError) as caught:
        rebuild(card(kind="custom", name="Own"))
    assert "--code path/to/file.py:Own" in (caught.value.hint or "")


@pytest.mark.parametrize("model", ["resnet10t", "cnn", "resnet10t+mobilenetv3_small_050"])
def test_dropout_acts_in_training_alone_and_is_not_in_the_file(model: str) -> None:
    config = TrainConfig(model=model, pretrained=False, size=32, dropout=0.5)
    made, pictures = define(config, 3), torch.rand(4, 3, 32, 32)
    rates = [m.p for m in made.network.modules() if isinstance(m, torch.nn.Dropout)]
    assert 0.5 in rates
    again = rebuild(Card(Labels(("a", "b", "c")), made.preprocess, made.architecture))
    again.load_state_dict(made.network.state_dict(), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(again.eval()(pictures), made.network.eval()(pictures))
        made.network.train()
        assert not torch.equal(made.network(pictures), made.network(pictures))


def test_dropout_leaves_the_embedding_whole() -> None:
    torch.manual_seed(0)  # of other random networks more features are dead by themselves
    config = TrainConfig(model="resnet10t", pretrained=False, size=32, dropout=0.9)
    network = define(config, 2).network.eval()
    network.dropout.train()
    with torch.inference_mode():
        logits, embedding = network.outputs(torch.rand(64, 3, 32, 32))
        assert (embedding == 0).float().mean() < 0.5
        assert not torch.allclose(logits, network.head(embedding))


def test_stochastic_depth_is_not_in_the_file() -> None:
    config = TrainConfig(model="resnet10t", pretrained=False, size=32, drop_path=0.4)
    made, pictures = define(config, 3), torch.rand(2, 3, 32, 32)
    again = rebuild(Card(Labels(("a", "b", "c")), made.preprocess, made.architecture))
    again.load_state_dict(made.network.state_dict(), strict=True)
    with torch.inference_mode():
        assert torch.equal(again.eval()(pictures), made.network.eval()(pictures))


@pytest.mark.parametrize(
    ("settings", "network", "words"),
    [
        ({"model": "cnn", "drop_path": 0.1}, None, "cnn takes none"),
        ({"model": "vgg11", "drop_path": 0.1, "pretrained": False}, None, "no stochastic depth"),
        ({"drop_path": 0.1}, Own, "your module takes none"),
        ({"dropout": 0.1}, Own, "has its own last layer"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(
    settings: dict[str, Any], network: Any, words: str
) -> None:
    """Pain: a flag that is taken and does nothing."""
    with pytest.raises(UsageError, match=words) as caught:
        define(TrainConfig(**settings), 2, network)
    assert "leave --dro" in (caught.value.hint or "")


def test_the_models_own_way_to_make_a_picture_square_is_the_default() -> None:
    with torch.device("meta"):
        made = define(TrainConfig(model="tiny_vit_21m_512", pretrained=False), 2)
        asked = define(
            TrainConfig(model="tiny_vit_21m_512", pretrained=False, resize_mode="crop"), 2
        )
    assert made.preprocess.mode == "squash" and asked.preprocess.mode == "crop"
    assert define(TrainConfig(model="cnn"), 2).preprocess.mode == "crop"
