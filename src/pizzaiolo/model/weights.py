"""Weights from a person's own file: tensors only, nothing in it is ever run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..console import log
from ..core.bundle import CARD_KEY
from ..core.card import Card
from ..errors import InputError, explain_os_error

SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".safetensors")
# Where others put the tensors in a checkpoint; averaged weights before those of the last step.
NESTED = (
    "state_dict_ema", "model_ema", "ema", "state_dict", "model", "state", "network", "module",
)  # fmt: skip
# What wrappers (DataParallel, Lightning, torch.compile, our own Recogniser) put before each name.
PREFIXES = ("module.", "model.", "backbone.", "network.", "_orig_mod.")
DEEPEST = 3
State = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """The tensors of a file, by the names that they have there, and what else it tells."""

    path: Path
    state: State
    card: Card | None = None
    architecture: str | None = None

    @property
    def licence(self) -> str:
        """The licence, where the file is a model of ours and says so."""
        if self.card is not None:
            return f"{self.card.weights_licence}, by way of your file {self.path.name}"
        return f"unknown (your file {self.path.name})"


def read_weights(path: Path) -> Weights:
    """The tensors of a .pth, .pt or .safetensors file, alone or in a training checkpoint.

    Of a RUN those of its model. Raises `InputError` for what can't be read, holds code, or holds
    no tensors.
    """
    path = path / "model.pt" if (path / "model.pt").is_file() else path
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(
            f"the weights {path} can't be read: {what}",
            hint="expected a file of tensors: .pth, .pt or .safetensors",
        )
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"the weights {path.name} end with {path.suffix or 'nothing'!r}, "
            f"expected {', '.join(SUFFIXES)}",
        )
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read(path)
    state = _find_state(content)
    if not state:
        raise InputError(
            f"{path} holds no tensors by name",
            hint=f"expected a state dict, alone or under one of {', '.join(NESTED)}",
        )
    _check_finite(path, state)
    card = Card.from_json(content[CARD_KEY]) if isinstance(content.get(CARD_KEY), str) else None
    return Weights(path, state, card, _architecture(content, card))


def _read(path: Path) -> Mapping[Any, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise explain_os_error(error) from None
    except Exception as error:  # torch raises many kinds for a file that is not its own
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code is None:
            raise _unreadable(path, error) from None
        raise InputError(
            f"{path} holds pickled code ({code[1]}), which could do anything and is never run",
            hint="where you trust it, save its tensors alone: "
            "torch.save(model.state_dict(), 'weights.pth')",
        ) from None
    return content if isinstance(content, Mapping) else {}


def _read_safetensors(path: Path) -> Mapping[Any, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _unreadable(path, error) from None
    except OSError as error:
        raise explain_os_error(error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    log.debug("%s", error)  # of torch.load a page on its own settings
    return InputError(f"{path} is no file of tensors, or a damaged one ({type(error).__name__})")


def _find_state(content: object, depth: int = 0) -> State:
    """The tensors of a state dict, or of the first place in a checkpoint that holds some."""
    if not isinstance(content, Mapping):
        return {}
    inner = (_find_state(content.get(key), depth + 1) for key in NESTED if depth < DEEPEST)
    nested = next(filter(None, inner), {})
    return nested or {k: v for k, v in content.items() if isinstance(v, Tensor)}


def _check_finite(path: Path, state: State) -> None:
    bad = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise InputError(
            f"{path} holds numbers that are not finite, in {len(bad)} of {len(state)} tensors "
            f"(first {bad[0]!r})",
            hint="they come from a training that diverged; take an earlier checkpoint",
        )


def _architecture(content: Mapping[Any, Any], card: Card | None) -> str | None:
    """The name of the architecture, as our card or timm's training checkpoint has it."""
    named = card.architecture.get("name") if card is not None else content.get("arch")
    return named if isinstance(named, str) else None


def unwrapped(state: State, expected: Iterable[str]) -> State:
    """The tensors without what wrappers put before their names, unless it is expected there."""
    names = tuple(expected)
    strange = [p for p in PREFIXES if not any(name.startswith(p) for name in names)]
    while any(name.startswith(tuple(strange)) for name in state):
        for prefix in strange:
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


@dataclass(frozen=True)
class Differences:
    """How a file's tensors differ from those that a network expects."""

    missing: list[str]
    unexpected: list[str]
    reshaped: list[tuple[str, list[int], list[int]]]  # name, shape in the file, expected shape

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {what} (first {names[0]!r})"
            for what, names in (("missing", self.missing), ("unexpected", self.unexpected))
            if names
        ]
        if self.reshaped:
            name, found, wanted = self.reshaped[0]
            parts.append(
                f"{len(self.reshaped)} of another shape "
                f"(first {name!r}: {found}, expected {wanted})"
            )
        return ", ".join(parts)


def compare(state: State, expected: Mapping[str, Tensor]) -> Differences:
    """What is missing, unexpected or of another shape in `state`.

    The counter of batches that BatchNorm keeps may be missing: files of old lack it.
    """
    return Differences(
        [n for n in expected if n not in state and not n.endswith("num_batches_tracked")],
        [n for n in state if n not in expected],
        [
            (n, list(state[n].shape), list(tensor.shape))
            for n, tensor in expected.items()
            if n in state and state[n].shape != tensor.shape
        ],
    )
