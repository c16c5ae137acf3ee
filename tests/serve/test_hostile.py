"""Files made to do harm, and half-broken senders: the right status, and service as before."""

from __future__ import annotations

import contextlib
import io
import socket
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from pizzaiolo.predict import Predictor
from pizzaiolo.serve.app import create_app

SHARED = Path(__file__).parents[3] / "shared" / "data" / "messy"


def gif_of(frames: int) -> bytes:
    """An animation of one pixel."""
    frame = b"\x2c" + bytes(4) + b"\x01\x00\x01\x00\x00" + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + b"\xff\x00\x00\x00\x00\xff"
    return head + frames * frame + b"\x3b"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(1_000_000))
    return buffer.getvalue()


def nested(depth: int) -> bytes:
    """A form in a form in a form."""
    inner = b"x"
    for level in range(depth):
        cut = b"--cut%d" % level
        name = b'Content-Disposition: form-data; name="file"; filename="f"\r\n'
        kind = b"Content-Type: multipart/mixed; boundary=cut%d\r\n\r\n" % level
        inner = cut + b"\r\n" + name + kind + inner + b"\r\n" + cut + b"--\r\n"
    return inner


HOSTILE = {
    "ten thousand frames": (gif_of(10_000), {200}),
    "an archive": (zipped(), {415}),
    "a form in a form": (nested(60), {400, 415}),
    "a picture of one pixel": (gif_of(1), {200}),
    "a text that says it is a picture": (b"\xff\xd8\xff\xe0" + b"JFIF" * 1000, {415, 422}),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", {415}),
    "a script": (b"#!/bin/sh\nrm -rf /\n", {415}),
}


@pytest.fixture(scope="module")
def wide(predictor: Predictor) -> TestClient:
    """A client of a service with the usual limits."""
    return TestClient(create_app(predictor))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_gets_its_status_at_once(wide: TestClient, case: str) -> None:
    data, allowed = HOSTILE[case]
    for sent in ({"content": data}, {"files": {"file": ("photo.jpg", data)}}):
        started = time.monotonic()
        answer = wide.post("/v1/predict", **sent)  # type: ignore[arg-type]
        assert answer.status_code in allowed, answer.text
        assert time.monotonic() - started < 5


def test_every_file_of_the_messy_folder_has_an_answer(wide: TestClient) -> None:
    if not SHARED.is_dir():
        pytest.skip("the messy folder is not here")
    files = [file for file in sorted(SHARED.rglob("*")) if file.is_file()]
    statuses = {wide.post("/v1/predict", content=file.read_bytes()).status_code for file in files}
    assert len(files) > 100 and statuses <= {200, 413, 415, 422}


def test_odd_senders_get_an_answer_or_a_closed_door(
    serve: Callable[..., AbstractContextManager[Any]], pizza_file: Path
) -> None:
    """By raw sockets: wrong lengths, floods of headers, names that are no text, half a request."""
    data = pizza_file.read_bytes()
    post = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
    requests = {
        "length too long": post + b"Content-Length: 99999999\r\n\r\n" + data,
        "length negative": post + b"Content-Length: -1\r\n\r\n",
        "length no number": post + b"Content-Length: many\r\n\r\n",
        "two lengths": post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "header flood": post + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n",
        "header too long": post + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        "name no text": post + b"X-\xff\xfe: \xff\r\nContent-Length: 0\r\n\r\n",
        "path no text": b"GET /\xff\xfe/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "half a line": b"POST /v1/pre",
        "nothing": b"",
    }
    with serve("--upload-timeout", "1") as service:
        port = int(service.address.rpartition(":")[2])
        for name, sent in requests.items():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
                try:
                    line.sendall(sent)
                    line.shutdown(socket.SHUT_WR)
                    got = line.recv(65536)
                except OSError:  # the door was closed while it still spoke
                    got = b""
            assert not got or got.split()[1] in (b"400", b"404", b"408", b"413", b"422", b"431"), (
                name
            )
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(post + b"X: ")
            with contextlib.suppress(OSError):  # the door is closed
                for _ in range(1000):
                    line.sendall(b"y" * 1000)
                    time.sleep(0.001)
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(65536).startswith(b"HTTP/1.1 400")
            with pytest.raises(OSError):
                line.sendall(b"y" * 1000)
                line.sendall(b"y" * 1000)
        started = time.monotonic()
        answer = httpx.post(f"{service.address}/v1/predict", content=data, timeout=30)
        assert answer.status_code == 200 and time.monotonic() - started < 5
