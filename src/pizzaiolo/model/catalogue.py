"""What `pizzaiolo models` lists: architectures and where their weights come from."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

from ..errors import UsageError, nearest
from .backbones import EMBEDDED, timm
from .define import CNN_SIZE


def find_models(pattern: str = "") -> list[dict[str, Any]]:
    """Architectures whose name holds `pattern` (or matches it, with * and ?), offline ones first.

    Each is `{"name", "input" (side, pixels), "weights", "offline"}`. Raises `UsageError` where no
    name matches.
    """
    pattern = pattern.lower()
    wanted = pattern if any(c in pattern for c in "*?") else f"*{pattern}*"
    names = ["cnn", *EMBEDDED, *(n for n in timm().list_models() if n not in EMBEDDED)]
    found = [_describe(name) for name in names if fnmatch(name, wanted)]
    if not found:
        raise UsageError(f"no model is called {pattern!r}", hint=nearest(pattern, names))
    return found


def _describe(name: str) -> dict[str, Any]:
    if name == "cnn":
        return {"name": name, "input": CNN_SIZE, "weights": "random start", "offline": True}
    config = timm().get_pretrained_cfg(name)
    side = config.input_size[1] if config is not None else None
    if name in EMBEDDED:
        return {"name": name, "input": side, "weights": "ImageNet, installed", "offline": True}
    has_weights = config is not None and config.has_weights
    weights = "from the hub" if has_weights else "random start"
    return {"name": name, "input": side, "weights": weights, "offline": not has_weights}
