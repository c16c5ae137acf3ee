"""Training data: the prepared copies as tensors, in mini-batches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torch.utils.data import Dataset as TorchDataset

from ..config import TrainConfig
from ..core.manifest import Dataset, Row
from ..core.preprocess import Preprocess
from ..core.shards import Layout, absent, shown
from ..errors import DatasetError, PizzaioloError, WorkError
from ..model.network import Normalise
from .augment import Transform, evaluation_transform, seeded, training_transform
from .sampling import EpochSampler, Stream

Batch = tuple[Tensor, Tensor]
NAMED = 5  # classes that an error names


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
    places = {label: place for place, label in enumerate(dataset.labels.names)}
    missing = sorted(places.keys() - {row.label for row in rows})
    if missing:
        more = f" and {len(missing) - NAMED} more classes" if len(missing) > NAMED else ""
        raise DatasetError(
            f"the {name} split has no picture of {', '.join(map(repr, missing[:NAMED]))}{more}",
            hint="prepare the data set again with more pictures or other --ratios",
        )
    files = tuple(dataset.picture(row) for row in rows)
    gone = absent(files)
    if gone:
        raise DatasetError(
            f"{len(gone)} pictures of the data set are missing, the first is {shown(gone[0])}",
            hint="run prepare again",
        )
    return Split(files, tuple(places[row.label] for row in rows))


def training_pictures(split: Split, preprocess: Preprocess, config: TrainConfig) -> Pictures:
    """The pictures that a network learns from, changed at random as the settings say."""
    return Pictures(split, preprocess, training_transform(preprocess, config), config.seed)


def evaluation_pictures(split: Split, preprocess: Preprocess) -> Pictures:
    """The pictures as predict and serve see them."""
    return Pictures(split, preprocess, evaluation_transform(preprocess))


class Files:
    """Paths as two arrays: a loader process that looks at Python objects gets a copy of each."""

    def __init__(self, files: Sequence[Path]) -> None:
        names = [os.fsencode(file) for file in files]
        self.text = np.frombuffer(b"".join(names), np.uint8)
        self.ends = np.cumsum([len(name) for name in names])

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Path:
        start = self.ends[index - 1] if index else 0
        return Path(os.fsdecode(self.text[start : self.ends[index]].tobytes()))

    def names(self) -> Iterator[str]:
        """The paths as texts, one after the other: faster than by their places."""
        text, start = self.text.tobytes(), 0
        for end in self.ends.tolist():
            yield os.fsdecode(text[start:end])
            start = end


class Drawn(TorchDataset[Batch | PizzaioloError]):
    """Data that is another in each epoch.

    What is random about an item depends on the seed, the epoch and its place alone, so it is the
    same with any number of loader processes. Place `index + n * len` is the item's draw number `n`
    in an epoch that draws it more than once.
    """

    def __init__(self) -> None:
        self.epoch = torch.zeros(1, dtype=torch.int64)
        self.epoch.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        raise NotImplementedError


class Pictures(Drawn):
    """Pictures of a split as (uint8 [H, W, 3], class index), a bad one as its error."""

    def __init__(
        self, split: Split, preprocess: Preprocess, transform: Transform, seed: int = 0
    ) -> None:
        super().__init__()
        self.files = Files(split.files)
        self.targets = torch.tensor(split.targets)
        self.preprocess = preprocess
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> Batch | PizzaioloError:
        index = place % len(self)
        generator = seeded(self.seed, int(self.epoch), place)
        try:
            return self.transform(self.files[index], generator), self.targets[index]
        except PizzaioloError as error:  # raised in a loader process it would become a traceback
            return error


class Loader(DataLoader[Any]):
    """A DataLoader that gives batches on the device and whose faults a person can read.

    Pictures travel as uint8 [N, H, W, 3] and are normalised on the device, as they are when the
    model is served: what comes out is float [N, 3, H, W], channels last, with the targets [N].
    """

    device = torch.device("cpu")
    normalise: Normalise | None = None

    def set_epoch(self, number: int, start_batch: int = 0) -> None:
        """Which epoch comes next: it has its own order and augmentation, and may start midway."""
        if isinstance(self.dataset, Drawn):
            self.dataset.epoch.fill_(number)
        if isinstance(self.sampler, EpochSampler):
            assert self.batch_size is not None
            self.sampler.epoch, self.sampler.start = number, start_batch * self.batch_size

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for pictures, targets in self._fetched():
            yield self._finish(pictures, targets)

    def _fetched(self) -> Iterator[Batch]:
        try:
            for batch in super().__iter__():
                if isinstance(batch, PizzaioloError):
                    try:
                        raise batch
                    finally:  # a cycle through its traceback would keep the processes for seconds
                        del batch
                yield batch
        except (RuntimeError, OSError) as error:  # OSError: no process or file is left to be had
            if not self.num_workers:
                raise
            raise _workers_failed(error) from error

    def _finish(self, pictures: Tensor, targets: Tensor) -> Batch:
        pictures = pictures.to(self.device, non_blocking=True)
        if self.normalise is not None:
            pictures = _normalised(self.normalise, pictures)
        return pictures, targets.to(self.device, non_blocking=True)


@contextmanager
def worker_faults() -> Iterator[None]:
    """Explains the end of a loader process while its batches are being used.

    torch raises it by a signal, in the middle of whatever runs; the loader itself explains those
    that it meets.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _workers_failed(error) from error


def _workers_failed(error: Exception) -> WorkError:
    return WorkError(
        f"the processes that load pictures failed: {str(error).splitlines()[0]}",
        hint="--workers 0 loads them in this process, without shared memory",
    )


def _normalised(normalise: Normalise, pictures: Tensor) -> Tensor:
    """The same bits as `normalise(pictures)`, by whole rows and in place: several times faster."""
    width = pictures.shape[2]
    mean, std = (x.flatten().repeat(width) for x in (normalise.mean, normalise.std))
    rows = pictures.flatten(2).float().sub_(mean).div_(std)
    return rows.view(pictures.shape).permute(0, 3, 1, 2)


def _collate(items: list[Any]) -> Any:
    bad = [item for item in items if isinstance(item, PizzaioloError)]
    return bad[0] if bad else default_collate(items)


def batches(
    data: Drawn | TensorDataset,
    size: int,
    *,
    shuffle_seed: int | None,
    workers: int = 0,
    weights: Tensor | None = None,
    device: torch.device = Loader.device,
    buffer: int = TrainConfig.shuffle_buffer,
) -> Loader:
    """Mini-batches on a device; drawn anew each epoch in training, in order elsewhere.

    `weights` (float [N]) draws each picture in proportion, with replacement. Pictures that lie in
    shards are streamed in training: `buffer` of them are shuffled at a time. A last batch of one
    is dropped in training: BatchNorm has no variance of one picture.
    """
    sampler, drawn = None, isinstance(data, Drawn)
    if shuffle_seed is not None:
        layout = Layout.of(data.files.names()) if isinstance(data, Pictures) else None
        stream = Stream(layout, buffer) if layout else None
        sampler = EpochSampler(
            len(data), shuffle_seed, weights=weights, number_repeats=drawn, stream=stream
        )
    loader = Loader(
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
        pin_memory=device.type == "cuda",
        timeout=120 if workers else 0,
    )
    loader.device = device
    if isinstance(data, Pictures):
        loader.normalise = Normalise(data.preprocess).to(device)
    return loader
