"""A model that looks at the mean colour only: answers in no time, the redder the more a pizza."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.novelty import Novelty
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.predict import Pixels, Predictor

LABELS = Labels(("not_pizza", "pizza"), "pizza", reject_band=(0.5, 0.7), max_novelty=1.0)
NOVELTY = Novelty(  # training lay along (1, 1, 0), a little spread
    mean=np.array([0.7, 0.7, 0], np.float32),
    directions=np.array([[0.7, -0.7, 0]], np.float32),
    centres=np.zeros((1, 1), np.float32),
    variances=np.array([0.1], np.float32),
    rest=0.1,
    scale=1.0,
)


class MeanColour:
    """An engine: the embedding is the mean colour; the redder, the more a pizza."""

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        colour = pixels.mean((1, 2), dtype=np.float32) / 255
        return np.stack([1 - colour[:, 0], colour[:, 0]], 1), colour


def predictor(path: Path | None = None, **changes: object) -> Predictor:
    """A model of colours; `path` stands for its file."""
    card = Card(LABELS, Preprocess(32, 32), {"name": "colour"}, novelty=NOVELTY.to_facts())
    return Predictor(card.with_(**changes), MeanColour(), path)


def picture(*colour: int) -> bytes:
    """A PNG file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


YELLOW, BLUE, VIOLET, OLIVE = (255, 250, 0), (0, 0, 255), (255, 0, 255), (150, 150, 0)
