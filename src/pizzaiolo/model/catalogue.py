"""What `pizzaiolo models` lists: architectures, their size, and where their weights come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatch
from typing import Any

import torch

from ..console import track
from ..core.bundle import cache_folder, write_text
from ..errors import StorageError, UsageError, nearest
from .backbones import EMBEDDED, timm
from .cnn import SmallCNN
from .define import CNN_SIZE


def find_models(pattern: str = "") -> list[str]:
    """Architectures whose name holds `pattern` (or matches it, with * and ?), offline ones first.

    Raises `UsageError` where no name matches.
    """
    pattern = pattern.lower()
    wanted = pattern if any(c in pattern for c in "*?") else f"*{pattern}*"
    names = ["cnn", *EMBEDDED, *(n for n in timm().list_models() if n not in EMBEDDED)]
    found = [name for name in names if fnmatch(name, wanted)]
    if not found:
        raise UsageError(f"no model is called {pattern!r}", hint=nearest(pattern, names))
    return found


def describe(names: Sequence[str]) -> list[dict[str, Any]]:
    """What is known of each model.

    `{"name", "parameters" (with a layer for ImageNet's classes), "megabytes" (of float32 weights),
    "input" (side, pixels), "weights", "offline"}`.
    """
    counts = _parameters(names)
    return [_describe(name, counts[name]) for name in names]


def _describe(name: str, parameters: int) -> dict[str, Any]:
    config = None if name == "cnn" else timm().get_pretrained_cfg(name)
    published = config is not None and config.has_weights and name not in EMBEDDED
    weights = "ImageNet, installed" if name in EMBEDDED else "random start"
    return {
        "name": name,
        "parameters": parameters,
        "megabytes": round(4 * parameters / 1e6, 1),
        "input": CNN_SIZE if name == "cnn" else config.input_size[1] if config else None,
        "weights": "from the hub" if published else weights,
        "offline": not published,
    }


def _parameters(names: Sequence[str]) -> dict[str, int]:
    """Numbers of parameters, counted on networks without memory; each once for this timm."""
    path = cache_folder() / f"parameters-timm-{timm().__version__}.json"
    try:
        known: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    missing = [name for name in names if name not in known]
    if missing:
        known |= {name: _count(name) for name in track(missing, "counting parameters")}
        with suppress(StorageError):  # then they are counted again next time
            write_text(path, json.dumps(known))
    return known


def _count(name: str) -> int:
    with torch.device("meta"):  # shapes only: no memory is taken, no number drawn
        network = SmallCNN() if name == "cnn" else timm().create_model(name)
    return sum(parameter.numel() for parameter in network.parameters())
