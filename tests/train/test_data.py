"""Training data: every picture named, every draw from the one seed."""

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import DatasetError, PizzaioloError, WorkError
from pizzaiolo.model.network import Normalise
from pizzaiolo.train.data import (
    Loader,
    Pictures,
    Split,
    batches,
    evaluation_pictures,
    load_split,
    training_pictures,
    worker_faults,
)
from pizzaiolo.train.sampling import class_counts, sampling_weights

PREPROCESS = Preprocess(32, 36)
LIGHT = TrainConfig()


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


def test_of_many_missing_classes_a_few_are_named(tiny_dataset: Dataset) -> None:
    names = ("not_pizza", "pizza", *(f"class_{i:03}" for i in range(998)))
    many = replace(tiny_dataset, labels=Labels(names))
    with pytest.raises(DatasetError, match=r"'class_004' and 993 more classes$"):
        load_split(many, "train")


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
    data = evaluation_pictures(split, PREPROCESS)
    pictures, targets = next(iter(batches(data, 4, shuffle_seed=None)))
    served = np.stack([PREPROCESS.load(file) for file in split.files[:4]])
    assert torch.equal(pictures, Normalise(PREPROCESS)(torch.from_numpy(served)))
    assert targets.tolist() == list(split.targets[:4])


def draws(split: Split, seed: int = 0, epoch: int = 1) -> list[torch.Tensor]:
    data = training_pictures(split, PREPROCESS, TrainConfig(seed=seed))
    data.epoch.fill_(epoch)
    return [data[i][0] for i in range(4)]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_augmentation_depends_on_seed_and_epoch_alone(split: Split) -> None:
    assert same(draws(split), draws(split))
    assert not same(draws(split), draws(split, seed=1))
    assert not same(draws(split), draws(split, epoch=2))
    assert all(x.shape == (32, 32, 3) and x.dtype == torch.uint8 for x in draws(split))


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
    data = training_pictures(split, PREPROCESS, TrainConfig(seed=3))
    loader = batches(data, 6, shuffle_seed=3, workers=workers)
    torch.manual_seed(0)
    found = []
    for epoch in (1, 2):
        loader.set_epoch(epoch)
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
    data = training_pictures(split, PREPROCESS, TrainConfig(seed=2))
    again = ForkingPickler.loads(ForkingPickler.dumps(data))
    assert torch.equal(again[1][0], data[1][0])
    data.epoch.fill_(9)
    assert int(again.epoch) == 9  # a running process learns of the next epoch


def die(file: Path, generator: torch.Generator) -> torch.Tensor:
    os._exit(1)


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


def first_batch(loader: Loader, epoch: int, start_batch: int = 0) -> torch.Tensor:
    loader.set_epoch(epoch, start_batch)
    found: torch.Tensor = next(iter(loader))[0]
    return found


def test_each_epoch_is_another_order_of_the_same_pictures() -> None:
    loader = batches(numbers(20), 20, shuffle_seed=1)
    first, second = (first_batch(loader, epoch) for epoch in (1, 2))
    assert not torch.equal(first, second) and torch.equal(first.sort()[0], second.sort()[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_has_the_batches_that_were_left(split: Split, workers: int) -> None:
    """Pain: resume that sees other pictures than the run that was cut off."""
    data = training_pictures(split, PREPROCESS, TrainConfig(seed=5))
    loader = batches(data, 6, shuffle_seed=5, workers=workers)
    loader.set_epoch(2)
    whole = list(loader)
    loader.set_epoch(7)
    next(iter(loader))  # a run that is cut off in the middle of an epoch
    loader.set_epoch(2, start_batch=1)
    rest = list(loader)
    assert len(rest) == len(whole) - 1 == 3
    assert all(same(list(a), list(b)) for a, b in zip(rest, whole[1:], strict=True))
    assert len(loader) == len(whole)


def test_weighted_draws_balance_the_classes() -> None:
    targets = [0] * 900 + [1] * 90 + [2] * 10
    loader = batches(
        TensorDataset(torch.tensor(targets), torch.zeros(1000)),
        100,
        shuffle_seed=0,
        weights=sampling_weights(targets, 3),
    )
    orders = [torch.cat([x for x, _ in loader]), torch.cat([x for x, _ in loader])]
    assert torch.equal(*orders)
    loader.set_epoch(1)
    orders.append(torch.cat([x for x, _ in loader]))
    assert not torch.equal(*orders[1:])
    for order in orders:
        assert all(280 < n < 390 for n in class_counts(order.tolist(), 3)) and len(order) == 1000


def test_a_picture_drawn_again_in_an_epoch_looks_different(split: Split) -> None:
    data = training_pictures(split, PREPROCESS, TrainConfig(seed=1))
    only = torch.zeros(len(split))
    only[3] = 1.0
    loader = batches(data, 20, shuffle_seed=1, weights=only)
    pictures, targets = next(iter(loader))
    assert targets.tolist() == [split.targets[3]] * 20
    assert len({picture.numpy().tobytes() for picture in pictures}) == 20


def test_pictures_keep_their_names(tmp_path: Path) -> None:
    files = [Path("a"), tmp_path / "b c/pizza_ß_🍕.jpg", Path("d\udcff.png")]
    data = Pictures(Split(tuple(files), (0, 1, 0)), PREPROCESS, die)
    assert [data.files[i] for i in range(3)] == files and len(data.files) == 3


def test_one_picture_of_each_class_is_enough(split: Split) -> None:
    few = Split(split.files[::10], split.targets[::10])
    assert few.targets == (0, 1)
    config = TrainConfig(seed=1)
    loader = batches(
        training_pictures(few, PREPROCESS, config), 32, shuffle_seed=1,
        weights=sampling_weights(few.targets, 2),
    )  # fmt: skip
    ((pictures, targets),) = loader
    assert pictures.shape == (2, 3, 32, 32) and len(targets) == 2


def test_batches_are_channels_last_floats(split: Split) -> None:
    """Convolutions on the CPU are several times faster so."""
    pictures, _ = next(iter(batches(evaluation_pictures(split, PREPROCESS), 4, shuffle_seed=None)))
    assert pictures.dtype == torch.float32 and pictures.shape == (4, 3, 32, 32)
    assert pictures.is_contiguous(memory_format=torch.channels_last)


def fault(data: Pictures, workers: int) -> tuple[type, str, str | None]:
    """The error of reading it all; not the exception itself, which would keep the processes."""
    try:
        list(batches(data, 4, shuffle_seed=None, workers=workers))
    except PizzaioloError as error:
        return type(error), error.message, error.hint
    raise AssertionError("everything could be read")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("make", [evaluation_pictures, partial(training_pictures, config=LIGHT)])
def test_a_damaged_picture_is_named_without_a_traceback(
    split: Split, tmp_path: Path, workers: int, make: Callable[..., Pictures]
) -> None:
    """Pain: a bad file kills a run, and nobody learns which."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    data = make(Split((*split.files, bad), (*split.targets, 0)), PREPROCESS)
    kind, message, hint = fault(data, workers)
    assert kind is DatasetError and message.startswith(f"{bad} can't be read: ")
    assert "\n" not in message and hint == "run prepare again"


def test_a_loader_process_that_dies_is_a_clear_error(split: Split) -> None:
    """Pain: loader processes that hang, or end with a bus error."""
    kind, message, hint = fault(Pictures(split, PREPROCESS, die), workers=1)
    assert kind is WorkError and "processes that load pictures failed" in message
    assert "--workers 0" in (hint or "")


def test_a_machine_without_room_for_processes_is_a_clear_error(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    kind, message, hint = fault(evaluation_pictures(split, PREPROCESS), workers=1)
    assert kind is WorkError and "Resource temporarily unavailable" in message
    assert "--workers 0" in (hint or "")


def die_late(file: Path, generator: torch.Generator) -> torch.Tensor:
    if file.name == "9":
        os.kill(os.getpid(), signal.SIGKILL)
    return torch.zeros(32, 32, 3, dtype=torch.uint8)


def kept_busy() -> tuple[type, str, str | None]:
    """The error of a loader process that is killed while its earlier batches are in use."""
    data = Pictures(Split(tuple(Path(str(i)) for i in range(10)), (0,) * 10), PREPROCESS, die_late)
    try:
        with worker_faults():
            for number, _ in enumerate(batches(data, 2, shuffle_seed=None, workers=1)):
                until = time.monotonic() + 10
                while number == 2 and time.monotonic() < until:
                    pass  # two batches ahead, the last one is being loaded
    except PizzaioloError as error:
        return type(error), error.message, error.hint
    raise AssertionError("nothing failed")


def test_a_loader_process_killed_in_the_middle_of_a_step_is_a_clear_error() -> None:
    """Pain: the kernel kills one for its memory while the network computes."""
    kind, message, hint = kept_busy()
    assert kind is WorkError and "processes that load pictures failed" in message
    assert "--workers 0" in (hint or "")


def test_other_faults_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes") as caught, worker_faults():
        raise RuntimeError("shapes differ")
    assert not isinstance(caught.value, PizzaioloError)
