"""The hub over the network: the library's own requests, answered by a small hub on this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from toy_pictures import encode

COMMIT = "a" * 40
API, FILES = "/api/datasets/owner/name", "/datasets/owner/name/resolve/"
CODE = """
import gc
import json
import os
import datasets
from huggingface_hub.hf_file_system import HfFileSystemFile
from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare.sources.hub import read_hub

def read():
    found = read_hub("hf:owner/name", PrepareConfig(), [])
    return [[c.path, c.label, c.split, c.file.read_bytes().hex()] for c in found]

first = read()
assert not any(type(o) is HfFileSystemFile for o in gc.get_objects()), "a file is left open"
datasets.load_dataset = None
assert read() == first, "a later run asks for nothing"
print(json.dumps(first), flush=True)
os._exit(0)  # one of Arrow's threads may still wait for Python, whose end would then abort (#33975)
"""


class Hub(BaseHTTPRequestHandler):
    """Enough of the hub's interface to read one public data set from the folder `root`."""

    root: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(f"{API}/tree/"):
            folder = self.root.joinpath(*path.removeprefix(f"{API}/tree/").split("/")[1:])
            deep = "recursive=true" in self.path
            found = sorted(folder.rglob("*") if deep else folder.glob("*"))
            self.answer([self.entry(p) for p in found]) if found else self.missing()
        elif path == API or path.startswith(f"{API}/revision/"):
            names = [{"rfilename": e["path"]} for e in map(self.entry, self.root.rglob("*"))]
            self.answer({"id": "owner/name", "sha": COMMIT, "siblings": names})
        elif path.startswith(FILES) and (file := self.file(path)).is_file():
            self.send_file(file.read_bytes())
        else:
            self.missing()

    do_HEAD = do_GET

    def file(self, path: str) -> Path:
        return self.root.joinpath(*path.removeprefix(FILES).split("/")[1:])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
        self.answer([self.entry(p) for p in (self.root / w for w in wanted) if p.exists()])

    def entry(self, path: Path) -> dict[str, Any]:
        kind, size = ("file", path.stat().st_size) if path.is_file() else ("directory", 0)
        name = path.relative_to(self.root).as_posix()
        return {"type": kind, "path": name, "size": size, "oid": "0" * 40}

    def send_file(self, data: bytes) -> None:
        start, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        part = data[int(start or 0) : int(end) + 1 if end else None]
        headers = {"ETag": '"x"', "X-Repo-Commit": COMMIT}
        if start:
            headers["Content-Range"] = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
        self.send(206 if start else 200, part, headers)

    def missing(self) -> None:
        self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def answer(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


PICTURES = [encode(Image.new("RGB", (8, 8), (40 * i, 0, 0))) for i in range(6)]


def as_parquet(root: Path) -> None:
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(2, "ab")})
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        rows = [
            {"image": {"bytes": PICTURES[i], "path": f"{i}.png"}, "label": i % 2} for i in numbers
        ]
        table = pa.Table.from_pylist(rows, schema=kinds.arrow_schema)
        pq.write_table(table, root / f"{split}-00000-of-00001.parquet")


def as_folder(root: Path) -> None:
    for number, data in enumerate(PICTURES):
        file = root / ("train" if number < 4 else "test") / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    kind = type("OwnHub", (Hub,), {"root": tmp_path / "hub"})
    kind.root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield kind.root, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def read(address: str, tmp_path: Path) -> list[list[str]]:
    """In a process of its own: the library takes its settings when it is imported."""
    settings = {
        "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"),
        "PIZZAIOLO_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CODE], env={**os.environ, **settings}, cwd=tmp_path,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("fill", [as_parquet, as_folder])
def test_pictures_come_over_the_network_once(
    hub: tuple[Path, str], tmp_path: Path, fill: Any
) -> None:
    root, address = hub
    fill(root)
    found = read(address, tmp_path)
    assert sorted((label, split, data) for _, label, split, data in found) == sorted(
        ("ab"[i % 2], "train" if i < 4 else "test", PICTURES[i].hex()) for i in range(6)
    )
    assert all(
        path.startswith(("hf:owner/name/train/", "hf:owner/name/test/")) for path, *_ in found
    )
