"""Training data: the prepared copies as tensors, in mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, TensorDataset, default_collate
from torch.utils.data import Dataset as TorchDataset

from ..core.image import read_image
from ..core.manifest import Dataset, Row
from ..core.preprocess import Preprocess
from ..errors import DatasetError, ImageError, PizzaioloError, WorkError
from ..model.features import damaged, read_pixels
from ..model.torchvision_fix import ensure_torchvision

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Path, torch.Generator], Tensor]


@dataclass(frozen=True)
class Split:
    """The pictures of one split: files and class indices, in the manifest's order."""

    files: tuple[Path, ...]
    targets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)


def load_split(dataset: Dataset, name: str) -> Split:
    """A split of the data set; raises `DatasetError` where a class or a file is missing."""
    rows: list[Row] = dataset.split(name)
    missing = sorted(set(dataset.labels.names) - {row.label for row in rows})
    if missing:
        raise DatasetError(
            f"the {name} split has no picture of {', '.join(map(repr, missing))}",
            hint="prepare the data set again with more pictures or other --ratios",
        )
    files = tuple(dataset.picture(row) for row in rows)
    gone = [file for file in files if not file.is_file()]
    if gone:
        raise DatasetError(
            f"{len(gone)} pictures of the data set are missing, the first is {gone[0]}",
            hint="run prepare again",
        )
    return Split(files, tuple(dataset.labels.index(row.label) for row in rows))


def evaluation_transform(preprocess: Preprocess) -> Transform:
    """What predict and serve do: a file becomes float [3, H, W]."""
    return partial(_plain, preprocess)


def _plain(preprocess: Preprocess, file: Path, _: torch.Generator) -> Tensor:
    pixels = read_pixels(file, preprocess)
    return torch.from_numpy(preprocess.normalise(pixels[None])[0])


def training_transform(preprocess: Preprocess) -> Transform:
    """Random crop, flip and colours, then the same normalisation: a file becomes [3, H, W]."""
    _augmentation(preprocess.size)  # loads torchvision here and not in every loader process
    return partial(_augmented, preprocess)


def _augmented(preprocess: Preprocess, file: Path, generator: torch.Generator) -> Tensor:
    try:
        picture = read_image(file)
    except ImageError as error:
        raise damaged(file, error) from None
    augment = _augmentation(preprocess.size)
    # torchvision draws from the global generator; a fork keeps the rest of training apart.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        pixels = np.asarray(augment(picture), dtype=np.uint8)
    return torch.from_numpy(preprocess.normalise(pixels[None])[0])


@cache
def _augmentation(size: int) -> Callable[[Any], Any]:
    ensure_torchvision()
    from torchvision.transforms import v2

    augment: Callable[[Any], Any] = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.35, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
        ]
    )
    return augment


class Pictures(TorchDataset[Batch | PizzaioloError]):
    """Pictures of a split as (float [3, H, W], class index), a bad one as its error.

    What is random about a picture depends on the seed, the epoch and its place alone, so it is
    the same with any number of loader processes.
    """

    def __init__(self, split: Split, transform: Transform, seed: int = 0) -> None:
        self.files = [str(file) for file in split.files]
        self.targets = torch.tensor(split.targets)
        self.transform = transform
        self.seed = seed
        self.epoch = torch.zeros(1, dtype=torch.int64)
        self.epoch.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Batch | PizzaioloError:
        generator = torch.Generator()
        generator.manual_seed(hash((self.seed, int(self.epoch), index)) & (2**63 - 1))
        try:
            return self.transform(Path(self.files[index]), generator), self.targets[index]
        except PizzaioloError as error:  # raised in a loader process it would become a traceback
            return error


class Loader(DataLoader[Any]):
    """A DataLoader whose faults are errors that a person can read."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            for batch in super().__iter__():
                if isinstance(batch, PizzaioloError):
                    try:
                        raise batch
                    finally:  # a cycle through its traceback would keep the processes for seconds
                        del batch
                yield batch
        except RuntimeError as error:
            if not self.num_workers:
                raise
            reason = str(error).splitlines()[0]
            raise WorkError(
                f"the processes that load pictures failed: {reason}",
                hint="--workers 0 loads them in this process, without shared memory",
            ) from error


def _collate(items: list[Any]) -> Any:
    bad = [item for item in items if isinstance(item, PizzaioloError)]
    return bad[0] if bad else default_collate(items)


def batches(
    data: Pictures | TensorDataset, size: int, *, shuffle_seed: int | None, workers: int = 0
) -> Loader:
    """Mini-batches; shuffled by the seed in training, in order elsewhere.

    A last batch of one is dropped in training: BatchNorm has no variance of one picture.
    """
    sampler = None
    if shuffle_seed is not None:
        sampler = RandomSampler(data, generator=torch.Generator().manual_seed(shuffle_seed))
    return Loader(
        data,
        batch_size=size,
        sampler=sampler,
        drop_last=sampler is not None and len(data) > size and len(data) % size == 1,
        collate_fn=_collate,
        # Its own, from which it draws as often as it starts processes: neither the order nor
        # the weights depend on their number.
        generator=torch.Generator(),
        num_workers=workers,
        persistent_workers=workers > 0,
        timeout=120 if workers else 0,
    )


def class_counts(targets: Sequence[int], classes: int) -> list[int]:
    """Pictures per class."""
    return [int(n) for n in np.bincount(np.asarray(targets), minlength=classes)]
