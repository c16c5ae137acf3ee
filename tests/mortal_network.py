"""A network whose process is killed in training: copied beside a file `mortal.json` by tests.

mortal.json is {"step": n, "deaths": m}: in its n-th step of training a process of rank 1, or one
that trains alone, ends by SIGKILL, m times in all; each leaves a file `dead-N`.
"""

import json
import os
import signal
from pathlib import Path

from torch import Tensor, nn

HERE = Path(__file__).parent


class Mortal(nn.Module):
    """Draws at random in training, as dropout, and has statistics, as BatchNorm."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8)
        self.drop, self.layer = nn.Dropout(0.3), nn.Linear(8, num_classes)
        self.steps, self.told = 0, json.loads((HERE / "mortal.json").read_text())

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            if self.steps == self.told["step"] and os.environ.get("RANK", "1") == "1":
                self.die()
        logits: Tensor = self.layer(self.drop(self.norm(self.conv(x)).relu().mean((2, 3))))
        return logits

    def die(self) -> None:
        for number in range(self.told["deaths"]):
            try:
                (HERE / f"dead-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
