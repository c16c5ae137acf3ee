"""What every exporter of the deployed graph shares: an example, silence, and one clear error."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch
from torch import Tensor

from ..core.card import Card
from ..errors import ModelFileError, WorkError

BATCH = {"image": {0: torch.export.Dim("n", min=1)}}  # the batch is free


def example(card: Card) -> Tensor:
    """Two pictures of noise, uint8 [2, H, W, 3]."""
    size = card.preprocess.size
    return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)


@contextmanager
def exporting(kind: str) -> Iterator[None]:
    """What the block prints and warns is dropped; what it raises becomes one `WorkError`."""
    try:
        with _quiet(), torch.no_grad():
            yield
    except ModelFileError as error:  # of our own check: no such file would be opened again
        raise _refused(kind, error.message) from error
    except Exception as error:  # an exporter wraps whatever the network's code raises
        raise _refused(kind, _cause(error)) from error


def _refused(kind: str, why: str) -> WorkError:
    return WorkError(
        f"the network can't be exported to {kind}: {why}",
        hint="predict and serve take the .pt file as well, where PyTorch is installed",
    )


def _cause(error: BaseException) -> str:
    """The first line of the error at the bottom; those above it speak of the exporter."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters talk of their own internals on stdout and stderr, in warnings and in logs."""
    before, sink = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
