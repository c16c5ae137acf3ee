"""Backbones: names, sizes, preprocessing, stochastic depth, licences."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import UsageError
from pizzaiolo.model.backbones import (
    MODES,
    check_name,
    create_backbone,
    embedding_width,
    licence_of,
    own_layers,
    preprocess_of,
)
from pizzaiolo.model.torchvision_fix import timm

pytestmark = pytest.mark.usefixtures("one_thread")
LITE0 = "tf_efficientnet_lite0"


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet81", "'resnet18'"), ("tf_eficientnet_lite0", f"'{LITE0}'"), ("cmn", "'cnn'")],
)
def test_an_unknown_name_gives_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no model '{name}'") as caught:
        check_name(name)
    assert near in (caught.value.hint or "")


def test_an_unknown_weights_tag_gives_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no weights called 'resnet18\.a1_in2k'") as caught:
        check_name("resnet18.a1_in2k")
    assert "'resnet18.a1_in1k'" in (caught.value.hint or "")


def test_an_architecture_without_weights_says_so() -> None:
    bare = next(
        name for name in timm().list_models()
        if (config := timm().get_pretrained_cfg(name)) is None or not config.has_weights
    )  # fmt: skip
    check_name(bare)
    with pytest.raises(UsageError, match="nobody published weights") as caught:
        check_name(bare, pretrained=True)
    assert caught.value.hint == "--no-pretrained"


@pytest.mark.parametrize("name", ["", " ", "resnet18.", "../../etc/passwd", "hf-hub:a/b", "Pizza"])
def test_strange_names_are_one_clear_error(name: str) -> None:
    with pytest.raises(UsageError):
        create_backbone(name, pretrained=False)


@pytest.mark.parametrize(
    ("name", "size"), [(LITE0, 224), ("tf_efficientnet_lite1", 240), ("tf_efficientnet_lite2", 260)]
)
def test_embedded_weights_come_with_googles_preprocessing(name: str, size: int) -> None:
    backbone = create_backbone(name, pretrained=True)
    found = preprocess_of(name, backbone, None, "crop")
    assert found == Preprocess(size, size + 32, "crop", "bicubic", (0.5,) * 3, (0.5,) * 3)
    assert licence_of(name, backbone, pretrained=True) == "Apache-2.0"
    assert embedding_width(backbone, 32) == 1280


def test_another_size_keeps_the_margin_of_the_crop() -> None:
    backbone = create_backbone(LITE0, pretrained=False)
    assert preprocess_of(LITE0, backbone, 112, "crop").short_side == 128  # 112 / 0.875
    assert preprocess_of(LITE0, backbone, 112, "pad").short_side == 112


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("inception_v4", 64),  # too small for its convolutions
        ("crossvit_9_240", 33),  # built for one side
    ],
)
def test_a_size_that_the_architecture_refuses_is_a_clear_error(name: str, size: int) -> None:
    with pytest.raises(UsageError, match=f"does not take pictures of {size} x {size}") as caught:
        embedding_width(create_backbone(name, pretrained=False, size=size), size)
    assert "--size" in (caught.value.hint or "")


def test_an_architecture_of_one_size_is_built_for_the_size_asked() -> None:
    backbone = create_backbone("vit_tiny_patch16_224", pretrained=False, size=64)
    assert embedding_width(backbone, 64) == 192


def test_looking_at_the_width_leaves_the_mode_alone() -> None:
    backbone = create_backbone("mobilenetv3_small_050", pretrained=False)
    for training in (True, False):
        backbone.train(training)
        embedding_width(backbone, 32)
        assert backbone.training is training


def test_feature_maps_are_no_embedding() -> None:
    with pytest.raises(UsageError, match=r"expected \[batch, features\]"):
        embedding_width(torch.nn.Conv2d(3, 4, 3), 32)


def test_a_random_start_has_no_licence() -> None:
    backbone = create_backbone("resnet18", pretrained=False)
    assert licence_of("resnet18", backbone, pretrained=False).startswith("none")


def known(name: str, **changes: Any) -> Any:
    """What preprocessing is read from: a network's own data config, here without the network."""
    config = timm().get_pretrained_cfg(name).to_dict() | changes
    return SimpleNamespace(pretrained_cfg=config)


FAMILIES = {
    "resnet18": "crop", "resnet50": "crop", "vgg16": "crop", "mobilenetv3_large_100": "crop",
    "efficientnet_b0": "crop", "tf_efficientnetv2_s": "crop", "convnext_tiny": "crop",
    "vit_base_patch16_224": "crop", "deit3_small_patch16_384": "crop", "inception_v3": "crop",
    "swin_tiny_patch4_window7_224": "crop", "levit_128s": "crop", "beit_base_patch16_384": "crop",
    "eva02_tiny_patch14_336": "crop", "convnextv2_tiny": "crop", "tiny_vit_21m_512": "squash",
}  # fmt: skip


@pytest.mark.parametrize(("name", "mode"), FAMILIES.items(), ids=FAMILIES)
def test_pictures_are_prepared_as_timm_prepares_them(name: str, mode: str) -> None:
    """Pain: a model that is fed otherwise than it was trained. To the last pixel here, but that
    where a margin is odd torchvision's crop lies half a pixel to the one side or to the other."""
    network = known(name)
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    config = timm().data.resolve_model_data_config(network)
    resize, _, *rest = timm().data.create_transform(**config, is_training=False).transforms
    found = preprocess_of(name, network, None)
    assert found.mode == mode
    resized = resize(picture)
    edge = (resized.width - found.size) // 2
    expected = resized.crop((edge, edge, edge + found.size, edge + found.size))
    for transform in rest:
        expected = transform(expected)
    ours = torch.from_numpy(found.normalise(found(picture)[None])[0])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_every_architecture_keeps_its_own_config() -> None:
    margins = []
    for name in timm().list_models():
        if timm().get_pretrained_cfg(name) is None:
            continue
        config = timm().data.resolve_model_data_config(known(name))
        found = preprocess_of(name, known(name), None)
        assert (found.size, found.filter) == (config["input_size"][1], config["interpolation"])
        assert (found.mean, found.std) == (tuple(config["mean"]), tuple(config["std"]))
        assert found.mode == MODES[config["crop_mode"]]
        if found.mode == "crop":
            assert found.short_side == max(found.size, int(found.size / config["crop_pct"]))
        elif config["crop_pct"] < 1:
            margins.append(name)
    # Those squash to a little more than the side and cut the rest off; here they squash to it.
    assert len(margins) < 12


def test_at_the_side_of_the_publishers_test_the_crop_is_that_of_the_test() -> None:
    """ResNet-50 was trained at 224 pixels of 235, and tested at 288 of 288."""
    sides = {size: preprocess_of("resnet50", known("resnet50"), size) for size in (None, 256, 288)}
    assert {size: (p.size, p.short_side) for size, p in sides.items()} == {
        None: (224, 235), 256: (256, 269), 288: (288, 288)
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
def test_a_mode_that_is_asked_for_is_taken(mode: str) -> None:
    for name in ("resnet50", "tiny_vit_21m_512"):
        assert preprocess_of(name, known(name), None, mode).mode == mode


@pytest.mark.parametrize(
    ("name", "pretrained"),
    [
        ("resnet10t", False),
        ("vit_tiny_patch16_224", False),
        ("convnext_atto", False),
        (LITE0, True),
    ],
)  # fmt: skip
def test_stochastic_depth_rises_to_the_rate(name: str, pretrained: bool) -> None:
    plain = create_backbone(name, pretrained)
    backbone = create_backbone(name, pretrained, drop_path=0.3)
    rates = [m.drop_prob for m in backbone.modules() if type(m).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3, abs=0.06)
    assert backbone.state_dict().keys() == plain.state_dict().keys()
    backbone.load_state_dict(plain.state_dict())
    pictures = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.eval()(pictures), plain.eval()(pictures))


@pytest.mark.parametrize("name", ["vgg11", "densenet121", "inception_v3"])
def test_an_architecture_without_stochastic_depth_says_so(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} has no stochastic depth") as caught:
        create_backbone(name, pretrained=False, drop_path=0.1)
    assert "--drop-path" in (caught.value.hint or "")


def test_an_architecture_of_long_pictures_is_built_for_square_ones() -> None:
    with torch.device("meta"):
        backbone = create_backbone("vit_base_patch16_sapiens2", pretrained=False)
        assert backbone(torch.zeros(1, 3, 1024, 1024)).shape == (1, 768)


FAMILIES = [
    "resnet18", "vgg11", "mobilenetv3_small_050", "efficientnet_b0", "convnext_atto",
    "vit_tiny_patch16_224", "densenet121", "regnety_002", "swin_tiny_patch4_window7_224",
]  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_the_own_layer_says_of_the_embedding_what_the_network_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights can't be fetched here, so random ones stand in for the published."""

    def fetch(name: str, options: dict[str, Any]) -> Any:
        torch.manual_seed(0)
        network = timm().create_model(name, pretrained=False)
        network.reset_classifier(**options) if options else None
        return network.eval()

    monkeypatch.setattr("pizzaiolo.model.backbones.fetch", fetch)
    (layer,) = own_layers(name)
    backbone, whole = create_backbone(name, pretrained=True), fetch(name, {})
    pictures = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(layer(backbone(pictures)), whole(pictures), atol=1e-4, rtol=1e-4)


def test_a_network_without_one_linear_layer_of_classes_has_no_own_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "pizzaiolo.model.backbones.fetch",
        lambda name, options: timm().create_model(name, pretrained=False, **options),
    )
    assert own_layers("deit_tiny_distilled_patch16_224") == []
    assert own_layers("tf_efficientnet_lite0+deit_tiny_distilled_patch16_224") == []
