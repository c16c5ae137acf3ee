"""The grid of training pictures: exactly what training draws, named, and readable."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import DatasetError, StorageError, UsageError
from pizzaiolo.train.augment import mix, seeded
from pizzaiolo.train.data import Split, evaluation_pictures, load_split, training_pictures
from pizzaiolo.train.show import batch_grid, show_batch

PREPROCESS = Preprocess(96, 96)  # shown pixel by pixel
NAMES = ("not_pizza", "pizza")
CONFIG = TrainConfig(augment="trivial", erase=0.5, seed=3)


@pytest.fixture(scope="module")
def split(tiny_dataset: Dataset) -> Split:
    whole = load_split(tiny_dataset, "train")
    return Split(whole.files[9:12], whole.targets[9:12])  # of the classes 0, 1, 1


def shows(grid: NDArray[np.uint8], picture: NDArray[np.uint8]) -> bool:
    """Whether the grid holds the picture, pixel by pixel."""
    side = picture.shape[0]
    starts = (grid[: 1 - side, : 1 - side] == picture[0, 0]).all(2)
    return any(
        np.array_equal(grid[y : y + side, x : x + side], picture)
        for y, x in np.argwhere(starts).tolist()
    )


def test_a_row_is_a_picture_as_served_and_as_each_epoch_sees_it(split: Split) -> None:
    grid = batch_grid(split, PREPROCESS, CONFIG, NAMES, rows=3, draws=2)
    assert grid.dtype == np.uint8 and grid.ndim == 3 and grid.shape[2] == 3
    served = evaluation_pictures(split, PREPROCESS)
    training = training_pictures(split, PREPROCESS, CONFIG)
    for place in range(3):
        assert shows(grid, served[place][0].numpy())
        for epoch, shown in ((1, True), (2, True), (3, False)):
            training.epoch.fill_(epoch)
            assert shows(grid, training[place][0].numpy()) == shown


@pytest.mark.parametrize("mixing", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_mixtures_are_shown_as_the_network_gets_them(
    split: Split, mixing: dict[str, float]
) -> None:
    two = Split(split.files[:2], split.targets[:2])
    config = TrainConfig(seed=3, **mixing)
    grid = batch_grid(two, PREPROCESS, config, NAMES, rows=2, draws=1)
    training = training_pictures(two, PREPROCESS, config)
    training.epoch.fill_(1)
    # Of two pictures each is the other's neighbour, in any order.
    pictures = torch.stack([training[i][0] for i in range(2)]).permute(0, 3, 1, 2).float()
    mixed, _ = mix(pictures, torch.tensor([0, 1]), 2, config, seeded(3, 1, 0))
    for picture in mixed.round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
        assert shows(grid, picture)
    plain = batch_grid(two, PREPROCESS, TrainConfig(seed=3), NAMES, rows=2, draws=1)
    assert not np.array_equal(grid, plain)


def test_recipe_head_sees_no_augmentation(split: Split) -> None:
    config = TrainConfig(recipe="head", augment="rand", mixup=1.0)
    grid = batch_grid(split, PREPROCESS, config, NAMES, rows=2, draws=2)
    served = evaluation_pictures(split, PREPROCESS)
    assert all(shows(grid, served[place][0].numpy()) for place in range(3))


def test_the_classes_take_turns(tiny_dataset: Dataset) -> None:
    whole = load_split(tiny_dataset, "train")
    grid = batch_grid(whole, PREPROCESS, TrainConfig(augment="none"), NAMES, rows=2, draws=0)
    served = evaluation_pictures(whole, PREPROCESS)
    seen = {int(y) for x, y in (served[i] for i in range(len(whole))) if shows(grid, x.numpy())}
    assert seen == {0, 1}


@pytest.mark.parametrize("name", ["batch.png", "batch.JPG", "new/folder/batch.webp"])
def test_the_file_is_a_picture_and_the_same_each_time(
    split: Split, tmp_path: Path, name: str
) -> None:
    files = [tmp_path / part / name for part in "ab"]
    for file in files:
        show_batch(split, Preprocess(32, 36), CONFIG, NAMES, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(files[0]) as image:
        assert image.mode == "RGB" and image.width > 8 * 96


@pytest.mark.parametrize("name", ["batch", "batch.gif", "batch.txt"])
def test_another_kind_of_file_is_refused(split: Split, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"expected \.png") as caught:
        show_batch(split, PREPROCESS, CONFIG, NAMES, tmp_path / name)
    assert "--show-batch" in (caught.value.hint or "") and list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_a_clear_error(split: Split, tmp_path: Path) -> None:
    (tmp_path / "batch.png").mkdir()
    with pytest.raises(StorageError, match="is a folder"):
        show_batch(split, Preprocess(32, 36), CONFIG, NAMES, tmp_path / "batch.png")


def test_a_picture_damaged_after_prepare_is_named(split: Split, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    broken = Split((*split.files, bad), (*split.targets, 0))
    with pytest.raises(DatasetError, match=r"bad\.jpg can't be read"):
        show_batch(broken, PREPROCESS, CONFIG, NAMES, tmp_path / "batch.png")
    assert not (tmp_path / "batch.png").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("x" * 5000, "margherita " * 40),
        ("Маргарита", "ピザ"),
        ("a\nb\tc", "\udcff\x00"),
        ("", " "),
    ],
)
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_any_class_name_can_be_shown(split: Split, names: tuple[str, ...], mixup: float) -> None:
    config = TrainConfig(seed=1, mixup=mixup)
    usual = batch_grid(split, PREPROCESS, config, NAMES, rows=2, draws=1)
    assert batch_grid(split, PREPROCESS, config, names, rows=2, draws=1).shape == usual.shape


def test_class_names_stand_in_the_grid(split: Split) -> None:
    grids = [
        batch_grid(split, PREPROCESS, TrainConfig(), names, rows=3, draws=1)
        for names in (NAMES, ("burger", "pizza"), ("Маргарита", "pizza"), ("Карбонара", "pizza"))
    ]
    assert len({grid.tobytes() for grid in grids}) == 4


def test_a_thousand_classes_of_one_picture(split: Split) -> None:
    many = Split(split.files[:1] * 1000, tuple(range(1000)))
    names = [f"class {i}" for i in range(1000)]
    config = TrainConfig(augment="none", cutmix=1.0)
    assert batch_grid(many, Preprocess(32, 32), config, names, rows=3, draws=1).any()
