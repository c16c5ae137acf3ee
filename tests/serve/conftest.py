"""A service on a tiny model that needs no file: it answers by how red a picture is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pizzaiolo.config import ServeConfig
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.predict import Pixels, Predictor
from pizzaiolo.serve.app import create_app

Draw = Callable[..., bytes]


class RedIsPizza:
    """An engine: the redder the picture, the more it is a pizza."""

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        red = pixels[..., 0].mean((1, 2), dtype=np.float32) / 255
        return np.stack([1 - red, red], 1), np.zeros((len(pixels), 4), np.float32)


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    labels = Labels(("not_pizza", "pizza"), positive="pizza")
    return Predictor(Card(labels, Preprocess(32, 32), {"name": "red"}), RedIsPizza())


@pytest.fixture(scope="session")
def client(predictor: Predictor) -> Iterator[TestClient]:
    config = ServeConfig(max_bytes=100_000, max_pixels=250_000, max_files=4)
    with TestClient(create_app(predictor, config)) as client:
        yield client


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Makes a one-colour picture as a file's bytes."""

    def draw(colour: str = "red", kind: str = "PNG", side: int = 64) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (side, side), colour).save(buffer, kind)
        return buffer.getvalue()

    return draw
