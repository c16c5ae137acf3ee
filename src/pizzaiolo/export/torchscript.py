"""One TorchScript file (.ts): the traced graph with its weights and the card.

PyTorch has deprecated TorchScript: `torch.export` (.pt2) is its successor. The file is for
programs that read nothing else.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from ..core.archive import pack, records_of, sealed
from ..core.card import Card
from ..predict.script import check_script
from .graph import BATCH, example, exporting

SOURCES = r"\.debug_pkl$"  # which line of which file, on the machine of whoever exported it


def write_torchscript(network: nn.Module, card: Card, path: Path) -> None:
    """Export the deployed graph, one method of operators that `pizzaiolo` reads as safe.

    The network is put into eval mode. Raises `WorkError` for what a trace can't hold.
    """
    with exporting("TorchScript"):
        given = (example(card),)
        # A trace quietly keeps one branch of an `if` that hangs on the picture; this raises.
        torch.export.export(network.eval(), given, dynamic_shapes=BATCH)
        traced = torch.jit.trace(network, given, check_trace=False)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced, optimize_numerics=False)
        written = io.BytesIO()
        torch.jit.save(frozen, written)
        records = records_of(written.getvalue(), dropped=SOURCES)
        check_script(records)
    path.write_bytes(pack(sealed(records, card.to_json())))
