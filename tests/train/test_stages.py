"""Cutting a network: the two parts are the whole, and training the second trains the network."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.model.backbones import create_backbone
from pizzaiolo.train.stages import SHARE, Cut, cut

pytestmark = pytest.mark.usefixtures("one_thread")
FAMILIES = {
    "tf_efficientnet_lite0": 64,
    "mobilenetv3_small_050": 64,
    "resnet18": 64,
    "vgg11_bn": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 64,
    "deit_tiny_distilled_patch16_224": 64,
}
MANY = 10**6  # values


def block(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Row(nn.Module):
    """Blocks in a row; `wrong` changes what runs between them."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong, self.ran = wrong, 0
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(block(8) for _ in range(4))
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.last.register_forward_hook(self.count)

    def count(self, *_: object) -> None:
        self.ran += 1

    def forward(self, x: Tensor) -> Tensor:
        first = x.mean() if self.wrong == "looks back" else 0
        x = self.stem(x)
        for one in self.blocks:
            x = one(x) * (2 if self.wrong == "works between" else 1)
        x = self.last(x) + first
        return x.mean((2, 3))


def made(network: nn.Module, side: int = 32, most: int = MANY) -> Cut:
    found = cut(network, side, most)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def backbone() -> Callable[[str], nn.Module]:
    """A backbone with random weights, in evaluation mode."""

    def make(name: str) -> nn.Module:
        torch.manual_seed(0)
        return create_backbone(name, pretrained=False, size=FAMILIES[name]).eval()

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_one_part_after_the_other_is_the_backbone(
    name: str, backbone: Callable[[str], nn.Module]
) -> None:
    network, side = backbone(name), FAMILIES[name]
    found, pictures = made(network, side), torch.rand(3, 3, side, side)
    with torch.no_grad():
        activations = found.prefix(pictures)
        assert tuple(activations.shape[1:]) == found.shape
        torch.testing.assert_close(found.tail(activations), network(pictures), rtol=1e-3, atol=1e-4)
    assert 0 < found.share <= SHARE
    whole = network.state_dict(keep_vars=True)
    part = found.tail.state_dict(keep_vars=True)
    assert part and all(whole[key] is tensor for key, tensor in part.items())
    assert len(part) < len(whole)


def test_a_cut_leaves_the_network_as_it_was() -> None:
    network = Row().train()
    before, state = str(network), torch.get_rng_state()
    found = made(network)
    assert str(network) == before and network.training and network.stem.training
    assert torch.equal(torch.get_rng_state(), state)
    found.tail.eval()
    assert network.last.training, "the parts have modes of their own"


def test_training_the_tail_trains_the_backbone_and_leaves_the_prefix() -> None:
    network, pictures = Row(), torch.rand(2, 3, 32, 32)
    found = made(network)
    frozen = [p for p in network.parameters() if all(p is not q for q in found.tail.parameters())]
    before = [p.clone() for p in network.parameters()]
    with torch.no_grad():
        activations = found.prefix(pictures)
    found.tail(activations).sum().backward()
    torch.optim.SGD(found.tail.parameters(), lr=0.1).step()
    changed = [
        p for p, old in zip(network.parameters(), before, strict=True) if not torch.equal(p, old)
    ]
    assert changed and all(p.grad is None for p in frozen)
    with torch.no_grad():
        assert torch.equal(found.prefix(pictures), activations)
        torch.testing.assert_close(found.tail.eval()(activations), network.eval()(pictures))


def test_nothing_behind_the_prefix_runs() -> None:
    network = Row()
    found = made(network)
    network.ran = 0
    found.prefix(torch.rand(1, 3, 32, 32))
    assert network.ran == 0


def test_the_tail_is_the_largest_that_is_cheap_enough() -> None:
    """Of the multiply-adds the stem has 3 parts, each block and the last convolution have 8."""
    found = made(Row())
    assert found.after == "blocks.3.0" and found.share == pytest.approx(8 / 43)


@pytest.mark.parametrize("wrong", ["looks back", "works between"])
def test_a_network_that_is_no_row_of_parts_is_not_cut(wrong: str) -> None:
    assert cut(Row(wrong), 32, MANY) is None


def test_a_tail_without_anything_to_train_is_none() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert cut(network, 32, MANY) is None


def test_an_ensemble_is_not_cut() -> None:
    network = create_backbone("mobilenetv3_small_050+convnext_atto", pretrained=False)
    assert cut(network, 32, MANY) is None


def test_activations_are_kept_under_the_bound() -> None:
    network = Row()
    assert cut(network, 32, 8 * 32 * 32 - 1) is None
    assert made(network, 32, 8 * 32 * 32).shape == (8, 32, 32)
    lite0 = create_backbone("tf_efficientnet_lite0", pretrained=False)
    first, later = made(lite0, 64), made(lite0, 64, most=800)
    assert math.prod(later.shape) <= 800 and later.share <= first.share
