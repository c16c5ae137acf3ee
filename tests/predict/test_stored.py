"""`pizzaiolo predict` on pictures in an object store: as on a disk."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conftest import Done
from pizzaiolo.core import stores
from toy_predictor import BLUE, OLIVE, VIOLET, YELLOW, picture, predictor
from toy_store import Store, s3_store

Command = Callable[..., Done]
FILES = {"a/1.png": picture(*YELLOW), "a/2.png": picture(*BLUE), "b.png": picture(*VIOLET),
         "bad.jpg": b"no picture", "c.png": picture(*OLIVE), "note.txt": b""}  # fmt: skip


@pytest.fixture
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, s3_store(patch) as store:
        for key, data in FILES.items():
            store.put(f"tree/{key}", data)
        yield store


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same files on disk; the model knows colours, and nobody waits long."""
    for key, data in FILES.items():
        (tmp_path / "tree" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / key).write_bytes(data)
    (tmp_path / "m.onnx").write_bytes(b"stands for a model")
    monkeypatch.setattr("pizzaiolo.starter.load", lambda *_: predictor(tmp_path / "m.onnx"))
    monkeypatch.setattr(stores, "WAITS", (0.01,))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(done: Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.out.splitlines()]


def test_the_same_answers_as_from_a_disk(command: Command, store: Store) -> None:
    expected = answers(command("predict", "tree", "--json"))
    store.busy(2)
    found = answers(command("predict", "s3://photos/tree", "--json"))
    assert [a | {"path": str(a["path"]).replace("s3://photos/", "")} for a in found] == expected
    here = command("predict", (Path.cwd() / "tree").as_uri(), "--json")
    assert [a["verdict"] for a in answers(here)] == [a["verdict"] for a in expected]


def test_a_job_goes_on_and_knows_what_has_not_changed(command: Command, store: Store) -> None:
    whole = ("predict", "s3://photos/tree", "--parquet", "a.parquet", "--resume")
    assert command("predict", "s3://photos/tree/a", "--parquet", "a.parquet").code == 0
    done = command(*whole)
    assert "2 were answered before" in done.err and "5 rows in a.parquet" in done.out
    store.put("tree/b.png", picture(*BLUE) + b" ")
    assert "3 were answered before" in command(*whole).err, "all but the bad and the changed one"
    paths = pq.read_table("a.parquet")["path"].to_pylist()
    assert sorted(paths) == [f"s3://photos/tree/{key}" for key in sorted(FILES) if "txt" not in key]


def test_copies(command: Command, store: Store, work: Path) -> None:
    done = command("predict", "s3://photos/tree", "s3://photos/gone.png", "--copy-to", "out")
    assert "5 pictures copied to out" in done.out and "1 could not be copied" in done.out
    assert (work / "out/pizza/1.png").read_bytes() == FILES["a/1.png"]
    assert (work / "out/unreadable/bad.jpg").read_bytes() == FILES["bad.jpg"]


def test_a_list_of_addresses(
    command: Command, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"s3://photos/tree/b.png\ns3://photos/gone.png\ns3://photos/tree/a\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    done = command("predict", "-", "--json")
    assert [a["path"] for a in answers(done)] == [
        "s3://photos/tree/b.png", "s3://photos/gone.png",
        "s3://photos/tree/a/1.png", "s3://photos/tree/a/2.png",
    ]  # fmt: skip
    assert done.code == 1 and "s3://photos/gone.png is missing" in done.out


@pytest.mark.parametrize(
    ("uri", "words"),
    [("s3://nobody/tree", "there is no bucket 'nobody'"), ("s3://photos/none", "holds no pictures"),
     ("s3://", "names no bucket")],
)  # fmt: skip
def test_wrong_addresses_are_one_message(
    command: Command, store: Store, uri: str, words: str
) -> None:
    done = command("predict", uri)
    assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 2


def test_a_store_that_fails_in_the_middle_stops_the_job(command: Command, store: Store) -> None:
    store.busy(1000, within="c.png")
    done = command("predict", "s3://photos/tree", "--parquet", "a.parquet")
    assert done.code == 1 and "too busy to give s3://photos/tree/c.png" in done.err
    assert "--resume goes on" in done.err
    store.busy(0)
    assert (
        "5 rows" in command("predict", "s3://photos/tree", "--parquet", "a.parquet", "--resume").out
    )
