"""A person's own `nn.Module`, given in Python or as path/to/file.py:Class.

The code runs because the person names it. A model file never does: it holds tensors only, and
whoever loads it has to name the code again.
"""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, UsageError


def is_code(name: str) -> bool:
    """Whether a model name is path/to/file.py:Class."""
    return ".py:" in name


def create_custom(code: str, classes: int) -> nn.Module:
    """Run the file and make its class with `num_classes`; logits [N, C] are expected of it."""
    file, _, name = code.rpartition(":")
    module = _run_file(Path(file))
    kind = getattr(module, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
        found = [n for n, v in vars(module).items() if inspect.isclass(v)]
        raise InputError(
            f"{file} has no nn.Module called {name!r}", hint=f"classes in it: {', '.join(found)}"
        )
    return make(kind, classes)


def make(kind: type[nn.Module], classes: int) -> nn.Module:
    """An instance of a person's class, made with `num_classes` where it takes that."""
    takes = inspect.signature(kind).parameters
    return kind(num_classes=classes) if "num_classes" in takes else kind()


def _run_file(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"there is no file {path}", hint="expected path/to/file.py:Class")
    spec = importlib.util.spec_from_file_location(f"pizzaiolo_custom_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the person's file raises
        raise InputError(f"{path} can't be run: {type(error).__name__}: {error}") from error
    return module


class CustomBackbone(nn.Module):
    """A person's module in the backbone's place: its `embed` where it has one, else its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.has_embed = callable(getattr(network, "embed", None))

    def forward(self, pictures: Tensor) -> Tensor:
        embedding: Tensor = (
            self.network.embed(pictures)  # type: ignore[operator]
            if self.has_embed
            else self.network(pictures)
        )
        return embedding


class CustomHead(nn.Module):
    """What follows the embedding: the module's `classify`, or nothing where it gave logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # Kept out of the module's children: the backbone owns the parameters.
        self._network = (network,)
        self.has_embed = callable(getattr(network, "embed", None))

    def forward(self, embedding: Tensor) -> Tensor:
        if not self.has_embed:
            return embedding
        logits: Tensor = self._network[0].classify(embedding)  # type: ignore[operator]
        return logits


def check_custom(network: nn.Module, size: int, classes: int) -> None:
    """Raise `UsageError` unless the module gives logits [N, C] for pictures [N, 3, H, W]."""
    if callable(getattr(network, "embed", None)) != callable(getattr(network, "classify", None)):
        raise UsageError(
            "your module has only one of embed and classify",
            hint="have both (pictures -> embedding -> logits) or neither",
        )
    try:
        with torch.inference_mode():
            shape = list(network.eval()(torch.zeros(2, 3, size, size)).shape)
    except Exception as error:
        raise UsageError(
            f"your module fails on pictures [2, 3, {size}, {size}]: {type(error).__name__}: {error}"
        ) from error
    if shape != [2, classes]:
        raise UsageError(
            f"your module gives {shape} for 2 pictures, expected logits [2, {classes}]",
            hint="take num_classes in __init__ and make the last layer that wide",
        )
