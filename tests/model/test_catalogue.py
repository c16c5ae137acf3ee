"""What `pizzaiolo models` lists."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from pizzaiolo.errors import UsageError
from pizzaiolo.model.backbones import check_name
from pizzaiolo.model.catalogue import describe, find_models
from pizzaiolo.model.hub import OFFLINE_CHOICES


def test_the_offline_ones_come_first() -> None:
    names = find_models()
    assert set(names[:4]) == set(OFFLINE_CHOICES) and len(names) == len(set(names)) > 500


@pytest.mark.parametrize("pattern", ["lite0", "tf_*lite0", "*lite?", "LITE0"])
def test_part_of_a_name_and_wildcards_find_it(pattern: str) -> None:
    assert "tf_efficientnet_lite0" in find_models(pattern)


def test_nothing_found_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no model is called 'resnat18'") as caught:
        find_models("resnat18")
    assert "'resnet18'" in (caught.value.hint or "")


def test_each_says_where_its_weights_come_from() -> None:
    lite0, resnet, cnn = describe(("tf_efficientnet_lite0", "resnet18", "cnn"))
    assert lite0["offline"] and lite0["input"] == 224 and "installed" in lite0["weights"]
    assert not resnet["offline"] and resnet["weights"] == "from the hub"
    assert cnn["offline"] and cnn["weights"] == "random start"


def test_each_tells_the_licence_of_its_weights() -> None:
    names = ("resnet18", "vit_base_patch16_clip_quickgelu_224", "cnn", "resnet10t")
    assert [model["licence"] for model in describe(names)] == [
        "apache-2.0", "cc-by-nc-4.0", None, "apache-2.0"
    ]  # fmt: skip


def test_the_side_of_the_publishers_test_is_told() -> None:
    resnet, lite0, cnn = describe(("resnet50", "tf_efficientnet_lite0", "cnn"))
    assert (resnet["input"], resnet["test_input"]) == (224, 288)
    assert (lite0["input"], lite0["test_input"]) == (224, 224)
    assert (cnn["input"], cnn["test_input"]) == (128, 128)


def test_train_takes_what_is_listed() -> None:
    for model in describe(find_models("resnet1")[:3]):
        check_name(model["name"], pretrained=not model["offline"])


def test_the_whole_list_is_told_at_once() -> None:
    """Every architecture of this timm was counted beforehand."""
    models = describe(find_models())
    assert all(m["parameters"] > 100_000 and m["gflops"] > 0 for m in models)


def test_the_table_fits_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = command("models", "vit_base_patch16_clip*").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "vit_base_patch16_clip_quickgelu_224" in lines, "a long name has a line of its own"
    assert any("86.2M" in line and "17.6" in line and "cc-by-nc-4.0" in line for line in lines)
    assert any(line.startswith("GFLOPs: 1e9 multiply-adds") for line in lines)


def test_an_ensemble_is_listed_as_train_takes_it() -> None:
    """Pain: `models a+b` knew no such model, while `train --model a+b` did."""
    names = find_models("tf_efficientnet_lite0 + resnet18")
    [both] = describe(names)
    assert names == ["tf_efficientnet_lite0+resnet18"] == [both["name"]]
    lite0, resnet = describe(["tf_efficientnet_lite0", "resnet18"])
    for key in ("parameters", "gflops", "megabytes"):
        assert both[key] == pytest.approx(lite0[key] + resnet[key])
    assert (both["input"], both["licence"], both["offline"]) == (224, "apache-2.0", False)
    assert both["weights"] == "ImageNet, installed; from the hub"


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0+cnn", "resnet18+resnat50", "+resnet18"])
def test_an_ensemble_that_train_would_not_take_is_not_listed(name: str) -> None:
    with pytest.raises(UsageError):
        find_models(name)
