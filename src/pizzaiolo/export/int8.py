"""`pizzaiolo export --int8`: the ranges from training pictures, the gate on validation pictures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config import ExportConfig
from ..console import track
from ..core.card import Card
from ..core.manifest import Dataset
from ..errors import InputError
from ..predict import BATCH, Engine, OnnxEngine, Pixels, Predictor, TorchEngine
from .latency import latency
from .onnx import write_onnx
from .parity import spread
from .quantise import Quantiser, choose

MOST_JUDGED = 1_000  # validation pictures: their pixels lie in memory, 150 MB


@dataclass(frozen=True)
class Judged:
    """Pictures with their true labels: uint8 [N, H, W, 3] and N names."""

    pixels: Pixels
    truth: tuple[str, ...]

    def accuracy(self, engine: Engine, card: Card) -> float:
        """The share of pictures whose label is right."""
        right, starts = 0, range(0, len(self.pixels), BATCH)
        for start in track(starts, "answering validation pictures", len(starts)):
            rows = engine(self.pixels[start : start + BATCH])[0].tolist()
            truth = self.truth[start : start + BATCH]
            right += sum(card.labels.decide(r).label == t for r, t in zip(rows, truth, strict=True))
        return right / len(self.truth)


def write_int8(
    reference: Predictor, path: Path, dataset: Dataset, config: ExportConfig
) -> dict[str, Any]:
    """Write an ONNX file in int8, if it loses no more than `max_drop` points of accuracy.

    Returns its `gate`, `layers` and `latency`. Raises `GateError` with the figures where it loses
    more.
    """
    assert isinstance(reference.engine, TorchEngine)
    card = reference.card
    _check_classes(dataset, card)
    seen = _load(dataset, "train", config.calibration, card).pixels
    judged = _load(dataset, "validation", MOST_JUDGED, card)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, draft = folder / "plain.onnx", folder / "int8.onnx"
        write_onnx(reference.engine.network, card, plain, config.opset)
        before = judged.accuracy(OnnxEngine(plain), card)
        quantiser = Quantiser(plain, seen, folder)
        least = before - config.max_drop / 100 - 1e-9
        chosen = choose(quantiser, draft, lambda f: judged.accuracy(OnnxEngine(f), card), least)
        note = f"int8: accuracy {chosen.accuracy:.4f} on validation, {before:.4f} in float32"
        kept = [layer for layer in quantiser.layers if layer not in chosen.left_out]
        quantiser.write(path, kept, card.with_(notes=(*card.notes, note)).to_json())
        times = [latency(OnnxEngine(f), card.preprocess.size) for f in (path, plain)]
    return {
        "gate": {
            "accuracy": chosen.accuracy,
            "fp32_accuracy": before,
            "pictures": len(judged.truth),
            "drop": 100 * (before - chosen.accuracy),
            "max_drop": config.max_drop,
            "passed": True,
        },
        "layers": {"int8": chosen.layers, "fp32": len(chosen.left_out)},
        "latency": {"int8_ms": times[0], "fp32_ms": times[1]},
    }


def _check_classes(dataset: Dataset, card: Card) -> None:
    if set(dataset.labels.names) != set(card.labels.names):
        raise InputError(
            f"{dataset.root} has the classes {', '.join(dataset.labels.names)}, the model "
            f"{', '.join(card.labels.names)}",
            hint="name the DATASET that it was trained on with --sample",
        )


def _load(dataset: Dataset, split: str, count: int, card: Card) -> Judged:
    """Up to `count` pictures of a split, spread evenly over it."""
    rows = spread(dataset.split(split), count)
    if not rows:
        raise InputError(
            f"{dataset.root} has no {split} pictures, int8 needs some",
            hint="name a DATASET with --sample",
        )
    loaded = track(rows, f"reading {split} pictures", len(rows))
    pixels = [card.preprocess.load(dataset.picture(row)) for row in loaded]
    return Judged(np.stack(pixels), tuple(row.label for row in rows))
