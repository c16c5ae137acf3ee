"""What a frozen prefix makes of each picture: computed once, read from the disk in every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..console import progress
from .data import Batch, Drawn, Loader, Pictures, batches

BYTES = 2  # of a float16
CPU_BATCH, GPU_BATCH = 4, 64  # small: see model/features.py


class Activations(Drawn):
    """Activations of pictures as (float32 [*shape], class index), read from a file.

    The file holds float16 [views, N, *shape]. Each epoch shows another view of a picture; over as
    many epochs as there are views it shows them all.
    """

    def __init__(
        self, file: Path, targets: Sequence[int], shape: Sequence[int], views: int
    ) -> None:
        super().__init__()
        self.file, self.shape, self.views = file, tuple(shape), views
        self.targets = torch.tensor(targets)
        self.values = torch.Size(shape).numel()  # of a picture

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, place: int) -> Batch:
        draw, index = divmod(place, len(self))
        view = (int(self.epoch) + index + draw) % self.views
        # Read, not mapped: mapped pages would count as memory of this process.
        start = BYTES * self.values * (view * len(self) + index)
        found = np.fromfile(self.file, np.float16, self.values, offset=start)
        return torch.from_numpy(found.astype(np.float32)).view(self.shape), self.targets[index]


def write_activations(
    prefix: nn.Module, plain: Pictures, changed: Pictures, views: int, file: Path
) -> None:
    """Write what the prefix makes of pictures as they are, then `views - 1` times changed."""
    device = next(prefix.parameters()).device
    size = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    first, others = (
        batches(data, size, shuffle_seed=None, device=device) for data in (plain, changed)
    )
    prefix.eval()
    with (
        file.open("wb") as target,
        progress("the frozen stages", views * len(plain)) as advance,
        torch.inference_mode(),
    ):
        for pictures in _read_ahead(_in_turn(first, others, views)):
            target.write(prefix(pictures).half().cpu().contiguous().numpy().tobytes())
            advance(len(pictures))


def _in_turn(plain: Loader, changed: Loader, views: int) -> Iterator[Batch]:
    yield from plain
    for number in range(1, views):
        changed.set_epoch(number)
        yield from changed


def _read_ahead(stream: Iterator[Batch]) -> Iterator[Tensor]:
    """The pictures of the batches; the next are read and changed while these are used.

    One thread only: what is random is drawn from the one global generator.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, stream, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, stream, None)
            yield batch[0]
