"""One process or several (`torchrun`): who writes, who reads which batches, which numbers."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import UsageError, WorkError
from .data import Loader

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")
Rows = NDArray[np.float32]
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def process_index() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", 0))


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return process_index() == 0


def own_device(device: torch.device) -> torch.device:
    """The device of this process: each has a GPU of its own. Lets the processes find each other."""
    if processes() == 1:
        return device
    if not torch.distributed.is_initialized():
        gpus = torch.cuda.is_available()
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
        # Gloo's threads must end before the process does: one that still runs then aborts it.
        atexit.register(leave)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    return device


def leave() -> None:
    """Take this process out of the group of those that train together, if it is in one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if processes() > 1:
        torch.distributed.barrier()


def from_main(answer: int) -> int:
    """What the main process answers, to all: clocks differ, and all have to do the same."""
    if processes() == 1:
        return answer
    said = torch.tensor(answer)  # on the CPU, so that no GPU is waited for
    torch.distributed.broadcast(said, 0)
    return int(said)


def of_each(value: Any) -> list[Any]:
    """What each process gives, in their order, to all."""
    values = [value] * processes()
    if processes() > 1:
        torch.distributed.all_gather_object(values, value)
    return values


def all_alike(value: bool) -> bool:
    """Whether the value, the same in every process, is true.

    Raises `WorkError` where they differ: a file that some of them don't see.
    """
    values = of_each(value)
    if len(set(values)) > 1:
        raise WorkError(
            "not every process sees the RUN's folder as it is",
            hint="choose an --out that all machines share",
        )
    return value


def divided(items: Sequence[T], compute: Callable[[Sequence[T]], Rows]) -> Rows:
    """What `compute` gives for all items, float32 [N, D]: each process works on its share."""
    count, index = processes(), process_index()
    if count == 1:
        return compute(items)
    most = -(-len(items) // count)
    own = torch.from_numpy(compute(items[index::count] or items[:1]))
    filled = torch.cat([own, own[-1:].expand(most - len(own), -1)])
    parts = [torch.empty_like(filled) for _ in range(count)]
    torch.distributed.all_gather(parts, filled)
    return torch.stack(parts, 1).flatten(0, 1)[: len(items)].numpy()


def make_accelerator(device: torch.device, precision: str) -> Accelerator:
    """Accelerate for a network that lies on `device`.

    `auto` is bf16 where a GPU has it, fp16 on an older one and fp32 elsewhere. Raises
    `UsageError` for a precision that the device lacks.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if precision == "auto":
        precision = "fp32"
        if device.type == "cuda":
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    # Accelerate keeps one state a process and takes no second precision or device; a person may
    # train twice in one session. transformers' Trainer resets it in the same way.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        if precision == "fp16" and device.type == "cpu":
            raise ValueError("fp16 needs a GPU")
        return Accelerator(cpu=device.type == "cpu", mixed_precision=PRECISIONS[precision])
    except ValueError as error:
        raise UsageError(
            f"the device {device} can't train in {precision}: {error}", hint="--precision bf16"
        ) from None


def share(loader: Loader) -> Loader:
    """This process's part of a loader: every n-th batch, as many for each process.

    A loader that ends too early goes round to its first pictures. `set_epoch` stays with the
    loader that was given.
    """
    count = processes()
    if count == 1:
        return loader
    batches: Any = Share(loader.batch_sampler, count, process_index())
    part = Loader(
        loader.dataset,
        batch_sampler=batches,
        collate_fn=loader.collate_fn,
        generator=torch.Generator(),
        num_workers=loader.num_workers,
        persistent_workers=loader.persistent_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
    )
    part.device, part.normalise = loader.device, loader.normalise
    return part


class Share:
    """Every n-th batch of an epoch, as many for each process, also where it goes on midway."""

    def __init__(self, batches: Any, count: int, index: int) -> None:
        from accelerate.data_loader import BatchSamplerShard

        self.batches, self.count = batches, count
        self.part = partial(BatchSamplerShard, num_processes=count, process_index=index)

    def __len__(self) -> int:
        return len(self.part(self.batches))

    def __iter__(self) -> Iterator[list[int]]:
        sampler = self.batches.sampler
        start = getattr(sampler, "start", 0)
        if not start:
            return iter(self.part(self.batches))
        sampler.start = 0
        first = list(islice(self.batches, self.count))
        sampler.start = start
        # What comes first in the epoch stands first here too, for the end may go round to it.
        return islice(iter(self.part(Midway(self.batches, first))), 1, None)


@dataclass(frozen=True)
class Midway:
    """The `first` batches of an epoch, and all those from where it goes on."""

    batches: Any
    first: list[list[int]]

    def __iter__(self) -> Iterator[list[int]]:
        return chain(self.first, self.batches)

    @property
    def batch_size(self) -> int:
        """Pictures in a batch."""
        return int(self.batches.batch_size)

    @property
    def drop_last(self) -> bool:
        """Whether an end that is too short is left out."""
        return bool(self.batches.drop_last)
