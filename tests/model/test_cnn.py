"""Our own CNN: its shapes can be followed by eye."""

import pytest
import torch

from pizzaiolo.model.cnn import WIDTHS, ConvStage, SmallCNN

pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_stage_doubles_the_channels_and_halves_the_sides() -> None:
    network, maps = SmallCNN().eval(), torch.zeros(2, 3, 128, 128)
    for stage, width, side in zip(network.stages, WIDTHS, (64, 32, 16, 8), strict=True):
        maps = stage(maps)
        assert maps.shape == (2, width, side, side)
    assert network(torch.zeros(2, 3, 128, 128)).shape == (2, WIDTHS[-1])


@pytest.mark.parametrize("size", [32, 100, 224])
def test_any_size_gives_the_same_embedding_width(size: int) -> None:
    assert SmallCNN().eval()(torch.zeros(1, 3, size, size)).shape == (1, WIDTHS[-1])


def test_it_is_small_enough_to_be_read_and_trained_anywhere() -> None:
    assert sum(p.numel() for p in SmallCNN().parameters()) < 1_500_000


def test_dropout_is_off_when_it_answers() -> None:
    network, pictures = SmallCNN(dropout=0.9).eval(), torch.rand(2, 3, 32, 32)
    assert torch.equal(network(pictures), network(pictures))


def test_every_parameter_learns() -> None:
    network = SmallCNN(dropout=0)
    network(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_stage_alone() -> None:
    assert ConvStage(3, 5).eval()(torch.zeros(1, 3, 9, 7)).shape == (1, 5, 4, 3)
