"""The way as a table: every tensor with its shape, its type and its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.preprocess import Preprocess
from ..predict import Predictor
from .way import Way, follow

MOST_SHARES = 5  # classes whose probability stands in a line


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
    return stages_of(follow(predictor, picture))


def stages_of(way: Way) -> list[Stage]:
    """The stages of a picture that was followed."""
    return [*_before_the_network(way), *_network(way)]


def _before_the_network(way: Way) -> Iterator[Stage]:
    header, preprocess = way.header, way.card.preprocess
    yield _stage("file", np.frombuffer(way.data, np.uint8), f"{header.format} bytes on disk")
    turned = f", turned upright (EXIF {header.orientation})" if header.orientation > 1 else ""
    stored = f"decoded from {header.mode} {header.width} x {header.height}{turned}"
    yield _stage("pixels", np.asarray(way.picture), f"[height, width, RGB] {stored}")
    yield _stage("input", way.pixels, f"[height, width, RGB] {how_resized(preprocess)}")
    scale = f"(x / 255 - {written(preprocess.mean)}) / {written(preprocess.std)}"
    yield _stage("tensor", way.tensor, f"[batch, RGB, height, width] {scale}")


def how_resized(preprocess: Preprocess) -> str:
    """What makes a picture as large as the model wants it, in words."""
    how = f"short side to {preprocess.short_side}, {preprocess.mode} {preprocess.size}"
    if preprocess.mode != "crop":
        how = f"{preprocess.mode} to {preprocess.size}"
    return f"{preprocess.filter}, {how}"


def written(values: tuple[float, ...]) -> str:
    """The numbers of the channels, once where all are the same."""
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def _network(way: Way) -> Iterator[Stage]:
    for index, maps in enumerate(way.maps or (), start=1):
        yield _stage(f"feature maps {index}", maps, "[batch, channels, height, width]")
    pooled = " mean over each last feature map" if is_pooled(way) else ""
    yield _stage("embedding", way.embedding, f"[batch, features]{pooled}")
    yield _stage("logits", way.logits, f"[batch, classes] {_logits_are(way)}")
    yield _stage("probabilities", way.probabilities, _shares(way))
    share = np.asarray([way.answer.confidence], np.float32)
    yield _stage("verdict", share, f"{way.answer.verdict}, {way.answer.sure}")


def is_pooled(way: Way) -> bool:
    """Whether the embedding is the mean of each of the last feature maps."""
    if not way.maps or way.maps[-1].shape[:2] != way.embedding.shape:
        return False
    means = way.maps[-1].mean(axis=(2, 3))
    return bool(np.allclose(means, way.embedding, rtol=1e-3, atol=1e-4))


def _logits_are(way: Way) -> str:
    after = " after the calibration of each class," if way.card.scales else ""
    return f"up to a constant;{after} softmax follows"


def _shares(way: Way) -> str:
    """The likeliest classes with their probabilities, in the order of the classes."""
    pairs = list(zip(way.card.labels.names, way.probabilities[0].tolist(), strict=True))
    kept = set(sorted(pairs, key=lambda pair: -pair[1])[:MOST_SHARES])
    text = ", ".join(f"{name} {share:.3f}" for name, share in pairs if (name, share) in kept)
    left = len(pairs) - len(kept)
    return text + (f" and {left:,} more" if left else "")


def _stage(name: str, array: NDArray[Any], note: str) -> Stage:
    low, high, mean = float(array.min()), float(array.max()), float(array.mean())
    return Stage(name, array.shape, str(array.dtype), low, high, mean, note)
