"""Does the exported file answer as PyTorch does? On real pictures, through the whole pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..console import log
from ..errors import GateError, ImageError, InputError
from ..predict import Predictor

T = TypeVar("T")
BATCHES = (1, 2, 7)


@dataclass(frozen=True)
class Parity:
    """How two models agree: pictures compared, the largest difference of any probability, and
    the share of pictures with the same verdict."""

    pictures: int
    max_abs_difference: float
    agreement: float

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready values."""
        return asdict(self)


def compare(
    reference: Predictor, candidate: Predictor, files: Sequence[Path], pixels: NDArray[np.uint8]
) -> Parity:
    """Compare two models from file bytes to verdict, and on stacked pixels at batch 1, 2 and 7.

    `pixels` is uint8 [N, H, W, 3], N at least 7: what the files become.
    """
    gaps = [_difference(reference, candidate, pixels[:size]) for size in BATCHES]
    same = 0
    pairs = zip(reference.predict_many(files), candidate.predict_many(files), strict=True)
    for expected, received in pairs:
        same += expected.verdict == received.verdict and expected.error == received.error
        if expected.probabilities and received.probabilities:
            gaps += [abs(p - received.probabilities[n]) for n, p in expected.probabilities.items()]
    return Parity(len(files), float(np.max(gaps)), same / len(files))  # NaN where any is


def _difference(reference: Predictor, candidate: Predictor, pixels: NDArray[np.uint8]) -> float:
    expected = reference.run(pixels)[0]
    try:
        received = candidate.engine(pixels)[0]  # the file as it is: others run it at any batch
    except Exception as error:  # onnxruntime raises many kinds, none of them exported
        reason = str(error).splitlines()[0][:200]
        raise GateError(
            f"the exported model fails on a batch of {len(pixels)}: {reason}; the file was not kept"
        ) from error
    if expected.shape != received.shape:
        raise GateError(f"the exported model gives {received.shape}, PyTorch {expected.shape}")
    return float(np.abs(expected - received).max())


def check(parity: Parity, tolerance: float) -> None:
    """Raise `GateError` unless every verdict agrees within the tolerance."""
    if parity.agreement == 1 and parity.max_abs_difference <= tolerance:
        return
    raise GateError(
        f"the exported model differs from PyTorch: largest difference "
        f"{parity.max_abs_difference:.2e} (allowed {tolerance:.0e}), same verdict for "
        f"{parity.agreement:.1%} of {parity.pictures} pictures; the file was not kept",
        hint="raise --tolerance only if such a difference does no harm to your use",
    )


def load_pixels(
    predictor: Predictor, files: Sequence[Path]
) -> tuple[list[Path], NDArray[np.uint8]]:
    """The files that can be read, and what the model sees of them: uint8 [N, H, W, 3].

    Few pictures are repeated, so that N is at least 7. Raises `InputError` where none can be read.
    """
    good, loaded, bad = [], [], []
    for file in files:
        try:
            loaded.append(predictor.card.preprocess.load(file))
            good.append(file)
        except ImageError as error:
            bad.append(f"{file}: {error.message}")
    if not good:
        raise InputError(
            "no picture to check the exported model on can be read"
            + (f", the first of {len(bad)} is {bad[0]}" if bad else ""),
            hint="name a folder of pictures with --sample",
        )
    if bad:
        log.warning("%s pictures can't be read and are not part of the check: %s", len(bad), bad)
    return good, np.stack(loaded)[np.arange(max(len(good), *BATCHES)) % len(good)]


def spread(items: Sequence[T], count: int) -> list[T]:
    """Up to `count` of the items, evenly."""
    kept = min(count, len(items))
    return [items[i * len(items) // kept] for i in range(kept)]
