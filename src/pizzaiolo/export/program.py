"""One exported program (.pt2): the graph of `torch.export` with its weights and the card."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from torch import nn

from ..core.archive import Records, pack, records_of, sealed
from ..core.card import Card
from ..predict.program import EXAMPLE, GRAPH, load_program
from .graph import BATCH, example, exporting


def write_program(network: nn.Module, card: Card, path: Path) -> None:
    """Export the deployed graph; `torch.export.load` reads the file as well.

    The network is put into eval mode. Raises `WorkError` for what `torch.export` can't express.
    """
    with exporting("an exported program"):
        program = torch.export.export(network.eval(), (example(card),), dynamic_shapes=BATCH)
        written = io.BytesIO()
        torch.export.save(program, written)
        records = _plain(records_of(written.getvalue()))
        load_program(records)
    path.write_bytes(pack(sealed(records, card.to_json())))


def _plain(records: Records) -> Records:
    """Without the example, which is a pickle, and the lines of source that each node came from."""
    graph = json.loads(records[GRAPH])
    for node in graph["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    return {**records, GRAPH: json.dumps(graph).encode(), EXAMPLE: b""}
