"""Trains a tiny network, alone or under torchrun: run as a script by tests.

    python two_processes.py OUT BATCH_SIZE
    torchrun --nproc-per-node 2 two_processes.py OUT BATCH_SIZE

The main process writes the weights, the history and what it was told to OUT.
"""

import atexit
import os
import sys
from dataclasses import asdict

import torch
from torch import nn
from torch.utils.data import TensorDataset

from pizzaiolo.config import TrainConfig
from pizzaiolo.train.data import batches
from pizzaiolo.train.loop import fit
from pizzaiolo.train.parallel import is_main, own_device
from pizzaiolo.train.plan import Plan


def check_left() -> None:
    """End with 3 where the process still is in its group: Gloo then aborts it now and then."""
    if torch.distributed.is_initialized():
        os._exit(3)


def main(out: str, batch_size: str) -> None:
    atexit.register(check_left)  # runs after whatever is registered from here on
    torch.set_num_threads(1)
    own_device(torch.device("cpu"))
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(64, 4, generator=draw)
    data = TensorDataset(points, (points.sum(1) > 0).long())
    held_out = TensorDataset(points[:37], data.tensors[1][:37])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    loaders = (
        batches(data, int(batch_size), shuffle_seed=0),
        batches(held_out, 8, shuffle_seed=None),
    )
    groups = [{"params": list(network.parameters()), "lr": 0.05}]
    result = fit(network, loaders, Plan(3, groups, 9), TrainConfig(optimizer="sgd", ema=0.5))
    if is_main():
        history = [asdict(epoch) for epoch in result.history]
        torch.save({"state": result.state, "history": history}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
