"""Every answer, errors too, is counted and carries the security headers."""

import asyncio
import json
import logging
import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from pizzaiolo.config import ServeConfig
from pizzaiolo.predict import Predictor
from pizzaiolo.serve.access import Rules
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.keys import new_key

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


def test_every_answer_has_the_id_of_its_request(own: TestClient) -> None:
    ids = {own.get("/healthz").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3 and all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    for given, kept in (("abc-1.2:3", True), ("a b", False), ("x" * 65, False), ("", False)):
        answer = own.get("/healthz", headers={"X-Request-ID": given})
        assert (answer.headers["x-request-id"] == given) == kept


def test_the_access_log_is_json_without_secrets(
    predictor: Predictor, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, key = new_key("ann")
    app = create_app(predictor, ServeConfig(access_log=True), Rules(keys=(key,)))
    told = TestClient(app)
    told.post("/v1/predict?secret=x", content=draw(), headers={"X-API-Key": secret})
    told.get("/v1/model")
    out = capsys.readouterr()
    good, refused = map(json.loads, out.err.splitlines())
    assert (good["key"], good["method"], good["path"]) == ("ann", "POST", "/v1/predict")
    assert (good["status"], refused["status"], refused["key"]) == (200, 401, None)
    assert good["ms"] > 0 and good["request"] != refused["request"]
    assert secret not in out.err and "secret" not in out.err and out.out == ""


def test_stages_and_reasons_are_counted(own: TestClient, draw: Draw) -> None:
    own.post("/v1/predict", content=draw("red"))
    own.post("/v1/predict", content=b"no picture")
    own.post("/v1/predict", content=b"")
    own.post("/v1/predict", files=[("file", draw("red")), ("file", b"x")])
    seen = figures(own)
    counts = [seen[f'pizzaiolo_stage_seconds_count{{stage="{s}"}}'] for s in ("read", "wait")]
    assert counts == [4, 3]
    assert seen['pizzaiolo_rejected_total{code="not_an_image"}'] == 2
    assert seen['pizzaiolo_rejected_total{code="empty"}'] == 1
    assert seen["pizzaiolo_request_pictures_sum"] == 4


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
