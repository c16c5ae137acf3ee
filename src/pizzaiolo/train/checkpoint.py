"""RUN/last.ckpt: everything with which a training that was cut off goes on to the same bits."""

from __future__ import annotations

import hashlib
import platform
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import __version__
from ..config import TrainConfig, to_dict
from ..console import log
from ..core.bundle import save_tensors
from ..errors import InputError, UsageError
from ..model.torchvision_fix import timm
from .augment import seeded
from .parallel import all_alike, from_main, is_main, process_index, processes

FILE = "last.ckpt"
FREE = ("workers", "checkpoint_seconds")  # settings that leave the bits as they are
AFRESH = "leave --resume out to start afresh"


def identity(
    config: TrainConfig, fingerprint: str, network: nn.Module, device: torch.device
) -> dict[str, str]:
    """What has to be the same for a training to go on: settings, data, network, versions."""
    settings = {k: str(v) for k, v in to_dict(config).items() if k not in FREE}
    shapes = [f"{name} {list(t.shape)}" for name, t in network.state_dict().items()]
    digest = hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:8]
    return {
        **settings,
        "device": device.type,
        "DATASET": fingerprint,
        "network": f"{sum(p.numel() for p in network.parameters())} parameters, shapes {digest}",
        "processes": str(processes()),
        "pizzaiolo": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "timm": str(timm().__version__),
    }


def check_identity(was: Mapping[str, str], now: Mapping[str, str], where: Path) -> None:
    """Raise `UsageError` that shows every difference between two identities."""
    keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    if keys:
        shown = "; ".join(f"{k}: was {was.get(k)}, is {now.get(k)}" for k in keys)
        raise UsageError(
            f"{where} is of another training: {shown}",
            hint=f"bring back what it was, or {AFRESH}",
        )


class Checkpoints:
    """Writes and reads the checkpoint in a file; `found` is what a resumed training goes on from.

    `notes` are plain values that travel along. Nothing is written where a process isn't the main
    one. Raises `InputError` for a damaged file, `UsageError` for one of another training.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, str], seconds: float, resume: bool = False
    ) -> None:
        self.path, self.identity, self.seconds = path, dict(identity), seconds
        self.found: dict[str, Any] | None = None
        self.notes: dict[str, Any] = {}
        self._written = time.monotonic()
        if not resume:
            if is_main():
                path.unlink(missing_ok=True)
        elif all_alike(path.is_file()):
            self.found = read_checkpoint(path)
            check_identity(self.found["identity"], self.identity, path)
            self.notes = self.found["notes"]
        else:
            log.info("nothing to resume in %s, training starts afresh", path.parent.parent)

    def state(self, stage: str) -> dict[str, Any] | None:
        """Where the training stood, if that was in this stage."""
        return self.found if self.found and self.found["stage"] == stage else None

    def due(self) -> bool:
        """Whether the last one was written long enough ago, by the main process's clock."""
        return bool(from_main(time.monotonic() - self._written >= self.seconds))

    def save(self, stage: str, state: dict[str, Any]) -> None:
        """Put a checkpoint in the place of the last one; a full disk leaves the last one."""
        if is_main():
            content = {"identity": self.identity, "stage": stage, "notes": self.notes, **state}
            save_tensors(self.path, content)
        self._written = time.monotonic()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; nothing in it is ever executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or not {"identity", "stage", "notes"} <= content.keys():
            raise ValueError("it holds something else")
    except Exception as error:  # torch raises many kinds for a file that is not its own
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{path} is no checkpoint: {reason}", hint=AFRESH) from None
    return content


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed Python, NumPy and torch for an epoch, whatever has drawn from them before it."""
    draw = seeded(seed, epoch, process_index())
    number = int(torch.randint(2**32, (), generator=draw))
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def random_state() -> dict[str, Any]:
    """Where the generators of Python, NumPy and torch stand, as tensors and plain values."""
    state: Any = np.random.get_state(legacy=True)
    kind, keys, place, has_gauss, gauss = state
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), place, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators where they stood."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def own_draws() -> Iterator[None]:
    """Puts the generators back afterwards: what a person draws next does not depend on training."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
