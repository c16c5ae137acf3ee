"""What each suffix of `export --out` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from ..config import ExportConfig
from ..core.card import Card

Write = Callable[[nn.Module, Card, Path, ExportConfig], None]


def write(network: nn.Module, card: Card, path: Path, config: ExportConfig) -> None:
    """Write the deployed graph in the format of the path's suffix, with its card."""
    _WRITERS[path.suffix](network, card, path, config)


def _onnx(network: nn.Module, card: Card, path: Path, config: ExportConfig) -> None:
    from .onnx import write_onnx

    write_onnx(network, card, path, config.opset)


def _torchscript(network: nn.Module, card: Card, path: Path, config: ExportConfig) -> None:
    from .torchscript import write_torchscript

    write_torchscript(network, card, path)


def _program(network: nn.Module, card: Card, path: Path, config: ExportConfig) -> None:
    from .program import write_program

    write_program(network, card, path)


def _openvino(network: nn.Module, card: Card, path: Path, config: ExportConfig) -> None:
    from .openvino import write_openvino

    write_openvino(network, card, path, config.opset)


_WRITERS: dict[str, Write] = {
    ".onnx": _onnx, ".ts": _torchscript, ".pt2": _program, ".xml": _openvino,
}  # fmt: skip
