"""One picture followed from its bytes to the verdict: every array on the way is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.card import Card
from ..core.image import Header, read_bytes, read_picture
from ..errors import ImageError
from ..predict import Answer, Pixels, Predictor
from .maps import Maps, feature_maps

Reals = NDArray[np.float32]
TINY = 1e-12  # the least probability whose logarithm is taken


@dataclass(frozen=True)
class Way:
    """What one picture was at each stage.

    `picture` is the whole picture, upright and RGB; `decoded` is what the model's own path
    decodes, smaller for a large JPEG; `resized` is that before the crop. `pixels` is uint8
    [H, W, 3], `tensor` float32 [1, 3, H, W], `maps` are [1, C, h, w], `embedding` is [1, D],
    `logits` and `probabilities` are [1, C]. `maps` are None where they can't be seen.
    """

    path: Path
    model: Path | None
    card: Card
    data: bytes
    header: Header
    picture: Image.Image
    decoded: Image.Image
    resized: Image.Image
    pixels: Pixels
    tensor: Reals
    maps: list[Maps] | None
    embedding: Reals
    logits: Reals
    probabilities: Reals
    answer: Answer


def follow(predictor: Predictor, picture: Path | str) -> Way:
    """Follow one picture from its bytes to the verdict; raises `ImageError` for a bad one."""
    path, card = Path(picture), predictor.card
    data = read_bytes(path)
    whole, header = read_picture(data)
    decoded, _ = read_picture(data, short_side=card.preprocess.short_side)
    pixels = card.preprocess(decoded)
    answer = predictor.predict(path)
    if answer.error is not None:
        raise ImageError(answer.error["message"], code=answer.error["code"])
    probabilities, embedding = predictor.run(pixels[None])
    return Way(
        path, predictor.path, card, data, header, whole, decoded,
        card.preprocess.resized(decoded), pixels, card.preprocess.normalise(pixels[None]),
        feature_maps(predictor, pixels[None]), embedding, logits_of(probabilities, card),
        probabilities, answer,
    )  # fmt: skip


def logits_of(probabilities: Reals, card: Card) -> Reals:
    """The logits [N, C] behind calibrated probabilities [N, C], up to a number for each picture.

    A model file gives no logits; they are worked back through softmax and temperature. Where a
    calibration by class (`card.scales`) follows those, they are the logits after it.
    """
    logs = np.log(np.clip(probabilities, TINY, 1))
    return np.asarray(logs if card.scales else logs * np.float32(card.temperature), np.float32)
