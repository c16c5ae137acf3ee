"""What `pizzaiolo models` lists."""

from pathlib import Path

import pytest

from pizzaiolo.errors import UsageError
from pizzaiolo.model import catalogue
from pizzaiolo.model.backbones import OFFLINE_CHOICES, check_name
from pizzaiolo.model.catalogue import describe, find_models


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


def test_train_takes_what_is_listed() -> None:
    for model in describe(find_models("resnet1")[:3]):
        check_name(model["name"], pretrained=not model["offline"])


def test_parameters_are_the_published_numbers() -> None:
    resnet, lite0 = describe(("resnet18", "tf_efficientnet_lite0"))
    assert (resnet["parameters"], resnet["megabytes"]) == (11_689_512, 46.8)
    assert lite0["parameters"] == 4_652_008


def test_they_are_counted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path))
    first = describe(("cnn", "resnet18"))
    monkeypatch.setattr(catalogue, "_count", None)
    assert describe(("resnet18", "cnn")) == first[::-1]


def test_a_damaged_cache_is_counted_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path))
    first = describe(["cnn"])
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    assert describe(["cnn"]) == first


def test_a_cache_that_cannot_be_written_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "file"))
    assert describe(["cnn"])[0]["parameters"] > 1_000_000
