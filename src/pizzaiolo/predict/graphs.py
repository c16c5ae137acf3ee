"""Opens a model file that is a graph (.onnx, .ts, .pt2, .xml): its card, and what runs it.

The card is read and the file checked first; what runs the graph is imported after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.archive import Records, read_archive
from ..core.card import Card
from ..core.cards import assumed_card, card_of, check_labels, find_card, read_card
from ..errors import ModelFileError, UsageError
from .engines import Engine, OnnxEngine, OpenVinoEngine, Outputs, Pixels, TorchEngine, start_onnx

if TYPE_CHECKING:
    from .program import Program

IMAGE, OUTPUTS = ("image", "tensor(uint8)"), {"probabilities", "embedding"}


class GraphEngine:
    """The graph of a .ts or .pt2 file on the CPU, run by PyTorch."""

    batch = 1

    def __init__(self, graph: Any) -> None:
        self._run = TorchEngine(graph)
        self.workers, self.where = self._run.workers, self._run.where

    def __call__(self, pixels: Pixels) -> Outputs:
        return self._run(pixels)


def open_graph(
    path: Path, device: str = "cpu", labels: Sequence[str] | None = None
) -> tuple[Card, Engine]:
    """The card of a graph's file and what runs it on a device.

    `labels` name the classes of an ONNX model that has no card. Raises `ModelFileError` for a
    file that is damaged, not safe, or none of pizzaiolo's.
    """
    if path.suffix == ".onnx":
        card = _card_of_onnx(path, labels)
        return card, start_onnx(path, device, card.preprocess.size)
    if device not in ("auto", "cpu"):
        raise UsageError(
            f"a {path.suffix} model runs on the CPU, not on {device}",
            hint="leave --device out, or export the RUN as .onnx",
        )
    if path.suffix == ".xml":
        card = read_card(path)
        check_labels(card, labels, path)
        return card, OpenVinoEngine(path, card.preprocess.size, "f32")  # as PyTorch answers
    records = read_archive(path)
    card = card_of(records)
    check_labels(card, labels, path)
    return card, GraphEngine(_graph(path, records))


def _graph(path: Path, records: Records) -> Any | Program:
    """The graph of a .ts or .pt2 file, checked before it is given to PyTorch."""
    try:
        if path.suffix == ".ts":
            from .script import load_script

            return load_script(records)
        from .program import load_program

        return load_program(records)
    except ModelFileError as error:
        raise ModelFileError(f"{path} is refused: {error.message}", hint=error.hint) from None


def _card_of_onnx(path: Path, labels: Sequence[str] | None) -> Card:
    card = find_card(path) if labels else read_card(path)
    check_labels(card, labels, path)
    return card or _assumed(path, tuple(labels or ()))


def _assumed(path: Path, labels: tuple[str, ...]) -> Card:
    """A card for an ONNX model without one, if its graph is like those that are exported."""
    session = OnnxEngine(path).session
    inputs = [(given.name, given.type) for given in session.get_inputs()]
    outputs = {given.name: given.shape for given in session.get_outputs()}
    shape = session.get_inputs()[0].shape
    if inputs != [IMAGE] or len(shape) != 4 or shape[3] != 3 or not outputs.keys() >= OUTPUTS:
        raise ModelFileError(
            f"{path} has no card, takes {inputs} and gives {list(outputs)}; expected one input "
            "image, uint8 [N, H, W, 3], and the outputs probabilities and embedding",
            hint="docs/concepts/model-file.md describes the graph",
        )
    if outputs["probabilities"][-1] != len(labels):
        raise UsageError(
            f"{len(labels)} labels are named, {path} has {outputs['probabilities'][-1]} classes"
        )
    return assumed_card(path, labels, shape[1])
