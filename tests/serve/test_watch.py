"""Every answer, errors too, is counted and carries the security headers."""

import asyncio
import logging
import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from pizzaiolo.predict import Predictor
from pizzaiolo.serve.app import create_app

Draw = Callable[..., bytes]


def figures(client: TestClient) -> dict[str, float]:
    """The metrics as name{labels} -> value."""
    lines = client.get("/metrics").text.splitlines()
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@pytest.fixture
def own(predictor: Predictor) -> TestClient:
    """A client of a service whose counters nobody else moves."""
    return TestClient(create_app(predictor), raise_server_exceptions=False)


@pytest.fixture
def broken(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A client of a service whose model fails."""

    def fail(*_: object) -> None:
        raise RuntimeError("the secret of the dough")

    return TestClient(create_app(Predictor(predictor.card, fail)), raise_server_exceptions=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", p) for p in ("/", "/page/app.js", "/docs", "/healthz", "/metrics", "/v1/model", "/no")]
    + [("POST", "/v1/predict"), ("PUT", "/v1/predict"), ("GET", "/openapi.json")],
)
def test_security_headers_are_on_every_answer(own: TestClient, method: str, path: str) -> None:
    headers = own.request(method, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_a_fault_of_ours_is_a_problem_without_its_inside(
    broken: TestClient, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    answer = broken.post("/v1/predict", content=draw())
    assert answer.status_code == 500 and answer.json()["code"] == "internal"
    assert "secret" not in answer.text and "content-security-policy" in answer.headers
    assert 'pizzaiolo_requests_total{path="/v1/predict",status="500"}' in figures(broken)


def test_a_fault_is_told_in_the_log(
    broken: TestClient, draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    broken.post("/v1/predict", content=draw())
    assert "POST /v1/predict" in caplog.text and "the secret of the dough" in caplog.text


def test_requests_and_verdicts_are_counted(own: TestClient, draw: Draw) -> None:
    for colour in ("red", "red", "blue"):
        own.post("/v1/predict", content=draw(colour))
    own.post("/v1/predict", content=b"no picture")
    own.get("/nowhere/1")
    own.get("/nowhere/2")
    seen = figures(own)
    assert seen['pizzaiolo_requests_total{path="/v1/predict",status="200"}'] == 3
    assert seen['pizzaiolo_requests_total{path="/v1/predict",status="415"}'] == 1
    assert seen['pizzaiolo_requests_total{path="other",status="404"}'] == 2
    assert seen['pizzaiolo_verdicts_total{verdict="Pizza"}'] == 2
    assert seen['pizzaiolo_verdicts_total{verdict="Not pizza"}'] == 1
    assert seen['pizzaiolo_request_seconds_count{path="/v1/predict"}'] == 4
    assert seen["pizzaiolo_waiting"] == 0


def test_unknown_paths_add_no_labels(own: TestClient) -> None:
    for i in range(20):
        own.get(f"/{i}")
        own.get(f"/page/{i}")
    paths = set(re.findall(r'requests_total\{path="([^"]*)"', own.get("/metrics").text))
    assert paths == {"other", "/page/{name}"}


def test_a_client_that_leaves_is_no_fault(
    predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(predictor)
    parts = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/predict", "headers": [], "query_string": b"",
    }  # fmt: skip
    sent = []

    async def receive() -> object:
        return parts.pop(0)

    async def send(message: object) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    assert sent == [] and caplog.text == ""
    counted = TestClient(app).get("/metrics").text
    assert 'pizzaiolo_requests_total{path="/v1/predict",status="499"} 1.0' in counted
