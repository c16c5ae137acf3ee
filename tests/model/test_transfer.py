"""A person's weights become the start of a network, whole or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.bundle import save_pt
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.model.define import Definition, define
from pizzaiolo.model.torchvision_fix import timm
from toy_network import Own

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = "mobilenetv3_small_050"
CONFIG = TrainConfig(model=SMALL, size=32, recipe="finetune")
Start = Callable[..., Definition]
State = dict[str, torch.Tensor]


def trained(name: str, classes: int = 1000, **options: object) -> nn.Module:
    """timm's network with its layer of classes, no number in it as a random start draws it."""
    network: nn.Module = timm().create_model(name, num_classes=classes, **options)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def published() -> State:
    torch.manual_seed(1)
    return trained(SMALL).state_dict()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Defines a model that starts from a state."""

    def start(content: object, config: TrainConfig = CONFIG, **options: object) -> Definition:
        torch.save(content, tmp_path / "own.pth")
        config = replace(config, weights=str(tmp_path / "own.pth"))
        return define(config, 3, **options)  # type: ignore[arg-type]

    return start


def holds(backbone: nn.Module, state: State) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "model.backbone."])
def test_the_backbone_is_the_files_and_the_layer_of_classes_is_new(
    start: Start, published: State, prefix: str
) -> None:
    made = start({"state_dict": {prefix + name: t for name, t in published.items()}})
    assert holds(made.network.backbone, published) and made.pretrained
    assert made.weights_licence == "unknown (your file own.pth)"
    assert made.network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_a_layer_of_as_many_classes_is_taken_too(start: Start) -> None:
    state = trained(SMALL, classes=3).state_dict()
    made = start(state)
    assert torch.equal(made.network.head.weight, state["classifier.weight"])
    assert torch.equal(made.network.head.bias, state["classifier.bias"])


def test_a_file_of_old_without_counters_of_batches_fits(start: Start, published: State) -> None:
    old = {k: v for k, v in published.items() if not k.endswith("num_batches_tracked")}
    assert start(old).network.backbone.bn1.num_batches_tracked == 0


def test_weights_of_half_precision_start_in_full(start: Start, published: State) -> None:
    made = start({k: v.half() if v.is_floating_point() else v for k, v in published.items()})
    assert {p.dtype for p in made.network.parameters()} == {torch.float32}


@pytest.mark.parametrize(("name", "size"), [("resnet10t", 32), ("vit_tiny_patch16_224", 224)])
def test_a_model_file_of_ours_starts_another_training(tmp_path: Path, name: str, size: int) -> None:
    """Pain: what one tool wrote it can't take as a start itself."""
    config = TrainConfig(model=name, size=size, pretrained=False, recipe="finetune")
    first = define(config, 2)
    card = Card(Labels(("a", "b")), first.preprocess, first.architecture, weights_licence="MIT")
    state = first.network.state_dict()
    save_pt(tmp_path / "model.pt", card, state)
    made = define(replace(config, weights=str(tmp_path / "model.pt")), 5)
    assert holds(made.network.backbone, {k.removeprefix("backbone."): v for k, v in state.items()})
    assert made.network.head.out_features == 5
    assert made.weights_licence == "MIT, by way of your file model.pt"


@pytest.mark.parametrize("classes", [3, 5])
def test_the_classes_that_a_trained_model_of_ours_knows_go_on(tmp_path: Path, classes: int) -> None:
    torch.manual_seed(0)
    config = TrainConfig(model="tf_efficientnet_lite0", size=32, recipe="head")
    earlier = define(config, 3)
    nn.init.normal_(earlier.network.head.knowing.weight)  # type: ignore[union-attr,arg-type]
    state = earlier.network.state_dict()
    card = Card(Labels(("a", "b", "c")), earlier.preprocess, earlier.architecture)
    save_pt(tmp_path / "model.pt", card, state)
    torch.manual_seed(1)
    made = define(replace(config, weights=str(tmp_path / "model.pt")), classes)
    assert made.architecture == earlier.architecture
    own = {
        k for k, v in made.network.head.state_dict().items() if torch.equal(v, state[f"head.{k}"])
    }
    known = {"own.0.weight", "own.0.bias"}
    assert own == (
        known | {"linear.weight", "linear.bias", "knowing.weight"} if classes == 3 else known
    )


def test_embeddings_of_positions_are_resized_to_the_input(start: Start) -> None:
    state = trained("vit_tiny_patch16_224", img_size=64).state_dict()
    config = replace(CONFIG, model="vit_tiny_patch16_224", size=96)
    backbone = start(state, config).network.backbone
    assert backbone.pos_embed.shape[1] == 1 + 6 * 6
    assert torch.equal(backbone.patch_embed.proj.weight, state["patch_embed.proj.weight"])


def test_our_cnn_and_a_persons_module_start_from_files_too(start: Start) -> None:
    first = define(TrainConfig(model="cnn", size=32), 3).network
    made = start(first.state_dict(), replace(CONFIG, model="cnn"))
    assert holds(made.network, first.state_dict()) and made.pretrained
    own = Own(3)
    assert holds(start({"module.layer.weight": own.layer.weight,
                        "module.layer.bias": own.layer.bias}, network=Own).network.backbone,
                 own.state_dict())  # fmt: skip


def test_of_a_persons_module_only_the_number_of_classes_may_differ(start: Start) -> None:
    made = start(Own(7).state_dict(), network=Own)
    assert made.network(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    with pytest.raises(InputError, match=r"1 of another shape \(first 'layer.weight'"):
        start(Own(7).state_dict() | {"layer.weight": torch.zeros(7, 4)}, network=Own)


def test_a_file_that_does_not_fit_says_how_many_and_the_first(
    start: Start, published: State
) -> None:
    state = dict(published)
    del state["conv_stem.weight"]
    state |= {"oven.weight": torch.zeros(1), "bn1.weight": torch.zeros(3)}
    with pytest.raises(InputError) as caught:
        start(state)
    assert (
        f"do not fit the model '{SMALL}': of {len(state)} tensors "
        "1 missing (first 'conv_stem.weight'), 1 unexpected (first 'oven.weight'), "
        "1 of another shape (first 'bn1.weight': [3], expected [16])"
    ) in caught.value.message


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "tf_efficientnet_lite0"])
def test_weights_of_another_architecture_name_the_right_one(start: Start, name: str) -> None:
    with pytest.raises(InputError, match=f"do not fit the model '{SMALL}'") as caught:
        start(trained(name).state_dict())
    assert caught.value.hint == f"they fit --model {name}"


def test_a_checkpoint_that_names_its_architecture_is_believed(start: Start) -> None:
    with pytest.raises(InputError) as caught:
        start({"arch": "resnet10t", "state_dict": trained("resnet10t").state_dict()})
    assert caught.value.hint == "the file says that it is --model resnet10t"


def test_weights_of_nothing_known_say_what_is_needed(start: Start) -> None:
    with pytest.raises(InputError) as caught:
        start({"oven": torch.zeros(1)})
    assert "has to name the file's own architecture" in (caught.value.hint or "")


def test_a_random_start_from_a_file_is_a_contradiction(start: Start, published: State) -> None:
    with pytest.raises(UsageError, match="scratch starts at random") as caught:
        start(published, replace(CONFIG, recipe="scratch"))
    assert "--recipe finetune" in (caught.value.hint or "")


def test_published_weights_are_not_fetched_beside_a_file(start: Start, published: State) -> None:
    assert start(published, replace(CONFIG, pretrained=True)).pretrained
