"""Another model without a pause: taken when it answers as it should, else the old one stays."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from pizzaiolo.config import ServeConfig
from pizzaiolo.core.image import Limits
from pizzaiolo.core.labels import Labels
from pizzaiolo.errors import InputError, ModelFileError
from pizzaiolo.predict import Answer, Pixels, Predictor
from pizzaiolo.serve.access import Rules
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.keys import ADMIN, new_key
from pizzaiolo.serve.problems import Problem
from pizzaiolo.serve.proof import check_right, read_proof
from pizzaiolo.serve.service import Service

Draw = Callable[..., bytes]
SECRET, BOSS = new_key("boss", ADMIN)
HEADERS = {"X-API-Key": SECRET}


def always(share: float) -> Callable[[Pixels], tuple[np.ndarray, np.ndarray]]:
    """An engine that says the same of every picture."""

    def engine(pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        rows = np.tile(np.array([[1 - share, share]], np.float32), (len(pixels), 1))
        return rows, np.zeros((len(pixels), 4), np.float32)

    return engine


def client(predictor: Predictor, source: Callable[[], Predictor] | None) -> TestClient:
    return TestClient(create_app(predictor, ServeConfig(), Rules(keys=(BOSS,)), source))


def verdict(client: TestClient, data: bytes) -> str:
    return str(client.post("/v1/predict", content=data, headers=HEADERS).json()["verdict"])


def test_a_new_model_answers_at_once(predictor: Predictor, draw: Draw) -> None:
    new = Predictor(predictor.card.with_(notes=("second",)), always(0.0))
    asked = client(predictor, lambda: new)
    assert verdict(asked, draw("red")) == "Pizza"
    answer = asked.post("/v1/model/reload", headers=HEADERS)
    assert answer.status_code == 200 and answer.json()["notes"] == ["second"]
    assert verdict(asked, draw("red")) == "Not pizza"
    assert asked.get("/v1/model", headers=HEADERS).json()["notes"] == ["second"]


def broken() -> Predictor:
    raise ModelFileError("model.onnx is damaged")


def other_classes(predictor: Predictor) -> Predictor:
    labels = Labels(("cat", "dog"))
    return Predictor(replace(predictor.card, labels=labels), predictor.engine)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("broken", "model.onnx is damaged"),
        ("other classes", "['cat', 'dog']"),
        ("no probabilities", "no probabilities"),
        ("no source", "no file that could change"),
    ],
)
def test_a_model_that_is_not_sound_leaves_the_old_one(
    predictor: Predictor, draw: Draw, case: str, words: str
) -> None:
    sources: dict[str, Callable[[], Predictor] | None] = {
        "broken": broken,
        "other classes": lambda: other_classes(predictor),
        "no probabilities": lambda: Predictor(predictor.card, always(float("nan"))),
        "no source": None,
    }
    asked = client(predictor, sources[case])
    answer = asked.post("/v1/model/reload", headers=HEADERS)
    assert answer.status_code == 409 and answer.json()["code"] == "not_taken"
    assert words in answer.json()["detail"]
    assert verdict(asked, draw("red")) == "Pizza"


@pytest.fixture
def proof(tmp_path: Path, draw: Draw) -> Path:
    """Twelve red pizzas, and as many blue pictures of something else."""
    for label, colour in (("pizza", "#ff00%02x"), ("not_pizza", "#1000%02x")):
        (tmp_path / label).mkdir()
        for i in range(12):
            (tmp_path / label / f"{i}.png").write_bytes(draw(colour % (20 * i)))
    return tmp_path


def proven(predictor: Predictor, new: Predictor, proof: Path) -> TestClient:
    config = ServeConfig(proof=str(proof))
    return TestClient(create_app(predictor, config, Rules(keys=(BOSS,)), lambda: new))


def test_a_model_that_is_worse_on_known_pictures_is_not_taken(
    predictor: Predictor, proof: Path, draw: Draw
) -> None:
    """Its classes are the other way round, which no check without pictures could tell."""
    swapped = replace(predictor.card, labels=Labels(("pizza", "not_pizza"), positive="pizza"))
    for new in (Predictor(swapped, predictor.engine), Predictor(predictor.card, always(1.0))):
        asked = proven(predictor, new, proof)
        answer = asked.post("/v1/model/reload", headers=HEADERS)
        assert answer.status_code == 409 and "of 24 pictures of --proof" in answer.json()["detail"]
        assert verdict(asked, draw("red")) == "Pizza"


def test_a_model_that_is_as_good_or_better_is_taken(predictor: Predictor, proof: Path) -> None:
    for old in (predictor, Predictor(predictor.card, always(0.0))):
        asked = proven(old, predictor, proof)
        assert asked.post("/v1/model/reload", headers=HEADERS).status_code == 200


@pytest.mark.parametrize(("lost", "taken"), [(4, True), (5, False)])
def test_a_picture_more_or_less_is_chance(
    predictor: Predictor, proof: Path, lost: int, taken: bool
) -> None:
    """Four lost and none won are within two standard deviations of chance, five are not."""

    class Forgetful:
        """Right on all but the first so many pizzas."""

        def __init__(self, forgotten: int) -> None:
            self.forgotten = forgotten

        def predict(self, file: Path, limits: Limits) -> Answer:
            hard = file.parent.name == "pizza" and int(file.stem) < self.forgotten
            return Answer(str(file), label="nothing" if hard else file.parent.name)

    known, best, new = read_proof(proof, predictor.labels), Forgetful(0), Forgetful(lost)
    with nullcontext() if taken else pytest.raises(ModelFileError, match="right on 19 of 24"):
        check_right(cast(Predictor, best), cast(Predictor, new), known, Limits())


@pytest.mark.parametrize("missing", ["pizza", "not_pizza"])
def test_a_proof_without_a_class_is_told_at_the_start(
    predictor: Predictor, proof: Path, missing: str
) -> None:
    for file in (proof / missing).iterdir():
        file.unlink()
    with pytest.raises(InputError, match=f"no picture in {missing}/"):
        Service(predictor, ServeConfig(proof=str(proof)))


def test_without_keys_nobody_reloads_over_http(predictor: Predictor) -> None:
    asked = TestClient(create_app(predictor, source=lambda: predictor))
    assert asked.post("/v1/model/reload").status_code == 403


def test_one_load_at_a_time(predictor: Predictor) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> Predictor:
        begun.set()
        assert go.wait(10)
        return predictor

    service = Service(predictor, ServeConfig(), slow)
    first = threading.Thread(target=service.reload)
    first.start()
    assert begun.wait(10)
    with pytest.raises(Problem, match="being loaded already"):
        service.reload()
    go.set()
    first.join()
    assert service.reload() is predictor


def test_requests_meanwhile_are_answered(predictor: Predictor, draw: Draw) -> None:
    async def story() -> None:
        app = create_app(predictor, ServeConfig(), Rules(keys=(BOSS,)), lambda: predictor)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as asked:
            asked.headers.update(HEADERS)
            asks = [asked.post("/v1/predict", content=draw()) for _ in range(20)]
            reloads = [asked.post("/v1/model/reload") for _ in range(5)]
            answers = await asyncio.gather(*asks, *reloads)
        assert [a.status_code for a in answers[:20]] == [200] * 20
        assert {a.status_code for a in answers[20:]} <= {200, 409}

    asyncio.run(story())


def ready(address: str) -> None:
    """Return once the service has started, for which a client may wait a moment."""
    for _ in range(100):
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("it never was ready")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_sighup_takes_the_file_anew(
    serve: Callable[..., AbstractContextManager[Any]], starter: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(starter.read_bytes())
    with serve("--model", str(model)) as service:
        ready(service.address)
        for content, words in ((None, "loaded anew"), (b"no model", "the old model stays")):
            if content is not None:
                model.write_bytes(content)
            os.kill(service.process.pid, signal.SIGHUP)
            assert words in service.process.stderr.readline()
            assert httpx.get(f"{service.address}/readyz").text == "ok"
