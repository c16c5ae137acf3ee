"""Overload and slow senders: 503 with Retry-After, never a hang, and every slot is given back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import numpy as np
import pytest

from pizzaiolo.config import ServeConfig
from pizzaiolo.predict import Pixels, Predictor
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.guard import Gate
from pizzaiolo.serve.problems import Problem

Draw = Callable[..., bytes]
Story = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


class Held:
    """A model that answers only once it is let go."""

    def __init__(self, predictor: Predictor) -> None:
        self.go = threading.Event()
        self.engine = predictor.engine
        self.predictor = Predictor(predictor.card, self)

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        assert self.go.wait(20)
        return self.engine(pixels)


def tell(story: Story, predictor: Predictor, **settings: Any) -> None:
    """Play a story against a service, all in one event loop."""

    async def play() -> None:
        transport = httpx.ASGITransport(create_app(predictor, ServeConfig(**settings)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await story(client)

    asyncio.run(play())


async def waiting(client: httpx.AsyncClient, count: int) -> None:
    """Return once `count` requests wait for a slot."""
    while f"pizzaiolo_waiting {count}.0" not in (await client.get("/metrics")).text:
        await asyncio.sleep(0.005)


def assert_busy(answer: httpx.Response, words: str) -> None:
    assert answer.status_code == 503 and answer.json()["code"] == "overloaded"
    assert words in answer.json()["detail"] and answer.headers["retry-after"] == "1"


def test_a_full_queue_is_503_at_once(predictor: Predictor, draw: Draw) -> None:
    held = Held(predictor)

    async def story(client: httpx.AsyncClient) -> None:
        ask = [asyncio.create_task(client.post("/v1/predict", content=draw())) for _ in range(3)]
        await waiting(client, 2)
        assert_busy(await client.post("/v1/predict", content=draw()), "queue is full")
        counted = (await client.get("/metrics")).text
        assert 'requests_total{path="/v1/predict",status="503"} 1.0' in counted
        held.go.set()
        assert [(await task).status_code for task in ask] == [200, 200, 200]
        assert (await client.post("/v1/predict", content=draw())).status_code == 200
        await waiting(client, 0)

    tell(story, held.predictor, concurrency=1, queue=2)


def test_waiting_too_long_is_503_and_the_slot_is_given_back(
    predictor: Predictor, draw: Draw
) -> None:
    held = Held(predictor)

    async def story(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post("/v1/predict", content=draw()))
        await asyncio.sleep(0.02)
        assert_busy(await client.post("/v1/predict", content=draw()), "within 0.05 s")
        held.go.set()
        assert (await first).status_code == 200
        assert (await client.post("/v1/predict", content=draw())).status_code == 200

    tell(story, held.predictor, concurrency=1, queue=5, timeout=0.05)


@pytest.mark.parametrize("body", [b"", b"no picture", b"x" * 2000])
def test_a_refused_picture_gives_its_slot_back(
    predictor: Predictor, draw: Draw, body: bytes
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        for _ in range(5):
            assert (await client.post("/v1/predict", content=body)).status_code < 500
        assert (await client.post("/v1/predict", content=draw())).status_code == 200

    tell(story, predictor, concurrency=1, queue=0, max_bytes=1000)


def test_a_slow_sender_is_408_and_holds_up_nobody(predictor: Predictor, draw: Draw) -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield draw()[:20]
        await asyncio.sleep(20)
        yield draw()[20:]

    async def story(client: httpx.AsyncClient) -> None:
        slow = [asyncio.create_task(client.post("/v1/predict", content=drip())) for _ in range(3)]
        await waiting(client, 3)
        assert (await client.post("/v1/predict", content=draw())).status_code == 200
        answers = [await task for task in slow]
        assert {a.status_code for a in answers} == {408}
        assert {a.json()["code"] for a in answers} == {"too_slow"}
        await waiting(client, 0)

    tell(story, predictor, concurrency=1, queue=5, upload_timeout=0.2)


def test_without_a_queue_and_without_patience_a_free_slot_still_answers(
    predictor: Predictor, draw: Draw
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/predict", content=draw())).status_code == 200

    tell(story, predictor, concurrency=1, queue=0, timeout=0.0)


@pytest.mark.parametrize(("running", "waiters"), [(1, 0), (2, 3), (4, 1)])
def test_the_gate_never_lets_more_work_than_it_says(running: int, waiters: int) -> None:
    most, refused = 0, 0

    async def visit(gate: Gate) -> None:
        nonlocal most, refused
        try:
            async with gate.enter(), gate.slot():
                most = max(most, gate.working)
                await asyncio.sleep(0)
        except Problem:
            refused += 1

    async def play() -> None:
        gate = Gate(running, waiters, timeout=5)
        await asyncio.gather(*(visit(gate) for _ in range(20)))
        assert (gate.inside, gate.working, gate.waiting) == (0, 0, 0)

    asyncio.run(play())
    assert most == running and refused == 20 - running - waiters


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    """Each holds its slot for 50 ms, so that the third in the queue would wait for 100."""

    async def visit(gate: Gate) -> str:
        try:
            async with gate.enter(), gate.slot():
                await asyncio.sleep(0.05)
        except Problem as problem:
            return problem.detail
        return "answered"

    async def play() -> None:
        gate = Gate(1, 100, timeout=5, patience=0.09)
        assert await visit(gate) == "answered" and 0.04 < gate.seconds < 0.09
        tasks = []
        for _ in range(6):
            tasks.append(asyncio.create_task(visit(gate)))
            await asyncio.sleep(0)
        told = [await task for task in tasks]
        assert told[:3] == ["answered"] * 3
        assert set(told[3:]) == {"no answer is to be expected within 0.09 s"}
        assert await visit(gate) == "answered"

    asyncio.run(play())


def test_a_client_that_leaves_while_it_waits_gives_its_place_back() -> None:
    async def play() -> None:
        gate = Gate(1, 1, timeout=5)

        async def visit() -> None:
            async with gate.enter(), gate.slot():
                await asyncio.sleep(5)

        tasks = [asyncio.create_task(visit()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.inside == 0
        async with gate.enter(), gate.slot():
            assert gate.working == 1

    asyncio.run(play())
