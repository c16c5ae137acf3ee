"""Batches where the engine is faster at them, none where it is not; the answers are the same."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pizzaiolo.config import ServeConfig
from pizzaiolo.predict import Pixels, Predictor
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.together import Together, measure

Draw = Callable[..., bytes]
Given = tuple[np.ndarray, np.ndarray]


class Slow:
    """A model that takes 4 ms a call (a GPU, one call at a time) or 4 ms a picture (a CPU)."""

    def __init__(self, predictor: Predictor, gpu: bool, batch: int = 8) -> None:
        self.engine, self.gpu, self.batch = predictor.engine, gpu, batch
        self.turn, self.sizes = threading.Lock(), list[int]()

    def __call__(self, pixels: Pixels) -> Given:
        self.sizes.append(len(pixels))
        if self.gpu:
            with self.turn:
                time.sleep(0.004)
        else:
            time.sleep(0.004 * len(pixels))
        return self.engine(pixels)


def colours(count: int) -> list[Pixels]:
    return [np.full((1, 32, 32, 3), 7 * i, np.uint8) for i in range(count)]


def test_batches_pay_where_eight_take_as_long_as_one(predictor: Predictor) -> None:
    measured = measure(Predictor(predictor.card, Slow(predictor, gpu=True)), threads=2)
    assert measured.pays and measured.pictures == 8 and str(measured).endswith(": batches")
    assert measured.together < 0.5 * measured.alone


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_batches_do_not_pay_where_each_picture_takes_its_time(
    predictor: Predictor, threads: int
) -> None:
    measured = measure(Predictor(predictor.card, Slow(predictor, gpu=False, batch=1)), threads)
    assert not measured.pays and str(measured).endswith(": no batches")


def test_each_gets_its_own_answer_whatever_stands_beside_it(predictor: Predictor) -> None:
    slow, counted = Slow(predictor, gpu=True), list[float]()
    engine, pictures = Together(slow, 8, counted.append), colours(30)
    with ThreadPoolExecutor(30) as pool:
        with engine._turn:  # all are there before the first batch
            asked = [pool.submit(engine, picture) for picture in pictures]
            while engine._asked.qsize() < 30:
                time.sleep(0.001)
        found = [one.result() for one in asked]
    for given, (chances, embedding) in zip(pictures, found, strict=True):
        assert chances.shape == (1, 2) and embedding.shape == (1, 4)
        assert (chances == predictor.engine(given)[0]).all()
    assert counted == [8, 8, 8, 6] and slow.sizes == [8] * 4, "all batches are filled up"


def test_who_comes_alone_waits_a_moment_only(predictor: Predictor) -> None:
    engine = Together(Slow(predictor, gpu=True), 8)
    started = time.perf_counter()
    engine(colours(1)[0])
    assert time.perf_counter() - started < 0.5


def test_several_pictures_of_one_caller_stay_in_order(predictor: Predictor) -> None:
    given = np.concatenate(colours(11))
    chances, embeddings = Together(Slow(predictor, gpu=True), 4)(given)
    assert (chances == predictor.engine(given)[0]).all() and embeddings.shape == (11, 4)


def test_a_fault_reaches_all_of_its_batch_and_the_next_goes_on(predictor: Predictor) -> None:
    broken = True

    def engine(pixels: Pixels) -> Given:
        if broken:
            raise RuntimeError("out of memory")
        return predictor.engine(pixels)

    together = Together(engine, 4)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(together, given) for given in colours(4)]
        assert [str(one.exception()) for one in asked] == ["out of memory"] * 4
    broken = False
    assert together(colours(1)[0])[0].shape == (1, 2)


@pytest.mark.parametrize("gpu", [True, False])
def test_the_service_chooses_at_its_start_and_says_so(
    predictor: Predictor, draw: Draw, gpu: bool, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG, "pizzaiolo")
    slow = Slow(predictor, gpu, batch=8 if gpu else 1)
    app = create_app(Predictor(predictor.card, slow), ServeConfig(), source=lambda: predictor)
    with TestClient(app) as client:
        files = [("file", (f"{i}.png", draw("red"))) for i in range(3)]
        answers = client.post("/v1/predict", files=files).json()["answers"]
        assert [answer["verdict"] for answer in answers] == ["Pizza"] * 3
        counted = client.get("/metrics").text
        service = app.state.service
        service.reload()
        assert isinstance(service.predictor.engine, Together) == gpu, "a new model is fed alike"
    assert (": batches" in capsys.readouterr().err) == gpu
    assert (": no batches" in caplog.text) == (not gpu)
    assert f"pizzaiolo_batch_pictures_count {3.0 if gpu else 0.0}" in counted
    assert service.gate.running >= (16 if gpu else 1)
