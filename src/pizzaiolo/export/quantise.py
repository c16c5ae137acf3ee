"""int8 arithmetic for an ONNX file, kept only where the answers stay right.

Static quantisation: the ranges of all intermediate values are seen on training pictures, weights
and values become 8-bit numbers, with one scale for each channel of the weights. Where that costs
too much accuracy, the layers that are harmed most stay in float32.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..console import log, track
from ..core.onnx_file import seal
from ..errors import GateError
from ..predict import OnnxEngine, Pixels
from .graph import exporting

LAYERS = ("Conv", "Gemm", "MatMul")  # with weights: what takes the time
BETWEEN = ("Add", "Clip", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat")
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the layers, left in float32 one after the other
CALIBRATION_BATCH = 8
JUDGED_BY = 16  # pictures, when the harm of each layer is measured


@dataclass(frozen=True)
class Chosen:
    """The layers in int8 and those left in float32, and the accuracy with them."""

    layers: int
    left_out: tuple[str, ...]
    accuracy: float


class Quantiser:
    """An ONNX model, the ranges of its values on some pictures, and int8 copies of it."""

    def __init__(self, model: Path, pictures: Pixels, folder: Path) -> None:
        self._pictures, self._folder = pictures, folder
        with exporting("int8"):
            self._model = _prepared(model, folder)
            self._ranges = _ranges(folder / "prepared.onnx", pictures)
        self.layers = [n.name for n in _before_embedding(self._model) if n.op_type in LAYERS]
        self._between = [n.name for n in _before_embedding(self._model) if n.op_type in BETWEEN]

    def write(self, path: Path, layers: Collection[str], card: str | None = None) -> None:
        """Write a copy with these layers in int8."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        with exporting("int8"):
            quantiser = QDQQuantizer(
                copy.deepcopy(self._model),
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=self._ranges,
                nodes_to_quantize=[*layers, *self._between],
                nodes_to_exclude=[],
                op_types_to_quantize=[*LAYERS, *BETWEEN],
                extra_options={},
            )
            quantiser.quantize_model()
            data: bytes = quantiser.model.model.SerializeToString()
        path.write_bytes(data if card is None else seal(data, card))

    def most_harmed(self) -> list[str]:
        """The layers, first those that change the embedding most when they alone are in int8."""
        pictures = self._pictures[:JUDGED_BY]
        expected = OnnxEngine(self._folder / "prepared.onnx")(pictures)[1]
        harm: dict[str, float] = {}
        for layer in track(self.layers, "which layers int8 harms"):
            path = self._folder / "one.onnx"
            self.write(path, [layer])
            found = OnnxEngine(path)(pictures)[1]
            harm[layer] = float(np.linalg.norm(found - expected))
        return sorted(self.layers, key=lambda layer: -harm[layer])


def choose(
    quantiser: Quantiser, path: Path, judge: Callable[[Path], float], least: float
) -> Chosen:
    """Write int8 copies, each with more layers in float32, until one is judged `least` or better.

    `judge` gives a file's accuracy on pictures that took no part in anything before. Raises
    `GateError` where none is good enough.
    """
    order: Sequence[str] = ()
    found: list[float] = []
    for share in (0, *SHARES):
        if share and not order:
            log.info("accuracy with all layers in int8 is %.1f %%, too low", 100 * found[0])
            order = quantiser.most_harmed()
        left_out = tuple(order[: math.ceil(share * len(quantiser.layers))])
        kept = [layer for layer in quantiser.layers if layer not in left_out]
        quantiser.write(path, kept)
        found.append(judge(path))
        if found[-1] >= least:
            return Chosen(len(kept), left_out, found[-1])
    raise GateError(
        f"int8 loses too much: accuracy {max(found):.1%} at best, with up to half of the "
        f"{len(quantiser.layers)} layers left in float32; at least {least:.1%} is allowed; "
        "the file was not kept",
        hint="raise --max-drop, or export without int8",
    )


def _prepared(model: Path, folder: Path) -> Any:
    """The model with what belongs together fused and all shapes known."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = folder / "prepared.onnx"
    quant_pre_process(str(model), str(path), skip_symbolic_shape=True)
    prepared = onnx.load(path)
    del prepared.metadata_props[:]  # the card comes back with the sum
    return prepared


def _ranges(model: Path, pictures: Pixels) -> Any:
    """The least and the largest value of each tensor on the pictures."""
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization.calibrate import create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = _batches(pictures)

        def get_next(self) -> dict[str, Pixels] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            model, [*LAYERS, *BETWEEN], str(Path(folder) / "augmented.onnx")
        )
        calibrator.collect_data(Reader())
        return calibrator.compute_data()


def _batches(pictures: Pixels) -> Iterator[dict[str, Pixels]]:
    for start in range(0, len(pictures), CALIBRATION_BATCH):
        yield {"image": pictures[start : start + CALIBRATION_BATCH]}


def _before_embedding(model: Any) -> list[Any]:
    """The nodes that the embedding is made from, in order: the head's few sums stay exact."""
    makers = {name: node for node in model.graph.node for name in node.output}
    wanted, found = ["embedding"], set()
    while wanted:
        node = makers.get(wanted.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            wanted += node.input
    return [node for node in model.graph.node if node.name in found]
