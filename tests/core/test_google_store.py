"""Pictures in Google's store, by a server of a few lines that speaks its JSON."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pizzaiolo.core import stores
from pizzaiolo.core.stores import list_pictures, listing, read
from pizzaiolo.errors import ImageError, InputError, WorkError

FILES = {"tree/b/2.jpg": b"two", "tree/b.jpg": b"b", "tree/a.PNG": b"a", "tree/note.txt": b""}
busy = 0


def told(name: str) -> dict[str, str]:
    return {
        "kind": "storage#object", "name": name, "bucket": "photos", "generation": "1",
        "size": str(len(FILES[name])), "updated": "2026-01-01T00:00:00Z",
        "timeCreated": "2026-01-01T00:00:00Z", "metageneration": "1",
    }  # fmt: skip


class Google(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        global busy
        busy, was = busy - 1, busy
        status, body = (503, b"{}") if was > 0 else self._found()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _found(self) -> tuple[int, bytes]:
        address = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        bucket, _, name = address.path.removeprefix("/storage/v1/b/").partition("/o/")
        if unquote(name) in FILES:
            name = unquote(name)
            return 200, FILES[name] if asked.get("alt") == "media" else json.dumps(
                told(name)
            ).encode()
        if bucket == "photos/o":
            items = [told(n) for n in sorted(FILES) if n.startswith(asked.get("prefix", ""))]
            return 200, json.dumps({"kind": "storage#objects", "items": items}).encode()
        return 404, b"{}"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("pyarrow.fs")
    global busy
    busy = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(stores, "WAITS", (0.01,))
        yield
        server.shutdown()


def test_pictures_come_in_the_order_of_a_disk() -> None:
    """pyarrow itself sees only the folders that somebody made as such."""
    found = list(listing("gs://anonymous@photos/tree/"))
    assert [stored.uri.removeprefix("gs://anonymous@photos/tree/") for stored in found] == [
        "a.PNG", "b/2.jpg", "b.jpg"
    ]  # fmt: skip
    assert [read(stored.uri) for stored in found] == [b"a", b"two", b"b"]
    assert found[1].size == 3 and found[1].modified_ns == 1_767_225_600_000_000_000
    assert list(list_pictures("gs://anonymous@photos/tree/b.jpg")) == [
        "gs://anonymous@photos/tree/b.jpg"
    ]


def test_what_is_not_there() -> None:
    with pytest.raises(ImageError, match="is missing"):
        read("gs://anonymous@photos/gone.jpg")
    with pytest.raises(InputError, match="there is no bucket 'nobody'"):
        list(listing("gs://anonymous@nobody/tree"))
    with pytest.raises(ImageError, match="at least 3 bytes, the limit is 2"):
        read("gs://anonymous@photos/tree/b/2.jpg", 2)


def test_a_busy_store() -> None:
    global busy
    busy = 1
    assert read("gs://anonymous@photos/tree/b.jpg") == b"b"


@pytest.mark.slow
def test_a_store_that_stays_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    global busy
    busy = 1000
    monkeypatch.setattr(stores, "WAITS", ())
    with pytest.raises(WorkError, match="too busy to give gs://anonymous@photos/tree/b"):
        read("gs://anonymous@photos/tree/b.jpg")
