"""What goes wrong while training, as errors that name the place and the way out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

from ..core.shards import shown
from ..errors import WorkError
from .data import Loader

NAMED = 4  # pictures of a batch that an error names


def batch_names(loader: Loader, epoch: int, batch: int) -> list[str]:
    """The files of a training batch (counted from 0), or the places of what has no files."""
    loader.set_epoch(epoch)
    for number, places in enumerate(loader.batch_sampler or ()):
        if number == batch:
            files = getattr(loader.dataset, "files", None)
            return [
                Path(shown(files[p % len(files)])).name if files else f"row {p}" for p in places
            ]
    return []


def not_a_number(loader: Loader, epoch: int, batch: int, kept: Path | None) -> WorkError:
    """The loss of a training batch (counted from 0) is NaN or infinite."""
    names = batch_names(loader, epoch, batch)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    what = f" (pictures {', '.join(names[:NAMED])}{more})" if names else ""
    return WorkError(
        f"the loss is no longer a number at epoch {epoch}, step {batch + 1}{what}",
        hint=f"try a lower --lr, or --clip-grad 1{_kept(kept)}",
    )


def not_a_score(epoch: int, kept: Path | None) -> WorkError:
    """The validation loss is NaN or infinite."""
    return WorkError(
        f"the loss is no longer a number on the validation split after epoch {epoch}",
        hint=f"try a lower --lr, or --clip-grad 1{_kept(kept)}",
    )


def _kept(path: Path | None) -> str:
    return f"; the last good state is kept in {path}" if path is not None else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or torch on the CPU, had no memory left."""
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, Exception) and should_reduce_batch_size(error)


def too_large(size: int, attempt: Callable[[int], None]) -> WorkError:
    """A batch of `size` pictures doesn't fit; halves it until `attempt` runs through."""
    gc.collect()
    fits = _fitting(size, attempt)
    way_out = f"a batch of {fits} fits" if fits else "not even one picture fits"
    hint = f"--batch-size {fits}" if fits else "a smaller --size or a smaller --model"
    return WorkError(
        f"the memory of the device is used up by a batch of {size} pictures; {way_out}", hint=hint
    )


def _fitting(size: int, attempt: Callable[[int], None]) -> int:
    """The first of size / 2, size / 4, ... with which `attempt` runs; 0 for none."""
    from accelerate.utils.memory import find_executable_batch_size

    tried = size

    def halve() -> int:
        nonlocal tried
        tried //= 2
        return tried

    def run(batch_size: int) -> int:
        attempt(batch_size)
        return batch_size

    if halve() == 0:
        return 0
    search = find_executable_batch_size(run, tried, halve)
    try:
        return int(search())
    except RuntimeError as error:
        if "No executable batch size" not in str(error):
            raise
        return 0
