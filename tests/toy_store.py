"""An S3 store of this machine's own (moto's), which can be told to be busy or to refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

SIGNED = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"
SLOW_DOWN = (503, "SlowDown")


class Store:
    """A store with one bucket, `photos`; `refuse` says how a request fails, or None."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.app = DomainDispatcherApplication(create_backend_app)
        self.refuse: Callable[[str, str], tuple[int, str] | None] = lambda method, path: None
        self.requests = 0
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        with urlopen(Request(f"{self.address}/moto-api/reset", method="POST")):
            pass  # moto keeps what it holds in this process, not in a store
        self._put("photos")

    def put(self, key: str, data: bytes) -> None:
        """Store an object in the bucket."""
        self._put(f"photos/{key}", data)

    def _put(self, path: str, data: bytes = b"") -> None:
        headers = {"Content-Type": "application/octet-stream", "Authorization": SIGNED}
        with urlopen(Request(f"{self.address}/{quote(path)}", data, headers, method="PUT")):
            pass

    def busy(self, times: int, fault: tuple[int, str] = SLOW_DOWN, within: str = "") -> None:
        """The next requests whose path holds `within` fail."""
        left = times

        def refuse(method: str, path: str) -> tuple[int, str] | None:
            nonlocal left
            if method == "PUT" or within not in path or left <= 0:
                return None
            left -= 1
            return fault

        self.refuse = refuse

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.requests += 1
        fault = self.refuse(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if fault is None:
            found: Iterable[bytes] = self.app(environ, start)
            return found
        body = f"<?xml version='1.0'?><Error><Code>{fault[1]}</Code><Message>No</Message></Error>"
        start(f"{fault[0]} {fault[1]}", [("Content-Type", "application/xml"),
                                         ("Content-Length", str(len(body)))])  # fmt: skip
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body.encode()]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@contextmanager
def s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store, to which the environment leads."""
    pytest.importorskip("moto")
    pytest.importorskip("pyarrow.fs")
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = Store()
    for name, value in (("AWS_ENDPOINT_URL", store.address), ("AWS_ACCESS_KEY_ID", "key"),
                        ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1"),
                        ("AWS_EC2_METADATA_DISABLED", "true")):  # fmt: skip
        monkeypatch.setenv(name, value)
    try:
        yield store
    finally:
        store.close()
