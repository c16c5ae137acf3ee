"""One model in OpenVINO's own format: an .xml of the graph with the card, its weights in a .bin."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..core.bundle import CARD_KEY
from ..core.card import Card
from ..core.openvino_file import NO_SUM, SUM_KEY, seal
from .graph import exporting
from .onnx import onnx_graph


def write_openvino(network: nn.Module, card: Card, path: Path, opset: int) -> None:
    """Export the deployed graph by way of ONNX, in float32.

    Raises `WorkError` for what ONNX or OpenVINO can't express.
    """
    import openvino

    between = onnx_graph(network, card, opset)
    with exporting("OpenVINO"):
        graph = openvino.Core().read_model(between)
        graph.set_rt_info(card.to_json(), [CARD_KEY])
        graph.set_rt_info(NO_SUM, [SUM_KEY])
        openvino.save_model(graph, path, compress_to_fp16=False)
    seal(path)
