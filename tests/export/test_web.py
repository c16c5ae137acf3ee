"""The folder that `export --web` writes: what is in it, and what it refuses."""

import base64
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.core.bundle import UNFINISHED
from pizzaiolo.core.labels import Labels
from pizzaiolo.errors import InputError, ModelFileError, StorageError, UsageError
from pizzaiolo.export import web, web_runtime
from pizzaiolo.export.web import export_web
from toy_web import CONTENTS, archive, integrity

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The file of a stand-in for the runtime, whose hash is the pinned one."""
    file = tmp_path_factory.mktemp("npm") / "ort.tgz"
    file.write_bytes(archive())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_runtime, "INTEGRITY", integrity(file.read_bytes()))
        yield file


@pytest.fixture(scope="module")
def result(
    starter: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return export_web(starter, tmp_path_factory.mktemp("exported") / "page", runtime=runtime)


@pytest.fixture
def page(result: dict[str, Any]) -> Path:
    return Path(result["file"]).parent


def part(page: Path, name: str) -> bytes:
    """A part put together from its scripts, as the page does it."""
    files = sorted(page.glob(f"parts/{name}-*.js"), key=lambda f: int(f.stem.split("-")[1]))
    packed = b""
    for place, file in enumerate(files):
        call = re.fullmatch(rf'part\("{name}", {place}, "([\w+/=]+)"\);\n', file.read_text())
        assert call, file
        packed += base64.b64decode(call[1], validate=True)
    return gzip.decompress(packed)


def test_the_result_has_the_documented_keys(result: dict[str, Any], page: Path) -> None:
    assert list(result) == ["file", "format", "bytes", "parity", "gate"]
    assert (result["file"], result["format"]) == (str(page / "index.html"), "web")
    assert result["bytes"] == sum(f.stat().st_size for f in page.rglob("*") if f.is_file())


def test_the_parts_hold_the_model_and_the_runtime(page: Path, starter: Path) -> None:
    assert part(page, "model") == starter.read_bytes()
    assert part(page, "glue") == CONTENTS[1] and part(page, "wasm") == CONTENTS[2]
    worker = part(page, "worker")
    assert worker.startswith(CONTENTS[0])
    for script in web.WORKER:
        assert (web.PAGE / script).read_bytes() in worker


def test_every_file_that_the_page_names_is_there(page: Path) -> None:
    text = (page / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="([^":]+)"', text))
    card = (page / "card.js").read_text()
    facts = json.loads(card.removeprefix("const CARD = ").removesuffix(";\n"))
    for files in facts["parts"].values():
        for file in files:
            assert (page / file["path"]).stat().st_size == file["bytes"]
            named.add(file["path"])
    extra = {"index.html", "pizzaiolo.json"}
    assert {str(f.relative_to(page)) for f in page.rglob("*") if f.is_file()} == named | extra


def test_the_page_may_ask_nobody(page: Path) -> None:
    text = (page / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == "'self' blob: data: 'wasm-unsafe-eval'"
    assert not re.search(r"https?://", "".join(f.read_text() for f in web.PAGE.glob("*.js")))


def test_the_page_names_its_question_and_its_licences(page: Path) -> None:
    assert "<title>Pizza, or not?</title>" in (page / "index.html").read_text()
    licences = (page / "LICENCES.txt").read_text()
    assert "Weights of the model: Apache-2.0" in licences and "Microsoft" in licences
    about = json.loads((page / "pizzaiolo.json").read_text())
    assert about["versions"]["onnxruntime-web"] == web_runtime.VERSION
    assert about["card"]["labels"]["names"] == ["not_pizza", "pizza"]


def test_a_class_name_can_do_no_harm() -> None:
    name = "<script>alert(1)</script>"
    text = web._index(Labels((name, "b"), name))
    assert "<title>&lt;script&gt;alert" in text and "<script>alert" not in text


def test_an_earlier_page_is_replaced_as_a_whole(
    starter: Path, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    monkeypatch.setattr(web, "PER_FILE", 300_000)
    export_web(starter, folder, runtime=runtime)
    many = len(list(folder.glob("parts/model-*.js")))
    assert part(folder, "model") == starter.read_bytes()
    monkeypatch.undo()
    monkeypatch.setattr(web_runtime, "INTEGRITY", integrity(runtime.read_bytes()))
    export_web(starter, folder, runtime=runtime)
    assert len(list(folder.glob("parts/model-*.js"))) < many
    assert part(folder, "model") == starter.read_bytes()
    assert not (folder / UNFINISHED).exists()


def test_a_folder_of_something_else_is_left_alone(
    starter: Path, runtime: Path, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("my own site")
    with pytest.raises(StorageError, match="holds other files and no earlier web page"):
        export_web(starter, tmp_path, runtime=runtime)
    assert [f.name for f in tmp_path.iterdir()] == ["index.html"]


def test_a_file_in_place_of_the_folder(starter: Path, runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("")
    with pytest.raises(UsageError, match="which is a file, expected a folder"):
        export_web(starter, tmp_path / "page", runtime=runtime)


def test_a_model_that_no_browser_runs(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"")
    with pytest.raises(ModelFileError, match="can't run in a browser"):
        export_web(tmp_path / "model.pt2", tmp_path / "page", runtime=runtime)


def test_a_wrong_runtime_leaves_nothing(starter: Path, tmp_path: Path) -> None:
    (tmp_path / "ort.tgz").write_bytes(b"something")
    with pytest.raises(InputError, match="is not onnxruntime-web"):
        export_web(starter, tmp_path / "page", runtime=tmp_path / "ort.tgz")
    assert not (tmp_path / "page").exists()


def test_a_run_is_exported_and_checked_on_its_way(
    run_folder: Path, runtime: Path, tmp_path: Path
) -> None:
    result = export_web(run_folder, tmp_path / "page", runtime=runtime)
    assert result["parity"]["agreement"] == 1 and result["gate"]["passed"]
    assert b"probabilities" in part(tmp_path / "page", "model")


def test_the_command_tells_where_the_page_is(
    command: Command, starter: Path, runtime: Path, tmp_path: Path
) -> None:
    done = command("export", starter, "--web", tmp_path / "p", "--web-runtime", runtime, "--json")
    assert done.code == 0 and json.loads(done.out)["file"] == str(tmp_path / "p" / "index.html")
    done = command("export", starter, "--web", tmp_path / "p", "--web-runtime", runtime)
    assert done.code == 0 and "in a browser" in done.out


def test_the_command_wants_a_file_or_a_page(command: Command, starter: Path) -> None:
    done = command("export", starter)
    assert done.code == 2 and "--web DIR for a page" in done.err
