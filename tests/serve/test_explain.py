"""What the model looked at: the parts that speak for its answer, one picture at a time."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Callable

import httpx
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
from pizzaiolo.serve.explain import CELLS, occlusion

Draw = Callable[..., bytes]


class RedCorner:
    """An engine that looks at the upper left quarter alone: the redder, the more a pizza."""

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        quarter = pixels[:, : pixels.shape[1] // 2, : pixels.shape[2] // 2]
        red = quarter[..., 0].mean((1, 2), dtype=np.float32) / 256
        return np.stack([1 - red, red], 1), np.zeros((len(pixels), 4), np.float32)


def cornered(side: int = 32) -> Predictor:
    labels = Labels(("not_pizza", "pizza"), positive="pizza")
    return Predictor(Card(labels, Preprocess(side, side), {"name": "corner"}), RedCorner())


def red(side: int = 32) -> Pixels:
    return np.broadcast_to(np.array([255, 0, 0], np.uint8), (side, side, 3)).copy()


@pytest.mark.parametrize("side", [32, 45])
def test_the_map_lies_on_what_the_model_reads(side: int) -> None:
    heat = occlusion(cornered(side), red(side), place=1)
    half = CELLS // 2
    assert heat.shape == (CELLS, CELLS) and heat.max() == 1.0
    assert (heat[: half - 1, : half - 1] > 0.5).all()
    assert not heat[half + 1 :].any() and not heat[:, half + 1 :].any()


def test_what_speaks_against_the_class_is_left_out() -> None:
    assert not occlusion(cornered(), red(), place=0).any()


def test_a_model_that_looks_at_nothing_has_an_empty_map() -> None:
    class Deaf(RedCorner):
        def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
            chances, embeddings = super().__call__(pixels)
            return 0.5 + 1e-5 * (chances - 0.5), embeddings

    deaf = Predictor(cornered().card, Deaf())
    assert not occlusion(deaf, red(), place=1).any()


@pytest.fixture(scope="module")
def corner() -> TestClient:
    return TestClient(create_app(cornered(), ServeConfig(max_bytes=100_000)))


def test_an_explanation_holds_the_answer_that_predict_gives(corner: TestClient, draw: Draw) -> None:
    told = corner.post("/v1/explain", content=draw("#ff2010")).json()
    assert told["answer"] == corner.post("/v1/predict", content=draw("#ff2010")).json()
    assert told["method"] == "occlusion" and np.shape(told["heat"]) == (CELLS, CELLS)
    kind, _, data = told["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (32, 32)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"no picture", 415, "not_an_image"), (b"", 422, "empty"), (b"x" * 200_000, 413, None)],
)
def test_what_is_no_picture_is_refused_as_ever(
    corner: TestClient, body: bytes, status: int, code: str | None
) -> None:
    answer = corner.post("/v1/explain", content=body)
    assert answer.status_code == status and code in (None, answer.json()["code"])


def test_two_pictures_are_one_too_many(corner: TestClient, draw: Draw) -> None:
    files = [("file", ("a.png", draw())), ("file", ("b.png", draw()))]
    answer = corner.post("/v1/explain", files=files)
    assert answer.status_code == 413 and answer.json()["code"] == "too_many_files"


def test_one_is_explained_at_a_time_and_many_are_refused(draw: Draw) -> None:
    at_once, most, turn = 0, 0, threading.Lock()

    class Watched(RedCorner):
        def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
            nonlocal at_once, most
            with turn:
                at_once += 1
                most = max(most, at_once)
            threading.Event().wait(0.001)
            with turn:
                at_once -= 1
            return super().__call__(pixels)

    app = create_app(Predictor(cornered().card, Watched()), ServeConfig(concurrency=4))

    async def story() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asked = [client.post("/v1/explain", content=draw()) for _ in range(12)]
            answers = await asyncio.gather(*asked)
        assert sorted(a.status_code for a in answers) == [200] * 5 + [503] * 7
        assert all("retry-after" in a.headers for a in answers if a.status_code == 503)

    asyncio.run(story())
    assert most == 1
