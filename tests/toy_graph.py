"""A small deployed graph with a card, and what writes it in each format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError
from pizzaiolo.export.onnx import write_onnx
from pizzaiolo.export.openvino import write_openvino
from pizzaiolo.export.program import write_program
from pizzaiolo.export.torchscript import write_torchscript
from pizzaiolo.model.custom import OwnRecogniser
from pizzaiolo.model.deployed import Deployed
from pizzaiolo.predict import load_file

PREPROCESS = Preprocess(32, 36)
CARD = Card(
    Labels(("naan", "pizza"), "pizza", 0.6, (0.4, 0.6), 3.5),
    PREPROCESS,
    {"name": "Größe"},
    temperature=1.5,
    metrics={"validation": {"accuracy": 0.9}},
    notes=("é <&> \"'", "two\nlines"),
)


class Small(nn.Module):
    """A few layers of each kind; random weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.normalise = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16, 2)

    def embed(self, x: Tensor) -> Tensor:
        seen = self.normalise(self.convolution(x)).relu_()
        return nn.functional.gelu(self.second(seen)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.embed(x)))
        return logits


def deployed(network: nn.Module | None = None) -> Deployed:
    return Deployed(OwnRecogniser(network or Small()), PREPROCESS, 1.5).eval()


def pixels(count: int = 7, side: int = 32) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), np.uint8)


WRITERS: dict[str, Callable[[nn.Module, Card, Path], None]] = {
    ".onnx": lambda network, card, path: write_onnx(network, card, path, 18),
    ".ts": write_torchscript,
    ".pt2": write_program,
    ".xml": lambda network, card, path: write_openvino(network, card, path, 18),
}


def write(path: Path, network: nn.Module | None = None, card: Card = CARD) -> Path:
    """Write the graph in the format of the path's suffix."""
    WRITERS[path.suffix](deployed(network), card, path)
    return path


def refused(path: Path, words: str) -> None:
    """The file is not opened, and one line that names it says why."""
    with pytest.raises(ModelFileError, match=words) as caught:
        load_file(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message
