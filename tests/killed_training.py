"""Trains once in peace and once killed again and again, then goes on: run as a script by tests.

    python killed_training.py DATASET OUT CASES

CASES is a JSON object of name: [settings, moments]; a moment is [event, n], the end of one process
by SIGKILL: at its n-th training step ("step"), its n-th audit event of a kind ("os.rename"), or n
seconds after its start ("seconds"). OUT/name/whole is never cut off, OUT/name/killed ends at last
in peace. Printed is how the processes ended, by name.
"""

import json
import os
import random
import signal
import sys
import threading
from typing import Any

import torch
from torch import Tensor, nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.train.run import train


class Tiny(nn.Module):
    """All that makes a resume hard: statistics, dropout, and draws from three generators."""

    steps = 0
    last = 0  # the step in which the process is killed

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.3)
        self.layer = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            Tiny.steps += 1
            if Tiny.steps == Tiny.last:
                os.kill(os.getpid(), signal.SIGKILL)
            import numpy as np

            x = x + 0.1 * random.random() + 0.1 * np.random.random()
        logits: Tensor = self.layer(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))
        return logits


def arm(event: str, count: float) -> None:
    if event == "step":
        Tiny.steps, Tiny.last = 0, int(count)
    elif event == "seconds":
        timer = threading.Timer(count, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    else:
        left = int(count)

        def hook(name: str, _: Any) -> None:
            nonlocal left
            left -= name == event
            if name == event and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)


def run(dataset: str, out: str, settings: dict[str, Any]) -> None:
    network = None if "model" in settings else Tiny
    train(dataset, out, TrainConfig(**settings), network, resume=True)


def killed(event: str, count: float, *arguments: Any) -> str:
    """How a process that was armed so ended."""
    process = os.fork()
    if process == 0:
        arm(event, count)
        run(*arguments)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    return "killed" if os.WIFSIGNALED(status) else f"ended {os.WEXITSTATUS(status)}"


def main(dataset: str, out: str, cases: str) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # what a killed process wrote stays; only a power cut would lose it
    ends = {}
    for name, (settings, moments) in json.loads(cases).items():
        run(dataset, f"{out}/{name}/whole", settings)
        again = dataset, f"{out}/{name}/killed", settings
        ends[name] = [killed(event, count, *again) for event, count in moments]
        run(*again)
    print(json.dumps(ends))


if __name__ == "__main__":
    main(*sys.argv[1:])
