"""What the model looked at: what the answer loses where a part of the picture is hidden.

Occlusion (Zeiler and Fergus 2014), for any model: a grey square covers a part, and the log-odds of
the class fall by what that part said. The squares overlap, so that each place is told by up to
four. Of pictures composed of a pizza and another dish 82 % of the map lies on the pizza; with the
gradients of a RUN, as `evaluate` explains, 94 % does.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.heat import Heat, overlay, unit
from ..core.image import Limits
from ..predict import Answer, Pixels, Predictor

CELLS = 8  # along a side of the map
COVERED = 2  # of them, along a side of the square that hides a part
GREY = 128
SMALLEST = 1e-6  # a probability; log-odds of a surer answer are rounding
FAINT = 0.01  # of log-odds; what no part changes by more than this no part speaks for


@dataclass(frozen=True)
class Looked:
    """A picture's answer and `heat` [CELLS, CELLS], 0 to 1, for its label; rows from the top.

    `heat` is all 0 where no part of the picture speaks for it. Without an answer there is none.
    """

    answer: Answer
    heat: Heat | None = None
    pixels: Pixels | None = None

    def to_json(self) -> dict[str, Any]:
        """As the HTTP API gives it; `picture` is what the model saw, with the map over it."""
        assert self.heat is not None and self.pixels is not None
        seen = overlay(Image.fromarray(self.pixels), self.heat)
        buffer = io.BytesIO()
        seen.save(buffer, "JPEG", quality=85)
        return {
            "answer": self.answer.to_json(),
            "method": "occlusion",
            "heat": [[round(float(value), 3) for value in row] for row in self.heat],
            "picture": f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        }


def look(predictor: Predictor, data: bytes, limits: Limits) -> Looked:
    """What the model answers for a file's bytes, and what it looked at for that."""
    answer = predictor.predict(data, limits)
    if answer.label is None:
        return Looked(answer)
    pixels = predictor.card.preprocess.load(data, limits)
    place = predictor.labels.index(answer.label)
    return Looked(answer, occlusion(predictor, pixels, place), pixels)


def occlusion(predictor: Predictor, pixels: Pixels, place: int) -> Heat:
    """What each part of a preprocessed picture uint8 [H, W, 3] says for the class at `place`.

    [CELLS, CELLS], 0 to 1: 1 where it says most, 0 where it says nothing, or speaks against it.
    """
    edges = np.linspace(0, len(pixels), CELLS + 1).round().astype(int)
    corners = [(i, j) for i in range(CELLS - COVERED + 1) for j in range(CELLS - COVERED + 1)]
    squares = [(edges[i], edges[i + COVERED], edges[j], edges[j + COVERED]) for i, j in corners]
    shown = np.repeat(pixels[None], len(squares) + 1, axis=0)
    for picture, (top, bottom, left, right) in zip(shown[1:], squares, strict=True):
        picture[top:bottom, left:right] = GREY
    odds = _log_odds(predictor, shown, place)
    heat, counts = np.zeros((2, CELLS, CELLS))
    for (i, j), after in zip(corners, odds[1:], strict=True):
        heat[i : i + COVERED, j : j + COVERED] += odds[0] - after
        counts[i : i + COVERED, j : j + COVERED] += 1
    mean = heat / counts
    return unit(np.where(mean.max() < FAINT, 0, mean))


def _log_odds(predictor: Predictor, pixels: Pixels, place: int) -> NDArray[np.float64]:
    """ln p / (1 - p) [N], on one thread: the other cores are for those who ask for an answer."""
    step = getattr(predictor.engine, "most", getattr(predictor.engine, "batch", 1))
    parts = [predictor.run(pixels[i : i + step])[0] for i in range(0, len(pixels), step)]
    chances = np.concatenate(parts)[:, place].astype(np.float64)
    sure = chances.clip(SMALLEST, 1 - SMALLEST)
    odds: NDArray[np.float64] = np.log(sure / (1 - sure))
    return odds
