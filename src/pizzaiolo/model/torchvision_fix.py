"""Makes `import torchvision` work beside a CPU build of torch.

PyPI's torchvision is built for the CUDA torch; beside a CPU build its compiled operators can't
load and the import dies with "operator torchvision::nms does not exist", although models and
transforms are pure Python. Declaring the operators' names is enough. `timm()` does so first.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

import torch

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a Library takes its operators with it when it dies


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operators only when the plain import fails."""
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in _OPERATORS:
            library.define(operator)  # type: ignore[no-untyped-call]
        _declared.append(library)
        import_module("torchvision")


@cache
def timm() -> Any:
    """The timm package, with torchvision made importable first."""
    from ..step import loading  # here, for this file also runs on its own

    with loading():
        ensure_torchvision()
        return import_module("timm")
