"""What `pizzaiolo models` lists: architectures, their size and cost, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

from ..errors import UsageError, nearest
from .backbones import check_name
from .cnn import CNN_SIZE
from .counting import Count, counts
from .embedded import EMBEDDED
from .ensemble import JOIN, members_of
from .hub import weights_file
from .torchvision_fix import timm


def find_models(pattern: str = "") -> list[str]:
    """Architectures whose name holds `pattern` (or matches it, with * and ?), offline ones first.

    An ensemble `a+b` is itself. Raises `UsageError` where no name matches.
    """
    if JOIN in pattern:
        check_name(pattern)
        return [JOIN.join(members_of(pattern))]
    pattern = pattern.lower()
    wanted = pattern if any(c in pattern for c in "*?") else f"*{pattern}*"
    names = ["cnn", *EMBEDDED, *(n for n in timm().list_models() if n not in EMBEDDED)]
    found = [name for name in names if fnmatch(name, wanted)]
    if not found:
        raise UsageError(f"no model is called {pattern!r}", hint=nearest(pattern, names))
    return found


def describe(names: Sequence[str]) -> list[dict[str, Any]]:
    """What is known of each model.

    `{"name", "parameters" (with a layer for ImageNet's classes), "gflops" (1e9 multiply-adds for
    one picture of the input side), "megabytes" (of float32 weights), "input" (side, pixels),
    "test_input" (the side that its publisher tested it with), "weights" (where they come from),
    "licence" (of the weights), "offline" (it can be used as it is, without a network)}`. Of an
    ensemble these are sums, the largest sides, and what holds for all members.
    """
    known = counts(list(dict.fromkeys(member for name in names for member in members_of(name))))
    return [_joined(name, [_describe(m, known[m]) for m in members_of(name)]) for name in names]


def _joined(name: str, members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(members) == 1:
        return members[0]

    def all_of(key: str) -> list[Any]:
        return [member[key] for member in members]

    return {
        "name": name,
        "parameters": sum(all_of("parameters")),
        "gflops": None if None in all_of("gflops") else round(sum(all_of("gflops")), 3),
        "megabytes": round(sum(all_of("megabytes")), 1),
        "input": _largest(all_of("input")),
        "test_input": _largest(all_of("test_input")),
        "weights": "; ".join(dict.fromkeys(all_of("weights"))),
        "licence": "; ".join(dict.fromkeys(filter(None, all_of("licence")))) or None,
        "offline": all(all_of("offline")),
    }


def _largest(sides: Sequence[int | None]) -> int | None:
    return max(filter(None, sides), default=None)


def _describe(name: str, count: Count) -> dict[str, Any]:
    config = None if name == "cnn" else timm().get_pretrained_cfg(name)
    published = config is not None and config.has_weights
    installed = name in EMBEDDED
    weights = "from the hub" if published else "random start"
    side = CNN_SIZE if name == "cnn" else config.input_size[1] if config else None
    cost = count.multiply_adds
    return {
        "name": name,
        "parameters": count.parameters,
        "gflops": None if cost is None else round(cost / 1e9, 3),
        "megabytes": round(4 * count.parameters / 1e6, 1),
        "input": side,
        "test_input": config.test_input_size[1] if config and config.test_input_size else side,
        "weights": "ImageNet, installed" if installed else weights,
        "licence": (config.license or "unknown") if config and config.has_weights else None,
        "offline": installed or not published or weights_file(name) is not None,
    }
