"""A person's own `nn.Module`, given in Python or as path/to/file.py:Class.

The code runs because the person names it. A model file never does: it holds tensors only, and
whoever loads it has to name the code again.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import torch
from torch import Tensor, nn

from ..errors import InputError, UsageError
from .network import Recogniser


class OwnRecogniser(Recogniser):
    """A person's module as a `Recogniser`: its `embed` where it has one, else its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, nn.Identity())
        # A method; `self.embed = nn.Conv2d(...)` is a layer of the person's own.
        self.has_embed = callable(getattr(type(network), "embed", None))

    def embed(self, pictures: Tensor) -> Tensor:
        if not self.has_embed:
            return super().embed(pictures)
        embedding: Tensor = self.backbone.embed(pictures)  # type: ignore[operator]
        return embedding

    def outputs(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        logits: Tensor = self.backbone(pictures)
        return logits, self.embed(pictures) if self.has_embed else logits

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.backbone(pictures)
        return logits


def is_code(name: str | None) -> TypeGuard[str]:
    """Whether a model name means a file of Python: path/to/file.py:Class."""
    return name is not None and (name.endswith(".py") or ".py:" in name)


def create_custom(code: str, classes: int) -> nn.Module:
    """Run the file and make its class with `num_classes`.

    Raises `InputError` for a missing file or class, or one whose code fails.
    """
    file, _, name = code.rpartition(":")
    if not file.endswith(".py"):
        raise UsageError(f"{code!r} names no class", hint="expected path/to/file.py:Class")
    module = _run_file(Path(file))
    kind = getattr(module, name, None)
    if not _is_network(kind):
        found = [n for n, v in vars(module).items() if _is_network(v)]
        what = "no class" if kind is None else "something that is no nn.Module"
        raise InputError(
            f"{file} has {what} called {name!r}",
            hint=f"nn.Module classes in it: {', '.join(found) or 'none'}",
        )
    return make(kind, classes)


def _is_network(value: object) -> TypeGuard[type[nn.Module]]:
    return inspect.isclass(value) and issubclass(value, nn.Module)


def make(network: nn.Module | type[nn.Module], classes: int) -> nn.Module:
    """A person's module as it is, or their class made with `num_classes`."""
    if isinstance(network, nn.Module):
        return network
    if not _is_network(network):
        raise UsageError(f"the network is {network!r}, expected an nn.Module or its class")
    try:
        return network(num_classes=classes)
    except Exception as error:  # whatever the person's constructor raises
        raise InputError(
            f"{network.__name__}(num_classes={classes}) fails: {type(error).__name__}: {error}",
            hint="its __init__ has to take num_classes and nothing else that is required",
        ) from error


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no file {path}", hint="expected path/to/file.py:Class")
    name = f"pizzaiolo_custom_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in the file look their module up
    folder = str(path.parent.resolve())
    sys.path.append(folder)  # for the modules beside it that it imports
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the person's file raises
        del sys.modules[name]
        raise InputError(
            f"{path} can't be run: {type(error).__name__}: {error}",
            hint=f"python {path} shows where it fails",
        ) from error
    finally:
        sys.path.remove(folder)
    return module


def check_custom(network: OwnRecogniser, size: int, classes: int) -> None:
    """Raise `UsageError` unless the module gives logits [N, C] for pictures [N, 3, H, W]."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError("your module has no parameters, so there is nothing to train")
    try:
        with torch.inference_mode():
            logits, embedding = network.eval().outputs(torch.zeros(2, 3, size, size))
            shape, embedded = list(logits.shape), list(embedding.shape)
    except Exception as error:  # whatever the person's forward raises
        raise UsageError(
            f"your module fails on pictures [2, 3, {size}, {size}]: {type(error).__name__}: {error}"
        ) from error
    if shape != [2, classes]:
        raise UsageError(
            f"your module gives {shape} for 2 pictures, expected logits [2, {classes}]",
            hint="take num_classes in __init__ and make the last layer that wide",
        )
    if len(embedded) != 2 or embedded[0] != 2:
        raise UsageError(f"embed of your module gives {embedded} for 2 pictures, expected [2, D]")
