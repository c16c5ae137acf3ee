"""Where a model runs: the names that `--device` takes, and which of them are here."""

from __future__ import annotations

import os
from importlib.util import find_spec

from ..errors import MissingExtraError, UsageError, nearest

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
GPUS = ("cuda", "directml")  # what `auto` takes, the first that is there
DEVICES = ("auto", *PROVIDERS, "openvino")


def check_device(name: str) -> None:
    """Raise `UsageError` for a name that is none of a device."""
    if name not in DEVICES:
        raise UsageError(f"the device {name!r} is not known", hint=nearest(name, DEVICES))


def devices_here() -> list[str]:
    """The devices on which an ONNX model can run with what is installed."""
    import onnxruntime

    offered = onnxruntime.get_available_providers()
    own = [device for device, provider in PROVIDERS.items() if provider in offered]
    return [*own, "openvino"] if find_spec("openvino") else own


def not_here(device: str, why: str) -> UsageError:
    """The error for a device that an ONNX model can't run on here."""
    return UsageError(f"the device {device} {why}", hint=f"here: {', '.join(devices_here())}")


def check_here(device: str) -> None:
    """Raise `UsageError` or `MissingExtraError` for a device that nothing installed offers."""
    here = devices_here()
    if device in here:
        return
    if device == "openvino":
        raise MissingExtraError(
            "the device openvino needs the package 'openvino', which is not installed",
            hint=f"pip install 'pizzaiolo[openvino]'; here: {', '.join(here)}",
        )
    raise not_here(device, "is not there: the installed onnxruntime was built without it")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
