"""Activations on the disk are what the frozen stages give, view by view."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.model.network import Normalise
from pizzaiolo.train.activations import Activations, write_activations
from pizzaiolo.train.data import Pictures, evaluation_pictures, load_split, training_pictures

pytestmark = pytest.mark.usefixtures("one_thread")
VIEWS, SHAPE = 3, (4, 8, 8)
PREPROCESS = Preprocess(32, 36)


@pytest.fixture(scope="module")
def prefix() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(4)).eval()


@pytest.fixture(scope="module")
def pictures(tiny_dataset: Dataset) -> tuple[Pictures, Pictures]:
    """The training pictures as they are, and as training changes them."""
    split = load_split(tiny_dataset, "train")
    return (
        evaluation_pictures(split, PREPROCESS),
        training_pictures(split, PREPROCESS, TrainConfig()),
    )


@pytest.fixture(scope="module")
def kept(
    prefix: nn.Module,
    pictures: tuple[Pictures, Pictures],
    tmp_path_factory: pytest.TempPathFactory,
) -> Activations:
    file = tmp_path_factory.mktemp("kept") / "file"
    write_activations(prefix, *pictures, VIEWS, file)
    return Activations(file, pictures[0].targets.tolist(), SHAPE, VIEWS)


def view(data: Activations, place: int, epoch: int) -> torch.Tensor:
    data.epoch.fill_(epoch)
    return data[place][0]


def test_the_first_view_is_the_picture_and_the_others_are_changed(
    kept: Activations, prefix: nn.Module, pictures: tuple[Pictures, Pictures]
) -> None:
    plain, changed = pictures
    for number in range(VIEWS):
        changed.epoch.fill_(number)
        item = (changed if number else plain)[5]
        assert isinstance(item, tuple)
        with torch.no_grad():
            expected = prefix(Normalise(PREPROCESS)(item[0][None]))[0]
        found = view(kept, 5, number + VIEWS - 5 % VIEWS)
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)
        assert found.dtype == torch.float32 and found.shape == SHAPE


def test_as_many_epochs_as_views_show_each_view_once(kept: Activations) -> None:
    for place in range(len(kept)):
        seen = {tuple(view(kept, place, epoch).flatten().tolist()) for epoch in range(1, VIEWS + 1)}
        assert len(seen) == VIEWS


def test_another_draw_in_the_same_epoch_is_another_view(kept: Activations) -> None:
    first, second = view(kept, 2, 1), view(kept, 2 + len(kept), 1)
    assert not torch.equal(first, second)
    assert torch.equal(kept[2][1], kept[2 + len(kept)][1])


def test_the_same_pictures_give_the_same_bytes(
    kept: Activations, prefix: nn.Module, pictures: tuple[Pictures, Pictures], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    write_activations(prefix, *pictures, VIEWS, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == kept.file.read_bytes()
    assert len(kept.file.read_bytes()) == 2 * VIEWS * len(kept) * kept.values
