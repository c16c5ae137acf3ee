"""onnxruntime-web for the page: fetched once, only the pinned bytes, or from a file."""

import base64
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pizzaiolo.errors import InputError, PizzaioloError, UsageError, WorkError
from pizzaiolo.export import web_runtime
from pizzaiolo.export.web_runtime import VERSION, Runtime, archive_url, load_runtime
from toy_site import Site, serving
from toy_web import CONTENTS, archive, integrity

PLACE = f"/npm/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"


def pin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(web_runtime, "INTEGRITY", integrity(data))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A registry that has the archive, whose hash is the pinned one."""
    data = archive()
    pin(monkeypatch, data)
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    with serving() as site:
        site.answers[PLACE] = data
        monkeypatch.setenv("npm_config_registry", site.url("/npm/"))
        yield site


def refused(kind: type[PizzaioloError], words: str, given: Path | None = None) -> PizzaioloError:
    with pytest.raises(kind, match=words) as caught:
        load_runtime(given)
    return caught.value


def kept(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_it_is_fetched_once_and_kept(site: Site, tmp_path: Path) -> None:
    for _ in range(2):
        assert load_runtime() == Runtime(*CONTENTS)
    assert site.count(PLACE) == 1
    assert kept(tmp_path / "cache") == [f"downloads/onnxruntime-web-{VERSION}.tgz"]


def test_a_damaged_copy_is_fetched_again(site: Site, tmp_path: Path) -> None:
    load_runtime()
    (tmp_path / "cache" / kept(tmp_path / "cache")[0]).write_bytes(b"half of")
    assert load_runtime().wasm == b"wasm"
    assert site.count(PLACE) == 2


def test_other_bytes_than_the_pinned_are_refused(site: Site, tmp_path: Path) -> None:
    site.answers[PLACE] = archive(("a.js", "b.mjs", "c.wasm"))
    error = refused(WorkError, "gave another file than onnxruntime-web")
    assert error.hint and "alters files" in error.hint
    assert kept(tmp_path / "cache") == []


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "words"),
    [(404, "HTTP 404"), (cut_off, "ended after 10 of 1,000 bytes|IncompleteRead")],
    ids=["missing", "cut off"],
)
def test_a_registry_that_fails_is_told(
    site: Site, tmp_path: Path, answer: int | Callable[[BaseHTTPRequestHandler], None], words: str
) -> None:
    site.answers[PLACE] = answer
    error = refused(WorkError, words)
    assert error.hint and "--web-runtime" in error.hint and "npm pack" in error.hint
    assert kept(tmp_path / "cache") == []


def test_no_network_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    assert "--web-runtime" in str(refused(WorkError, "can't fetch http://127.0.0.1:9/").hint)


def test_a_file_without_end_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_runtime, "MOST_BYTES", 100)
    refused(WorkError, "larger than 100 bytes")


def test_a_login_goes_as_a_header_and_is_never_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = site.url("/npm").replace("//", "//cook:secret@")
    monkeypatch.setenv("npm_config_registry", address)
    load_runtime()
    sent = site.asked[0].headers["authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"cook:secret"
    site.answers[PLACE] = 403
    pin(monkeypatch, b"something else")
    assert "secret" not in str(refused(WorkError, "HTTP 403")) + capsys.readouterr().err


def test_the_registry_is_npms_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    assert archive_url().startswith("https://registry.npmjs.org/onnxruntime-web/-/")


def test_a_registry_that_is_no_web_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(UsageError, match="expected a web address"):
        archive_url()


def test_a_given_file_needs_no_network(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ort.tgz").write_bytes(archive())
    assert load_runtime(tmp_path / "ort.tgz") == Runtime(*CONTENTS)
    assert site.asked == []


@pytest.mark.parametrize("content", [b"", b"no archive", archive(("x", "y", "z"))])
def test_another_given_file_is_refused(site: Site, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ort.tgz").write_bytes(content)
    error = refused(InputError, f"is not onnxruntime-web {VERSION}", tmp_path / "ort.tgz")
    assert error.hint and f"npm pack onnxruntime-web@{VERSION}" in error.hint


def test_a_given_file_that_is_not_there(site: Site, tmp_path: Path) -> None:
    refused(InputError, "can't read --web-runtime .*: No such file", tmp_path / "none.tgz")


def test_an_archive_without_the_files_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = archive(("x", "y", "z"))
    pin(monkeypatch, data)
    (tmp_path / "ort.tgz").write_bytes(data)
    refused(InputError, "can't be unpacked", tmp_path / "ort.tgz")
