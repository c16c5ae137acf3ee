"""Training data: every picture named, every draw from the one seed."""

import os
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import DatasetError, PizzaioloError, WorkError
from pizzaiolo.train.data import (
    Pictures,
    Split,
    Transform,
    batches,
    class_counts,
    evaluation_transform,
    load_split,
    training_transform,
)
from pizzaiolo.train.loop import set_epoch

PREPROCESS = Preprocess(32, 36)


@pytest.fixture(scope="module")
def split(tiny_dataset: Dataset) -> Split:
    return load_split(tiny_dataset, "train")


def test_a_split_is_files_and_class_indices(tiny_dataset: Dataset) -> None:
    found = load_split(tiny_dataset, "validation")
    assert found.targets == (0,) * 4 + (1,) * 4 and len(found) == 8
    assert all(file.is_file() for file in found.files)


@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_class_missing_in_a_split_is_named(tiny_dataset: Dataset, name: str) -> None:
    """Pain: labels shift when a split lacks a class."""
    kept = (row for row in tiny_dataset.rows if (row.split, row.label) != (name, "pizza"))
    with pytest.raises(DatasetError, match=f"{name} split has no picture of 'pizza'") as caught:
        load_split(replace(tiny_dataset, rows=tuple(kept)), name)
    assert "prepare" in (caught.value.hint or "")


def test_a_picture_gone_after_prepare_is_named(
    make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path)
    gone = load_split(dataset, "train").files[3]
    gone.unlink()
    with pytest.raises(DatasetError, match=r"1 pictures .* missing, the first is") as caught:
        load_split(dataset, "train")
    assert str(gone) in caught.value.message and caught.value.hint == "run prepare again"


def test_evaluation_is_what_predict_does(split: Split) -> None:
    """Pain: preprocessing that differs between training and inference."""
    found, target = Pictures(split, evaluation_transform(PREPROCESS))[3]
    expected = PREPROCESS.normalise(PREPROCESS.load(split.files[3])[None])[0]
    np.testing.assert_array_equal(found, expected)
    assert target == split.targets[3]


def draws(split: Split, seed: int = 0, epoch: int = 1) -> list[torch.Tensor]:
    data = Pictures(split, training_transform(PREPROCESS), seed)
    data.epoch.fill_(epoch)
    return [data[i][0] for i in range(4)]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_augmentation_depends_on_seed_and_epoch_alone(split: Split) -> None:
    assert same(draws(split), draws(split))
    assert not same(draws(split), draws(split, seed=1))
    assert not same(draws(split), draws(split, epoch=2))
    assert all(x.shape == (3, 32, 32) and x.dtype == torch.float32 for x in draws(split))


def test_the_same_picture_in_another_place_is_drawn_anew(split: Split) -> None:
    """Pain: the same random numbers for every picture."""
    twice = Split((split.files[0],) * 4, split.targets[:4])
    first, *others = draws(twice)
    assert not any(torch.equal(first, other) for other in others)


def test_augmentation_leaves_the_global_generator_alone(split: Split) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    draws(split)
    assert torch.equal(torch.random.get_rng_state(), before)


def two_epochs(split: Split, workers: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    data = Pictures(split, training_transform(PREPROCESS), seed=3)
    loader = batches(data, 6, shuffle_seed=3, workers=workers)
    torch.manual_seed(0)
    found = []
    for epoch in (1, 2):
        set_epoch(loader, epoch)
        found += list(loader)
    return [part for batch in found for part in batch], torch.random.get_rng_state()


def test_batches_do_not_depend_on_the_number_of_processes(split: Split) -> None:
    """Pain: another result with more workers, and the same augmentation in each of them."""
    (alone, after), (many, after_many) = two_epochs(split, 0), two_epochs(split, 2)
    assert same(alone, many) and torch.equal(after, after_many)
    half = len(alone) // 2
    assert not same(alone[:half], alone[half:])


def test_what_loader_processes_get_can_be_sent_to_them(split: Split) -> None:
    """Pain: macOS and Windows start processes afresh and send them everything."""
    data = Pictures(split, training_transform(PREPROCESS), seed=2)
    again = ForkingPickler.loads(ForkingPickler.dumps(data))
    assert torch.equal(again[1][0], data[1][0])
    data.epoch.fill_(9)
    assert int(again.epoch) == 9  # a running process learns of the next epoch


def numbers(count: int) -> TensorDataset:
    return TensorDataset(torch.arange(count), torch.zeros(count))


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(9, 4, [4, 4]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (2, 1, [1, 1])],
)
def test_only_a_last_batch_of_one_is_dropped(count: int, size: int, sizes: list[int]) -> None:
    """Pain: a last batch of one breaks BatchNorm."""
    loader = batches(numbers(count), size, shuffle_seed=0)
    assert [len(x) for x, _ in loader] == sizes and len(loader) == len(sizes)


def test_validation_keeps_all_in_order() -> None:
    found = [x for x, _ in batches(numbers(9), 4, shuffle_seed=None)]
    assert torch.equal(torch.cat(found), torch.arange(9)) and len(found[-1]) == 1


def test_each_epoch_is_another_order_of_the_same_pictures() -> None:
    loader = batches(numbers(20), 20, shuffle_seed=1)
    first, second = (next(iter(loader))[0] for _ in range(2))
    assert not torch.equal(first, second) and torch.equal(first.sort()[0], second.sort()[0])


def fault(data: Pictures, workers: int) -> tuple[type, str, str | None]:
    """The error of reading it all; not the exception itself, which would keep the processes."""
    try:
        list(batches(data, 4, shuffle_seed=None, workers=workers))
    except PizzaioloError as error:
        return type(error), error.message, error.hint
    raise AssertionError("everything could be read")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("transform", [evaluation_transform, training_transform])
def test_a_damaged_picture_is_named_without_a_traceback(
    split: Split, tmp_path: Path, workers: int, transform: Callable[[Preprocess], Transform]
) -> None:
    """Pain: a bad file kills a run, and nobody learns which."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    data = Pictures(Split((*split.files, bad), (*split.targets, 0)), transform(PREPROCESS))
    kind, message, hint = fault(data, workers)
    assert kind is DatasetError and message.startswith(f"{bad} can't be read: ")
    assert "\n" not in message and hint == "run prepare again"


def die(file: Path, generator: torch.Generator) -> torch.Tensor:
    os._exit(1)


def test_a_loader_process_that_dies_is_a_clear_error(split: Split) -> None:
    """Pain: loader processes that hang, or end with a bus error."""
    kind, message, hint = fault(Pictures(split, die), workers=1)
    assert kind is WorkError and "processes that load pictures failed" in message
    assert "--workers 0" in (hint or "")


def test_pictures_per_class() -> None:
    assert class_counts([0, 2, 2], 4) == [1, 0, 2, 0]
