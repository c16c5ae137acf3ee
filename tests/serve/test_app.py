"""The HTTP API: the same object as `predict --json`, and a problem with a stable code otherwise."""

import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pizzaiolo.predict import Predictor
from pizzaiolo.serve.app import create_app

Draw = Callable[..., bytes]
BOUNDARY = "multipart/form-data; boundary=cut"


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that claim to be a picture of `width` x `height`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def form(disposition: bytes, content: bytes = b"x") -> bytes:
    """A form of one part with this Content-Disposition."""
    return b"--cut\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n--cut--"


def test_a_form_file_gets_the_object_of_predict_json(
    client: TestClient, predictor: Predictor, draw: Draw
) -> None:
    answer = client.post("/v1/predict", files={"file": ("dinner.png", draw("red"))})
    expected = {**predictor.predict(draw("red")).to_json(), "path": "dinner.png"}
    assert answer.status_code == 200 and answer.json() == expected
    assert answer.json()["verdict"] == "Pizza"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_raw_body_of_any_format_is_answered(client: TestClient, draw: Draw, kind: str) -> None:
    answer = client.post("/v1/predict", content=draw("navy", kind)).json()
    assert (answer["path"], answer["verdict"], answer["error"]) == (None, "Not pizza", None)


def test_many_files_are_answered_in_order(client: TestClient, draw: Draw) -> None:
    sent = [("red.png", draw("red")), ("text.png", b"no picture"), ("blue.png", draw("blue"))]
    answer = client.post("/v1/predict", files=[("file", item) for item in sent])
    assert answer.status_code == 200 and list(answer.json()) == ["answers"]
    answers = answer.json()["answers"]
    assert [a["path"] for a in answers] == [name for name, _ in sent]
    assert [a["verdict"] for a in answers] == ["Pizza", None, "Not pizza"]
    assert answers[1]["error"]["code"] == "not_an_image"


def assert_problem(response: Any, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert list(problem) == ["type", "title", "status", "detail", "code"]
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:pizzaiolo:problem:{code}" and problem["detail"]


def chunked(data: bytes) -> Iterator[bytes]:
    """The data in pieces, so that no length is announced."""
    yield from (data[i : i + 9000] for i in range(0, len(data), 9000))


BODIES: dict[str, tuple[bytes | Iterator[bytes], int, str]] = {
    "empty": (b"", 422, "empty"),
    "text": (b"Flour, water, salt, yeast.", 415, "not_an_image"),
    "many pixels": (huge_png(60_000, 60_000), 413, "too_many_pixels"),
    "a few pixels over": (huge_png(501, 500), 413, "too_many_pixels"),
    "large, announced": (b"x" * 100_001, 413, "too_many_bytes"),
    "large, not announced": (chunked(b"x" * 100_001), 413, "too_many_bytes"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_bad_body_is_a_problem(client: TestClient, case: str) -> None:
    body, status, code = BODIES[case]
    assert_problem(client.post("/v1/predict", content=body), status, code)


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9])
def test_a_truncated_jpeg_is_a_problem(client: TestClient, keep: float) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    cut = buffer.getvalue()[: round(keep * len(buffer.getvalue()))]
    assert_problem(client.post("/v1/predict", files={"file": cut}), 422, "unreadable")


FORMS = {
    "no file": (form(b'form-data; name="file"'), BOUNDARY, 422, "no_file"),
    "empty file": (form(b'form-data; name="file"; filename="a"', b""), BOUNDARY, 422, "unreadable"),
    "no boundary": (b"x", "multipart/form-data", 400, "bad_form"),
    "another boundary": (form(b'form-data; name="file"'), BOUNDARY + "s", 400, "bad_form"),
    "not a form": (b"no form at all", BOUNDARY, 400, "bad_form"),
    "no name": (form(b"form-data"), BOUNDARY, 400, "bad_form"),
    "many fields": ((form(b'form-data; name="a"')[:-2] + b"\r\n") * 17, BOUNDARY, 400, "bad_form"),
    "empty form": (b"--cut--", BOUNDARY, 422, "no_file"),
    "odd charset": (form(b'form-data; name="file"'), BOUNDARY + "; charset=no", 422, "no_file"),
}


@pytest.mark.parametrize("case", FORMS)
def test_a_broken_form_is_a_problem(client: TestClient, case: str) -> None:
    body, content_type, status, code = FORMS[case]
    answer = client.post("/v1/predict", content=body, headers={"Content-Type": content_type})
    assert_problem(answer, status, code)


def test_a_form_over_the_limit_is_a_problem(client: TestClient, draw: Draw) -> None:
    files = [("file", draw("red") + bytes(60_000)), ("file", draw("red") + bytes(60_000))]
    assert_problem(client.post("/v1/predict", files=files), 413, "too_many_bytes")


def test_too_many_files_are_a_problem(client: TestClient, draw: Draw) -> None:
    assert client.post("/v1/predict", files=[("file", draw())] * 4).status_code == 200
    answer = client.post("/v1/predict", files=[("file", draw())] * 5)
    assert_problem(answer, 413, "too_many_files")


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"C:\\x.png", b"\xff\xfe.png", b"a\x00b"])
def test_a_hostile_file_name_is_only_a_name(client: TestClient, draw: Draw, name: bytes) -> None:
    body = form(b'form-data; name="file"; filename="' + name + b'"', draw())
    answer = client.post("/v1/predict", content=body, headers={"Content-Type": BOUNDARY})
    assert answer.status_code in (200, 400)
    assert answer.json().get("verdict", "Pizza") == "Pizza"


def test_the_content_type_is_read_in_any_case(client: TestClient, draw: Draw) -> None:
    body = form(b'form-data; name="file"; filename="a"', draw())
    headers = {"Content-Type": "Multipart/Form-Data; boundary=cut"}
    assert client.post("/v1/predict", content=body, headers=headers).json()["path"] == "a"


@given(body=st.binary(max_size=300), content_type=st.sampled_from(["", BOUNDARY, "image/png"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_whatever_makes_the_service_fail(
    client: TestClient, body: bytes, content_type: str
) -> None:
    for sent in (body, b"--cut\r\n" + body + b"\r\n--cut--", b"\xff\xd8\xff\xe0" + body):
        answer = client.post("/v1/predict", content=sent, headers={"Content-Type": content_type})
        assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/predict", 404, "not_found"),
        ("GET", "/page/secret.txt", 404, "not_found"),
        ("GET", "/page/..%2f..%2fapp.py", 404, "not_found"),
        ("GET", "/v1/predict", 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_an_unknown_place_is_a_problem(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    assert_problem(client.request(method, path), status, code)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/", "text/html", "<main>"),
        ("/page/app.js", "text/javascript", '"use strict"'),
        ("/page/answers.js", "text/javascript", '"use strict"'),
        ("/page/style.css", "text/css", ":root"),
        ("/healthz", "text/plain", "ok"),
        ("/readyz", "text/plain", "ok"),
        ("/metrics", "text/plain; version=0.0.4", "pizzaiolo_requests_total"),
        ("/docs", "text/html", "/v1/predict"),
        ("/openapi.json", "application/json", "/v1/predict"),
    ],
)
def test_places(client: TestClient, path: str, kind: str, words: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
    assert words in answer.text


def test_not_ready_before_the_warm_up(predictor: Predictor) -> None:
    answer = TestClient(create_app(predictor)).get("/readyz")  # no lifespan: never started
    assert_problem(answer, 503, "not_ready")
    assert answer.headers["retry-after"] == "1"


def test_the_card_of_the_model(client: TestClient, predictor: Predictor) -> None:
    card = client.get("/v1/model").json()
    assert card["labels"]["names"] == ["not_pizza", "pizza"]
    assert card == json.loads(predictor.card.to_json())


def test_the_documentation_shows_the_address_it_was_asked_at(client: TestClient) -> None:
    page = client.get("/docs", headers={"Host": "pizza.example:81"}).text
    assert "http://pizza.example:81/v1/predict" in page
    assert "<script>" not in client.get("/docs", headers={"Host": "<script>"}).text


def test_openapi_tells_every_answer(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    assert {"200", "400", "408", "413", "415", "422", "503"} <= set(operation["responses"])
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "image/*"}


def test_no_picture_is_written_to_disk(
    client: TestClient, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was asked for")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    large = draw("red") + bytes(90_000)
    assert client.post("/v1/predict", files={"file": large}).status_code == 200
    assert list(tmp_path.iterdir()) == []
