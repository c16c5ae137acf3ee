"""One ONNX file: dynamic batch, uint8 NHWC in, probabilities and embedding out, card inside."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..core.card import Card
from ..core.onnx_file import seal
from .graph import BATCH, example, exporting


def write_onnx(network: nn.Module, card: Card, path: Path, opset: int) -> None:
    """Export the deployed graph (`image` -> `probabilities`, `embedding`) with its card.

    The network is put into eval mode. Raises `WorkError` for what ONNX can't express.
    """
    path.write_bytes(seal(onnx_graph(network, card, opset), card.to_json()))


def onnx_graph(network: nn.Module, card: Card, opset: int) -> bytes:
    """The deployed graph as ONNX, without its card."""
    with exporting("ONNX"):
        program = torch.onnx.export(
            network.eval(),
            (example(card),),
            dynamo=True,
            opset_version=opset,
            input_names=["image"],
            output_names=["probabilities", "embedding"],
            dynamic_shapes=BATCH,
            verbose=False,
        )
        assert program is not None
        graph: bytes = program.model_proto.SerializeToString()
    return graph
