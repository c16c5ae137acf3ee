"""The feature maps inside a network: the last ones of every resolution."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..predict import Pixels, Predictor, TorchEngine

MAX_STAGES = 8
COLOURS = 3  # what has so many channels or fewer is still a picture

Maps = NDArray[np.float32]


def feature_maps(predictor: Predictor, pixels: Pixels) -> list[Maps] | None:
    """The last feature maps [1, C, H, W] of every resolution inside the network.

    None where they can't be seen: an ONNX file without the `onnx` package, other graphs.
    """
    engine, path = predictor.engine, predictor.path
    if isinstance(engine, TorchEngine):
        return _torch_maps(engine, pixels)
    if path is not None and path.suffix == ".onnx" and path.is_file():
        return _onnx_maps(path, pixels)
    return None


def _torch_maps(engine: TorchEngine, pixels: Pixels) -> list[Maps]:
    import torch

    found: dict[int, Maps] = {}

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and _is_map(output.shape):
            found[output.shape[2]] = output.detach().float().cpu().numpy()

    hooks = [module.register_forward_hook(keep) for module in engine.network.modules()]
    try:
        engine(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return [found[side] for side in _sides(found)]


def _onnx_maps(path: Path, pixels: Pixels) -> list[Maps] | None:
    """The same from an ONNX file, by naming inner tensors as outputs (needs the onnx package)."""
    try:
        import onnx
    except ImportError:
        return None
    import onnxruntime

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    chosen = _chosen_values(model.graph, onnx.TensorProto.FLOAT)
    if not chosen:
        return []
    model.graph.output.extend(chosen)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run([value.name for value in chosen], {"image": pixels}))


def _chosen_values(graph: Any, kind: int) -> list[Any]:
    """What the graph computes last at each resolution, of this type."""
    known = {value.name: value for value in graph.value_info}
    last: dict[int, Any] = {}
    for name in (name for node in graph.node for name in node.output):
        value = known.get(name)
        if value is None or value.type.tensor_type.elem_type != kind:
            continue
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if _is_map(shape):
            last[shape[2]] = value
    return [last[side] for side in _sides(last)]


def _is_map(shape: Iterable[int]) -> bool:
    """Whether a tensor [N, C, H, W] is square, and neither a picture nor a single point."""
    match list(shape):
        case [_, int(channels), int(height), int(width)]:
            return height == width > 1 and channels > COLOURS
    return False


def _sides(found: Iterable[int]) -> list[int]:
    return sorted(found, reverse=True)[:MAX_STAGES]
