"""The review sheet: what it shows of a data set, and the server that lets it save."""

import base64
import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.errors import DatasetError, WorkError
from pizzaiolo.prepare.decisions import Decision, decisions_text, read_decisions, write_decisions
from pizzaiolo.prepare.review import sheet as review
from pizzaiolo.prepare.review.server import review_app, serve_review
from pizzaiolo.prepare.review.sheet import replay_command, write_review
from toy_review import (
    CONFIG,
    HOSTILE,
    Reviewable,
    make_reviewable,
    marked,
    sheet_data,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Reviewable:
    return make_reviewable(tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="module")
def data(made: Reviewable) -> dict[str, Any]:
    return sheet_data(made.root)


def paths(data: dict[str, Any], ids: Sequence[int]) -> list[str]:
    return [data["items"][i]["path"] for i in ids]


def item(data: dict[str, Any], path: str) -> dict[str, Any]:
    return next(item for item in data["items"] if item["path"] == path)


# --- what it shows ------------------------------------------------------------------------------


def test_flagged_pictures_come_with_the_surest_first(data: dict[str, Any]) -> None:
    suspects = data["sections"]["suspects"]
    assert paths(data, suspects["items"]) == ["pizza/2.png", "not_pizza/2.png", "pizza/3.png"]
    assert item(data, "pizza/2.png")["suggested"] == "not_pizza"
    assert paths(data, data["sections"]["outliers"]["items"]) == ["not_pizza/3.png"]


def test_look_alikes_and_conflicts_are_groups(data: dict[str, Any]) -> None:
    [conflict] = data["sections"]["conflicts"]["groups"]
    assert paths(data, conflict["items"]) == ["not_pizza/argued.png", "pizza/argued.png"]
    [group] = data["sections"]["groups"]["groups"]
    assert paths(data, group["items"]) == ["pizza/1.png", "pizza/twin of 1.jpg"]
    assert len(group["splits"]) == 1 and not group["leak"]


def test_rejected_files_and_poor_pictures_are_sorted_by_what_they_have(
    data: dict[str, Any],
) -> None:
    rejected = {part["name"]: paths(data, part["items"]) for part in data["sections"]["rejected"]}
    assert rejected == {
        "blank": ["not_pizza/blank.png"],
        "exact_duplicate": ["pizza/copy of 4.png"],
        "unreadable": ["pizza/broken.jpg"],
    }
    poor = {part["name"]: paths(data, part["items"]) for part in data["sections"]["quality"]}
    assert poor == {"dark": ["not_pizza/2.png", "not_pizza/4.png"], "blurry": ["not_pizza/2.png"]}


def test_every_kept_picture_is_there_once_and_its_file_too(
    made: Reviewable, data: dict[str, Any]
) -> None:
    kept = [row.path for row in Dataset.open(made.root).rows if row.kept]
    assert sorted(paths(data, data["sections"]["all"]["items"])) == sorted(kept)
    assert len({item["path"] for item in data["items"]}) == len(data["items"])
    files = [item["file"] for item in data["items"] if item["kept"]]
    assert all((made.root / file).is_file() for file in files) and len(set(files)) == len(kept)


def test_a_rejected_file_shows_a_picture_where_there_is_one(data: dict[str, Any]) -> None:
    assert item(data, "pizza/argued.png")["thumb"].startswith("data:image/jpeg;base64,")
    assert item(data, "not_pizza/blank.png")["thumb"]
    assert "thumb" not in item(data, "pizza/broken.jpg")
    copy = item(data, "pizza/copy of 4.png")
    assert copy["file"] == item(data, "pizza/4.png")["file"] and "thumb" not in copy


def test_only_what_a_person_may_overrule_can_be_decided(data: dict[str, Any]) -> None:
    can = {path: item(data, path)["can"] for path in (
        "pizza/5.png", "pizza/argued.png", "not_pizza/blank.png", "pizza/broken.jpg",
        "pizza/copy of 4.png",
    )}  # fmt: skip
    assert list(can.values()) == ["kdr", "kdr", "k", "", ""]


def test_names_are_data_and_never_markup(made: Reviewable, data: dict[str, Any]) -> None:
    page = (made.root / "review.html").read_text(encoding="utf-8")
    assert {item["path"] for item in data["items"]} >= {f"pizza/{name}" for name in HOSTILE}
    assert "<img src=x" not in page and page.count("</script>") == page.count("<script") == 3


def test_the_page_runs_its_own_script_only_and_needs_no_network(made: Reviewable) -> None:
    page = (made.root / "review.html").read_text(encoding="utf-8")
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1 and f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)|https?://|@import|url\(", page)


@pytest.mark.parametrize(("limit", "section"), [("MAX_FLAGGED", "suspects"), ("MAX_ALL", "all")])
def test_a_long_section_is_cut_with_a_count(
    made: Reviewable, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    limit: str, section: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(review, limit, 2)
    cut = shown_with(made, tmp_path)["sections"][section]
    assert len(cut["items"]) == 2
    assert cut["more"] == len(data["sections"][section]["items"]) - 2


def test_small_pictures_have_a_bound(
    made: Reviewable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "MAX_THUMBNAILS", 1)
    assert sum("thumb" in item for item in shown_with(made, tmp_path)["items"]) == 1


def shown_with(
    made: Reviewable, root: Path, decisions: Sequence[Decision] = (), rows: Sequence[Row] = ()
) -> dict[str, Any]:
    """What a sheet of the same data set, or of these rows, knows."""
    dataset = Dataset.open(made.root)
    rows = rows or [marked(row) for row in dataset.rows]
    files = {row.path: made.source / row.path for row in dataset.rows}
    write_review(
        replace(dataset, root=root, rows=tuple(rows)), {"found": 9, "kept": 9}, decisions, files
    )
    return sheet_data(root)


def test_leaks_come_first_then_two_labels_then_large_groups(
    made: Reviewable, tmp_path: Path
) -> None:
    def row(group: str, i: int, label: str = "pizza", split: str = "train") -> Row:
        return Row(f"{group}{i}", label, group=group, split=split, sha256=f"{group}{i}", file="f")

    rows = [row("large", i) for i in range(4)] + [row("small", i) for i in range(2)]
    rows += [row("torn", 0), row("torn", 1, "not_pizza")]
    rows += [row("leak", 0), row("leak", 1, split="test"), row("alone", 0)]
    groups = shown_with(made, tmp_path, rows=rows)
    shown = groups["sections"]["groups"]["groups"]
    names = [groups["items"][group["items"][0]]["path"][:-1] for group in shown]
    assert names == ["leak", "torn", "large", "small"]
    assert [g["leak"] for g in shown] == [True, False, False, False] and shown[1]["labels"] == 2


def test_earlier_decisions_are_known_by_the_sources_label(made: Reviewable, tmp_path: Path) -> None:
    rows = list(Dataset.open(made.root).rows)
    place = next(i for i, row in enumerate(rows) if row.path == "pizza/5.png")
    rows[place] = replace(rows[place], label="not_pizza")
    decision = Decision("pizza/5.png", "pizza", rows[place].sha256 or "", "relabel", "not_pizza")
    data = shown_with(made, tmp_path, [decision], rows)
    found = item(data, "pizza/5.png")
    assert (found["label"], found["now"]) == ("pizza", "not_pizza")
    assert data["decisions"] == [["pizza/5.png", "pizza", rows[place].sha256, "relabel",
                                  "not_pizza"]]  # fmt: skip


def test_the_command_makes_the_same_data_set_again() -> None:
    config = PrepareConfig(drop_near=True, features=False, ratios=(0.8, 0.1, 0.1), seed=3,
                           classes=("a=b,c", "rest=*"))  # fmt: skip
    assert replay_command(["my photos", "x.zip"], Path("out"), config) == (
        "pizzaiolo prepare 'my photos' x.zip --out out --ratios 0.8,0.1,0.1 --seed 3 --drop-near "
        "--no-features --classes a=b,c --classes 'rest=*'"
    )


# --- the server ---------------------------------------------------------------------------------

TOKEN = "secret"
HOST = "127.0.0.1:4242"


@pytest.fixture
def client(made: Reviewable) -> Iterator[TestClient]:
    app = review_app(made.root, TOKEN, replay_command([made.source], made.root, CONFIG))
    with TestClient(app, base_url=f"http://{HOST}") as client:
        yield client
    (made.root / "decisions.csv").unlink(missing_ok=True)


SOME = [Decision(f"pizza/{name}", "pizza", "00", "drop") for name in HOSTILE]


def post(client: TestClient, content: bytes, **headers: str) -> Any:
    return client.post(f"/{TOKEN}/decisions.csv", content=content, headers=headers)


def test_saving_writes_the_file_and_names_the_command(
    client: TestClient, made: Reviewable, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = post(client, decisions_text(SOME).encode(), origin=f"http://{HOST}")
    file = made.root / "decisions.csv"
    assert read_decisions(file) == SOME
    command = f"pizzaiolo prepare {made.source} --out {made.root} --size 64 --no-features"
    assert reply.json()["saved"] == len(SOME) and reply.json()["file"] == str(file)
    assert reply.json()["command"].startswith(command.replace(" --no-features", ""))
    assert reply.json()["command"].endswith(f"--decisions {file}")
    told = capsys.readouterr().err
    assert str(file) in told and reply.json()["command"] in told


def test_the_served_page_knows_what_was_saved(client: TestClient) -> None:
    def served() -> Any:
        page = client.get(f"/{TOKEN}/").text
        found = re.search(r'<script id="served" type="application/json">(.*?)</script>', page)
        assert found
        return json.loads(found[1])

    assert served() == {"decisions": None}
    post(client, decisions_text(SOME).encode())
    assert served() == {"decisions": [[d.path, "pizza", "00", "drop", ""] for d in SOME]}


def test_a_damaged_file_is_told_on_the_page(client: TestClient, made: Reviewable) -> None:
    (made.root / "decisions.csv").write_text("nonsense")
    page = client.get(f"/{TOKEN}/")
    assert page.status_code == 200 and "has no column" in page.text


def test_pictures_are_served_and_nothing_else(client: TestClient, made: Reviewable) -> None:
    row = next(row for row in Dataset.open(made.root).rows if row.kept)
    assert client.get(f"/{TOKEN}/{row.file}").content == (made.root / str(row.file)).read_bytes()
    above = (
        "images/../dataset.json",
        "images/%2e%2e/dataset.json",
        "images/..%2f..%2fphotos/a.png",
    )
    for path in ("manifest.parquet", *above, "decisions.csv", "docs", "openapi.json"):
        assert client.get(f"/{TOKEN}/{path}").status_code in (404, 405), path


@pytest.mark.parametrize("path", ["/", "/wrong/", "/decisions.csv", "/images/x.png"])
def test_nothing_answers_without_the_token(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.post(path, content=b"").status_code in (404, 405)


def test_a_foreign_host_name_is_refused(client: TestClient) -> None:
    """A page whose own name was rebound to 127.0.0.1 must not read or write."""
    assert client.get(f"/{TOKEN}/", headers={"host": "evil.example"}).status_code == 400
    refused = post(client, decisions_text(SOME).encode(), host="evil.example")
    assert refused.status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_can_not_save(
    client: TestClient, made: Reviewable, origin: str
) -> None:
    assert post(client, decisions_text(SOME).encode(), origin=origin).status_code == 403
    assert not (made.root / "decisions.csv").exists()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"path,label\r\nx,y\r\n", 422, "no column"),
        (b"\xff", 422, "no UTF-8"),
        (b"x" * 2000, 413, "more than 1,000 bytes"),
    ],
)
def test_what_is_no_list_of_decisions_is_refused(
    client: TestClient, made: Reviewable, monkeypatch: pytest.MonkeyPatch,
    body: bytes, status: int, words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("pizzaiolo.prepare.review.server.MAX_BYTES", 1000)
    (made.root / "decisions.csv").write_text(decisions_text(SOME[:1]))
    reply = post(client, body)
    assert reply.status_code == status and words in reply.json()["message"]
    assert read_decisions(made.root / "decisions.csv") == SOME[:1]


def test_the_command_serves_after_preparing_until_ctrl_c(made: Reviewable, tmp_path: Path) -> None:
    write_decisions(tmp_path / "d.csv", [Decision("pizza/5.png", "pizza", "", "drop")])
    command = ["prepare", str(made.source), "--out", str(tmp_path / "D"), "--no-features"]
    with subprocess.Popen(
        [sys.executable, "-m", "pizzaiolo", *command, "--workers", "1", "--review", "--decisions",
         str(tmp_path / "d.csv")],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout and process.stderr
        told = ""
        while "review at http://127.0.0.1:" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0 and "1 dropped" in process.stdout.read()


def test_a_folder_without_a_sheet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no data set with a review\.html"):
        serve_review(tmp_path)


def test_a_port_that_is_taken_is_an_error(made: Reviewable) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkError, match=f"can't listen on 127.0.0.1:{port}"):
            serve_review(made.root, port)
