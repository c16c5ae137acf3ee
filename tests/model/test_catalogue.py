"""What `pizzaiolo models` lists."""

import pytest

from pizzaiolo.errors import UsageError
from pizzaiolo.model.backbones import OFFLINE_CHOICES, check_name
from pizzaiolo.model.catalogue import find_models


def test_the_offline_ones_come_first() -> None:
    names = [m["name"] for m in find_models()]
    assert set(names[:4]) == set(OFFLINE_CHOICES) and len(names) == len(set(names)) > 500


@pytest.mark.parametrize("pattern", ["lite0", "tf_*lite0", "*lite?", "LITE0"])
def test_part_of_a_name_and_wildcards_find_it(pattern: str) -> None:
    assert "tf_efficientnet_lite0" in [m["name"] for m in find_models(pattern)]


def test_nothing_found_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no model is called 'resnat18'") as caught:
        find_models("resnat18")
    assert "'resnet18'" in (caught.value.hint or "")


def test_each_says_where_its_weights_come_from() -> None:
    found = {m["name"]: m for m in find_models()}
    lite0, resnet, cnn = (found[n] for n in ("tf_efficientnet_lite0", "resnet18", "cnn"))
    assert lite0["offline"] and lite0["input"] == 224 and "installed" in lite0["weights"]
    assert not resnet["offline"] and resnet["weights"] == "from the hub"
    assert cnn["offline"] and cnn["weights"] == "random start"


def test_train_takes_what_is_listed() -> None:
    for model in find_models("resnet1")[:5]:
        check_name(model["name"], pretrained=not model["offline"])
