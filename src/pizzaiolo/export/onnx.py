"""One ONNX file: dynamic batch, uint8 NHWC in, probabilities and embedding out, card inside."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from torch import nn

from ..core.bundle import CARD_KEY
from ..core.card import Card
from ..errors import WorkError


def write_onnx(network: nn.Module, card: Card, path: Path, opset: int) -> None:
    """Export the deployed graph (`image` -> `probabilities`, `embedding`) with its card.

    The network is put into eval mode. Raises `WorkError` for an operator that ONNX lacks.
    """
    size = card.preprocess.size
    example = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.onnx.export(
                network.eval(),
                (example,),
                dynamo=True,
                opset_version=opset,
                input_names=["image"],
                output_names=["probabilities", "embedding"],
                dynamic_shapes={"image": {0: torch.export.Dim("n", min=1)}},
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever the network's code raises
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
        raise WorkError(f"the network can't be exported to ONNX: {reason}") from error
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.to_json()
    path.write_bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks of its own internals on stdout, in warnings and in logs."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
