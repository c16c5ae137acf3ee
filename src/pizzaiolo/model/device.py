"""Where training runs, and the one seed for everything."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..errors import UsageError


def choose_device(wanted: str) -> torch.device:
    """The device of the settings; `auto` takes CUDA, then Apple's MPS, then the CPU."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, here in available.items() if here)
    if not available[wanted]:
        here = ", ".join(name for name, yes in available.items() if yes)
        raise UsageError(f"there is no {wanted} device", hint=f"available here: {here}")
    return torch.device(wanted)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch; the same seed gives the same model on the CPU."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


@contextmanager
def own_mode() -> Iterator[None]:
    """Puts torch's choice of algorithms back afterwards: it is that of the whole process."""
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warns)


_single = threading.Lock()
_singles: list[int] = []  # for each who wants one thread now, how many there were before


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Let PyTorch compute with one thread meanwhile, where that is wanted.

    Several may want it at once: the last to leave puts the number back.
    """
    if not wanted:
        yield
        return
    with _single:
        _singles.append(_singles[0] if _singles else torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _single:
            before = _singles.pop()
            if not _singles:
                torch.set_num_threads(before)
