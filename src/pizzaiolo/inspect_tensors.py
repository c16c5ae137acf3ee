"""What a picture becomes on its way to an answer: every tensor with its shape and values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core.image import read_bytes, read_header, read_image
from .errors import ImageError
from .predict import OnnxEngine, Predictor, TorchEngine

MAX_STAGES = 8


@dataclass(frozen=True)
class Stage:
    """One stop on the way: its name, the array's shape and type, its values, what happened."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float
    mean: float
    note: str

    def to_json(self) -> dict[str, Any]:
        """The stage as JSON-ready values."""
        return {**asdict(self), "shape": list(self.shape)}


def inspect(predictor: Predictor, picture: Path | str) -> list[Stage]:
    """Follow one picture from its bytes to the verdict; raises `ImageError` for a bad one."""
    return [*_before_the_network(predictor, Path(picture)), *_network(predictor, Path(picture))]


def _before_the_network(predictor: Predictor, picture: Path) -> Iterator[Stage]:
    preprocess = predictor.card.preprocess
    data = read_bytes(picture)
    header = read_header(data)
    image = read_image(data)
    yield _stage("file", np.frombuffer(data, np.uint8), f"{header.format} bytes on disk")
    turned = f", turned upright (EXIF {header.orientation})" if header.orientation > 1 else ""
    stored = f"decoded from {header.mode} {header.width} x {header.height}{turned}"
    yield _stage("pixels", np.asarray(image), f"[height, width, RGB] {stored}")
    pixels = preprocess.load(data)
    how = f"short side to {preprocess.short_side}, {preprocess.mode} {preprocess.size}"
    if preprocess.mode != "crop":
        how = f"{preprocess.mode} to {preprocess.size}"
    yield _stage("input", pixels, f"[height, width, RGB] {preprocess.filter}, {how}")
    scale = f"(x / 255 - {preprocess.mean[0]:g}) / {preprocess.std[0]:g}"
    tensor = preprocess.normalise(pixels[None])
    yield _stage("tensor", tensor, f"[batch, RGB, height, width] {scale}")


def _network(predictor: Predictor, picture: Path) -> Iterator[Stage]:
    pixels = predictor.card.preprocess.load(picture)[None]
    for index, maps in enumerate(_feature_maps(predictor, pixels), start=1):
        yield _stage(f"feature maps {index}", maps, "[batch, channels, height, width]")
    probabilities, embedding = predictor.run(pixels)
    yield _stage("embedding", embedding, "[batch, features] mean over each last feature map")
    logits = np.log(np.clip(probabilities, 1e-12, 1)) * np.float32(predictor.card.temperature)
    yield _stage("logits", logits, "[batch, classes] up to a constant; softmax follows")
    shares = ", ".join(
        f"{name} {share:.3f}"
        for name, share in zip(predictor.labels.names, probabilities[0].tolist(), strict=True)
    )
    yield _stage("probabilities", probabilities, shares)
    answer = predictor.predict(picture)
    if answer.error is not None:
        raise ImageError(answer.error["message"], code=answer.error["code"])
    share = np.asarray([answer.confidence], np.float32)
    yield _stage("verdict", share, f"{answer.verdict}, {answer.sure}")


def _stage(name: str, array: NDArray[Any], note: str) -> Stage:
    low, high, mean = float(array.min()), float(array.max()), float(array.mean())
    return Stage(name, array.shape, str(array.dtype), low, high, mean, note)


def _feature_maps(predictor: Predictor, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """The last feature maps [1, C, H, W] of every resolution inside the network."""
    engine = predictor.engine
    if isinstance(engine, TorchEngine):
        return _torch_maps(engine, pixels)
    if isinstance(engine, OnnxEngine) and predictor.path is not None:
        return _onnx_maps(predictor.path, pixels)
    return []


def _torch_maps(engine: TorchEngine, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    import torch

    found: dict[int, NDArray[np.float32]] = {}

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2] > 1:
            found[output.shape[2]] = output.detach().float().cpu().numpy()

    hooks = [module.register_forward_hook(keep) for module in engine.network.modules()]
    try:
        engine(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.values())[:MAX_STAGES]


def _onnx_maps(path: Path, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """The same from an ONNX file, by naming inner tensors as outputs (needs the onnx package)."""
    try:
        import onnx
    except ImportError:
        return []
    import onnxruntime

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    last: dict[int, Any] = {}
    for value in model.graph.value_info:
        sides = [d.dim_value for d in value.type.tensor_type.shape.dim]
        is_float = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        if len(sides) == 4 and is_float and sides[2] == sides[3] > 1 and sides[1] > 3:
            last[sides[2]] = value
    chosen = sorted(last.values(), key=lambda v: -v.type.tensor_type.shape.dim[2].dim_value)
    chosen = chosen[:MAX_STAGES]
    if not chosen:
        return []
    model.graph.output.extend(chosen)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in chosen]
    return list(session.run(names, {"image": pixels}))
