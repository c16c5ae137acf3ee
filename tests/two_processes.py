"""Trains a tiny network, alone or under torchrun: run as a script by tests.

    python two_processes.py OUT BATCH_SIZE
    torchrun --nproc-per-node 2 two_processes.py OUT BATCH_SIZE [WISHES]

The main process writes the weights and the history to OUT. WISHES is a JSON object: `checkpoint`, a
file that is written at every step; `resume`; `last`, the step in which every process is killed;
`seconds`, the time budget of each process; `epochs`.
"""

import atexit
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from pizzaiolo.config import TrainConfig
from pizzaiolo.train.checkpoint import Checkpoints
from pizzaiolo.train.data import batches
from pizzaiolo.train.loop import fit
from pizzaiolo.train.parallel import is_main, own_device, process_index
from pizzaiolo.train.plan import Plan


def check_left() -> None:
    """End with 3 where the process still is in its group: Gloo then aborts it now and then."""
    if torch.distributed.is_initialized():
        os._exit(3)


class Mortal(nn.Module):
    """Draws at random in training, and is killed in its n-th step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.left, self.drop = last, nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        self.left -= self.training
        if self.training and self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        dropped: Tensor = self.drop(x)
        return dropped


def checkpoints_of(wishes: dict[str, Any]) -> Checkpoints | None:
    if "checkpoint" not in wishes:
        return None
    return Checkpoints(Path(wishes["checkpoint"]), {}, 0.0, wishes.get("resume", False))


def main(out: str, batch_size: str, wished: str = "{}") -> None:
    atexit.register(check_left)  # runs after whatever is registered from here on
    torch.set_num_threads(1)
    own_device(torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(64, 4, generator=draw)
    data = TensorDataset(points, (points.sum(1) > 0).long())
    held_out = TensorDataset(points[:37], data.tensors[1][:37])
    torch.manual_seed(0)
    wishes = json.loads(wished)
    parts: list[nn.Module] = [nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)]
    if "checkpoint" in wishes:
        parts.insert(0, Mortal(wishes.get("last", 0)))
    network = nn.Sequential(*parts)
    loaders = (
        batches(data, int(batch_size), shuffle_seed=0),
        batches(held_out, 8, shuffle_seed=None),
    )
    groups = [{"params": list(network.parameters()), "lr": 0.05}]
    epochs = wishes.get("epochs", 3)
    seconds = wishes["seconds"][process_index()] if "seconds" in wishes else None
    result = fit(
        network, loaders, Plan(epochs, groups, epochs, seconds=seconds),
        TrainConfig(optimizer="sgd", ema=0.5), checkpoints=checkpoints_of(wishes),
    )  # fmt: skip
    if is_main():
        history = [asdict(epoch) for epoch in result.history]
        torch.save({"state": result.state, "history": history}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
