"""Several backbones as one: each sees its own pictures, and the embeddings stand in a row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import UsageError
from pizzaiolo.model.backbones import (
    check_name,
    create_backbone,
    licence_of,
    own_layers,
    preprocess_of,
)
from pizzaiolo.model.define import define, rebuild
from pizzaiolo.model.embedded import embedded_classifier
from pizzaiolo.model.ensemble import Ensemble, Member, members_of

pytestmark = pytest.mark.usefixtures("one_thread")
LITES = "tf_efficientnet_lite0+tf_efficientnet_lite2"
MIXED = "resnet10t+mobilenetv3_small_050+tf_efficientnet_lite0"  # two kinds of normalisation
SHARES = st.tuples(*3 * [st.floats(0.05, 0.95)])


@settings(deadline=None, max_examples=50)
@given(SHARES, SHARES, SHARES, SHARES)
def test_a_member_is_fed_as_if_it_were_alone(
    mean: tuple[float, ...], std: tuple[float, ...],
    given_mean: tuple[float, ...], given_std: tuple[float, ...],
) -> None:  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    own, other = (
        torch.from_numpy(Preprocess(4, 4, mean=m, std=s).normalise(pixels))  # type: ignore[arg-type]
        for m, s in ((mean, std), (given_mean, given_std))
    )
    member = Member(nn.Identity(), 4, [mean, std], 4, [given_mean, given_std])
    torch.testing.assert_close(member(other), own, atol=1e-4, rtol=1e-4)


def test_the_same_normalisation_changes_no_bit() -> None:
    statistics = [(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)]
    pictures = torch.randn(2, 3, 8, 8)
    member = Member(nn.Identity(), 8, statistics, 8, statistics)
    assert torch.equal(member(pictures), pictures)


def test_a_member_looks_at_its_own_side() -> None:
    statistics = [(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)]
    pictures = torch.randn(2, 3, 26, 26)
    expected = functional.interpolate(pictures, (22, 22), mode="bicubic", antialias=True)
    member = Member(nn.Identity(), 22, statistics, 26, statistics)
    torch.testing.assert_close(member(pictures), expected, atol=1e-5, rtol=1e-5)


def test_pretrained_members_answer_as_they_do_alone() -> None:
    both = create_backbone(LITES, pretrained=True, size=64).eval()
    alone = [create_backbone(name, pretrained=True).eval() for name in members_of(LITES)]
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(both(pictures), torch.cat([one(pictures) for one in alone], dim=1))


def test_the_largest_member_says_how_pictures_are_prepared() -> None:
    backbone = create_backbone(LITES, pretrained=False)
    largest = create_backbone("tf_efficientnet_lite2", pretrained=False)
    expected = preprocess_of("tf_efficientnet_lite2", largest, None)
    assert preprocess_of(LITES, backbone, None) == expected and expected.size == 260
    assert preprocess_of(LITES, backbone, 128).size == 128


@pytest.mark.parametrize(("size", "patches"), [(None, 14), (192, 12)])
def test_members_of_one_size_are_built_for_the_side_that_they_see(
    size: int | None, patches: int
) -> None:
    name = "vit_tiny_patch16_224+tf_efficientnet_lite1"
    made = define(TrainConfig(model=name, size=size, pretrained=False), 2)
    assert made.preprocess.size == (size or 240)
    assert made.architecture["sides"] == [size or 224, size or 240]
    assert made.network.backbone.networks[0].pos_embed.shape[1] == 1 + patches**2
    assert made.network.eval()(torch.rand(1, 3, size or 240, size or 240)).shape == (1, 2)


@pytest.mark.parametrize("name", ["resnet10t+resnet81", "resnet81+resnet10t"])
def test_an_unknown_member_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="there is no model 'resnet81'"):
        check_name(name)
    with pytest.raises(UsageError, match="there is no model 'resnet81'"):
        define(TrainConfig(model=name), 2)


@pytest.mark.parametrize("name", ["+", "resnet18+", "+resnet18", "resnet18++resnet10t"])
def test_an_empty_member_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match="empty member"):
        check_name(name)


def test_our_cnn_is_no_member() -> None:
    with pytest.raises(UsageError, match="has the member 'cnn'"):
        check_name("cnn+resnet18")


def test_a_rate_that_one_member_cannot_take_names_it() -> None:
    with pytest.raises(UsageError, match="densenet121 has no stochastic depth"):
        create_backbone("resnet10t+densenet121", pretrained=False, drop_path=0.1)


@pytest.mark.parametrize("size", [32, None])
def test_the_card_builds_it_again_with_its_normalisation(size: int | None) -> None:
    """The statistics are in the file, and do not lean on those of the timm that reads it."""
    made = define(TrainConfig(model=MIXED.replace("+", " + "), size=size, pretrained=False), 2)
    assert made.architecture["name"] == MIXED
    again = rebuild(Card(Labels(("a", "b")), made.preprocess, made.architecture))
    assert isinstance(again.backbone, Ensemble)
    for member in again.backbone.members:
        nn.init.zeros_(member.scale)
    again.load_state_dict(made.network.state_dict())
    pictures = torch.rand(2, 3, made.preprocess.size, made.preprocess.size)
    with torch.inference_mode():
        assert torch.equal(again.eval()(pictures), made.network.eval()(pictures))
    scales = [member.scale.flatten().tolist() for member in again.backbone.members]
    assert scales[0] == scales[1] == [1, 1, 1] and scales[2] != [1, 1, 1]


def test_the_licences_of_all_are_told() -> None:
    config = TrainConfig(model=LITES, recipe="head")
    assert define(config, 2).weights_licence == "Apache-2.0"
    mixed = create_backbone("resnet10t+vit_base_patch16_clip_quickgelu_224", pretrained=False)
    assert licence_of("resnet10t+vit_base_patch16_clip_quickgelu_224", mixed, True) == (
        "resnet10t: apache-2.0; vit_base_patch16_clip_quickgelu_224: cc-by-nc-4.0"
    )


def test_the_published_layers_of_classes_stand_in_the_members_order() -> None:
    layers, pictures = own_layers(LITES), torch.rand(2, 3, 64, 64)
    backbone = create_backbone(LITES, pretrained=True, size=64).eval()
    with torch.inference_mode():
        parts = backbone(pictures).split([layer.in_features for layer in layers], dim=1)
        for layer, part, name in zip(layers, parts, members_of(LITES), strict=True):
            torch.testing.assert_close(layer(part), embedded_classifier(name)(pictures))
