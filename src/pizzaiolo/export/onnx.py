"""One ONNX file: dynamic batch, uint8 NHWC in, probabilities and embedding out, card inside."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import nn

from ..core.bundle import CARD_KEY
from ..core.card import Card
from ..errors import WorkError


def write_onnx(network: nn.Module, card: Card, path: Path, opset: int) -> None:
    """Export the deployed graph (`image` -> `probabilities`, `embedding`) with its card.

    The network is put into eval mode. Raises `WorkError` for what ONNX can't express.
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
        assert program is not None
        model = program.model_proto
        entry = model.metadata_props.add()
        entry.key, entry.value = CARD_KEY, card.to_json()
        data: bytes = model.SerializeToString()
    except Exception as error:  # the exporter wraps whatever the network's code raises
        raise WorkError(
            f"the network can't be exported to ONNX: {_cause(error)}",
            hint="predict and serve take the .pt file as well, where PyTorch is installed",
        ) from error
    path.write_bytes(data)


def _cause(error: BaseException) -> str:
    """The first line of the error at the bottom; those above it speak of the exporter."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks of its own internals on stdout and stderr, in warnings and in logs."""
    before, sink = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
