"""Many pictures in one request: a line each, in order, in bounded memory, whatever the form is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.config import ServeConfig
from pizzaiolo.predict import Predictor
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.batch import Files
from pizzaiolo.serve.problems import Problem

Draw = Callable[..., bytes]
FORM = {"Content-Type": "multipart/form-data; boundary=cut"}
HEAD = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'


def part(name: str, data: bytes) -> bytes:
    return HEAD % name.encode() + data + b"\r\n"


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_picture_gets_the_line_of_predict(client: TestClient, draw: Draw) -> None:
    sent = [("red.png", draw("red")), ("text.txt", b"no picture"), ("blü.png", draw("blue"))] * 5
    files = [("file", item) for item in sent]
    told = lines(client.post("/v1/predict/batch", files=files))
    assert [line["path"] for line in told] == [name for name, _ in sent]
    assert [line["verdict"] for line in told] == ["Pizza", None, "Not pizza"] * 5
    assert told[1]["error"]["code"] == "not_an_image"
    single = client.post("/v1/predict", files={"file": ("red.png", draw("red"))}).json()
    assert told[0] == single


def test_more_than_the_limit_of_one_request_at_once(client: TestClient, draw: Draw) -> None:
    """One request of /v1/predict takes 100,000 bytes and 4 files here."""
    files = [("file", (f"{i}.png", draw("red") + bytes(30_000))) for i in range(40)]
    told = lines(client.post("/v1/predict/batch", files=files))
    assert [line["verdict"] for line in told] == ["Pizza"] * 40


def test_a_file_over_the_limit_is_one_bad_line(client: TestClient, draw: Draw) -> None:
    files = [("file", ("big", draw("red") + bytes(200_000))), ("file", ("small", draw("red")))]
    big, small = lines(client.post("/v1/predict/batch", files=files))
    assert big["error"]["code"] == "too_many_bytes" and small["verdict"] == "Pizza"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "image/png"}, b"x"),
        ({"Content-Type": "multipart/form-data"}, b"x"),
        ({}, b""),
    ],
)
def test_what_is_no_form_is_a_problem(
    client: TestClient, headers: dict[str, str], body: bytes
) -> None:
    answer = client.post("/v1/predict/batch", content=body, headers=headers)
    assert answer.status_code == 400 and answer.json()["code"] == "bad_form"


@pytest.mark.parametrize("rest", [b"", b"--cut\r\nrubbish", b"--other--", b"--cut"])
def test_a_form_that_breaks_off_says_so_in_the_last_line(
    client: TestClient, draw: Draw, rest: bytes
) -> None:
    body = part("a.png", draw("red")) + rest
    *good, last = lines(client.post("/v1/predict/batch", content=body, headers=FORM))
    assert last["error"]["code"] == "bad_form" and len(good) <= 1
    assert all(line["verdict"] == "Pizza" for line in good)


def test_a_form_of_no_file_has_no_line(client: TestClient) -> None:
    assert lines(client.post("/v1/predict/batch", content=b"--cut--\r\n", headers=FORM)) == []
    field = b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--cut--\r\n'
    assert lines(client.post("/v1/predict/batch", content=field, headers=FORM)) == []


def play(predictor: Predictor, story: Callable[[httpx.AsyncClient], Any], **config: Any) -> None:
    async def act() -> None:
        app = create_app(predictor, ServeConfig(**config))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await story(client)

    asyncio.run(act())


def test_a_sender_who_pauses_too_long_is_told_and_the_place_is_free(
    predictor: Predictor, draw: Draw
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield part("a.png", draw("red")) + b"--cut\r\n"
        await asyncio.sleep(20)

    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/predict/batch", content=drip(), headers=FORM)
        told = lines(answer)
        assert told[0]["verdict"] == "Pizza" and told[1]["error"]["code"] == "too_slow"
        assert (await client.post("/v1/predict", content=draw())).status_code == 200

    play(predictor, story, upload_timeout=0.2, concurrency=1, queue=0)


def test_too_many_pictures_end_it(predictor: Predictor, draw: Draw) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        files = [("file", draw("red"))] * 5
        told = lines(await client.post("/v1/predict/batch", files=files))
        assert [line.get("verdict") for line in told] == ["Pizza"] * 3 + [None]
        assert told[-1]["error"]["code"] == "too_many_files"

    play(predictor, story, max_batch=3)


def test_a_picture_without_a_slot_in_time_is_a_bad_line_and_no_fault(
    predictor: Predictor, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        gate = client._transport.app.state.service.gate  # type: ignore[attr-defined]
        async with gate.slot(), gate.slot():
            answer = await client.post("/v1/predict/batch", files=[("file", ("a", draw()))] * 3)
        told = lines(answer)
        assert [line["path"] for line in told] == ["a"] * 3
        assert {line["error"]["code"] for line in told} == {"overloaded"}

    play(predictor, story, concurrency=2, timeout=0.05)
    assert caplog.text == ""


def test_a_batch_waits_at_the_gate(predictor: Predictor, draw: Draw) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        client._transport.app.state.service.gate.inside = 1  # type: ignore[attr-defined]
        answer = await client.post("/v1/predict/batch", files=[("file", draw("red"))])
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"

    play(predictor, story, concurrency=1, queue=0)


@given(data=st.lists(st.binary(max_size=40), max_size=4), cut=st.integers(1, 50))
def test_files_are_the_same_however_the_body_is_cut(data: list[bytes], cut: int) -> None:
    body = b"".join(part(f"{i}", item) for i, item in enumerate(data)) + b"--cut--\r\n"
    if any(b"--cut" in item for item in data):
        return
    files, found = Files(FORM["Content-Type"], 1000), []
    for start in range(0, len(body), cut):
        found += files.feed(body[start : start + cut])
    assert found == [(str(i), item) for i, item in enumerate(data)] and files.whole


@given(st.binary(max_size=200))
def test_no_body_whatever_is_more_than_a_problem(body: bytes) -> None:
    files = Files(FORM["Content-Type"], 100)
    try:
        for start in range(0, len(body), 7):
            assert all(len(data) <= 101 for _, data in files.feed(body[start : start + 7]))
    except Problem as problem:
        assert problem.code == "bad_form"
