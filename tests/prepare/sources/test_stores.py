"""Class folders of an object store: fetched once, patiently, and never a reason to lose a row."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core import stores
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import InputError, SourceError, WorkError
from pizzaiolo.prepare.run import prepare
from pizzaiolo.prepare.sources.stores import read_store
from toy_store import Store, s3_store

ADDRESS = "s3://photos/set"


@pytest.fixture(scope="module")
def one_store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, s3_store(patch) as store:
        yield store


@pytest.fixture(scope="module")
def source(
    make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, one_store: Store
) -> Path:
    """A folder with faults, and the same in the store."""
    folder = make_folder(tmp_path_factory.mktemp("stored") / "set")
    (folder / "a/broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "b/words.txt").write_text("words")
    (folder / "b/two words %20.png").write_bytes((folder / "b/3.png").read_bytes())
    (folder / "b/deeper").mkdir()
    (folder / "b/7.png").rename(folder / "b/deeper/7.png")
    (folder / "a/.thumbs").mkdir()
    (folder / "a/.thumbs/1.png").write_bytes((folder / "a/1.png").read_bytes())
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            one_store.put(f"set/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return folder


@pytest.fixture
def store(
    one_store: Store, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """The store in good order, an empty cache, and no time for pauses."""
    monkeypatch.setattr(stores, "WAITS", (0.01, 0.01))
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    yield one_store
    one_store.busy(0)


def read(source: str = ADDRESS, **settings: Any) -> list[Any]:
    return list(read_store(source, PrepareConfig(**settings), []))


def test_the_data_set_is_that_of_the_same_folder(
    store: Store, source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    ours = prepare(source, tmp_path / "here", alone)
    theirs = prepare(ADDRESS, tmp_path / "there", alone)
    assert ours["found"] == theirs["found"] == 20 and len(ours["rejected"]) == 2
    rows = [list(Dataset.open(tmp_path / x).rows) for x in ("here", "there")]
    assert rows[0] == rows[1]


def test_what_was_fetched_is_not_asked_for_again_unless_it_changes(store: Store) -> None:
    first = read()
    asked = store.requests
    assert len(first) == 20 and all(c.fault is None and c.file.is_file() for c in first)
    store.requests = 0
    assert read() == first and store.requests < asked - 20
    store.put("set/a/0.png", b"another")
    try:
        (changed,) = [c for c in read() if c.path == "a/0.png"]
        assert changed.file.read_bytes() == b"another"
    finally:
        (before,) = [c for c in first if c.path == "a/0.png"]
        store.put("set/a/0.png", before.file.read_bytes())


def test_a_busy_store_is_waited_for(store: Store) -> None:
    store.busy(8, within=".png")
    assert all(c.fault is None for c in read(download_connections=2))


def test_a_store_that_stays_busy_is_one_message_and_the_next_run_goes_on(store: Store) -> None:
    store.busy(10**6, within="/b/")
    with pytest.raises(WorkError, match="too busy to give s3://photos/set/b"):
        read(download_connections=2)
    store.busy(0)
    assert all(c.fault is None for c in read())


def test_one_picture_that_is_refused_or_too_large_is_a_row(
    store: Store, alone: PrepareConfig, tmp_path: Path
) -> None:
    store.busy(10**6, (403, "AccessDenied"), within="a/1.png")
    (refused,) = [c for c in read() if c.fault]
    assert refused.path == "a/1.png" and refused.fault[0] == "download_failed"
    assert "refuses" in refused.fault[1]
    found = prepare(ADDRESS, tmp_path / "D", alone)
    assert found["rejected"]["download_failed"] == 1
    (row,) = [r for r in Dataset.open(tmp_path / "D").rows if r.reason == "download_failed"]
    assert row.path == "a/1.png"
    store.busy(0)
    assert {c.fault[0] for c in read(max_bytes=10) if c.fault} == {"download_failed"}


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("s3://nobody/set", InputError, "there is no bucket 'nobody'"),
        ("s3://photos/nothing", SourceError, "s3://photos/nothing holds nothing"),
        ("s3://photos/set/a", SourceError, "holds no class folders"),
        ("s3://", InputError, "names no bucket"),
    ],
)
def test_addresses_that_hold_no_classes(
    store: Store, address: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read(address)


def test_missing_keys_are_one_message(store: Store) -> None:
    store.busy(10**6, (403, "InvalidAccessKeyId"))
    with pytest.raises(InputError, match="the store refuses") as told:
        read()
    assert "keys" in (told.value.hint or "")


def test_folders_of_the_split_and_hidden_ones(store: Store, source: Path) -> None:
    picture = (source / "a/1.png").read_bytes()
    for key in ("train/a/1.png", "val/a/2.png", "val/b/3.png", "test/a/4.png",
                ".trash/a/5.png", "loose.png", "train/loose.png"):  # fmt: skip
        store.put(f"split/{key}", picture)
    notes: list[str] = []
    found = list(read_store("s3://photos/split/", PrepareConfig(), notes, "p/"))
    assert [(c.path, c.label, c.split) for c in found] == [
        ("p/test/a/4.png", "a", "test"), ("p/train/a/1.png", "a", "train"),
        ("p/val/a/2.png", "a", "validation"), ("p/val/b/3.png", "b", "validation"),
    ]  # fmt: skip
    assert "1 files of hidden folders" in notes[0] and "2 files beside" in notes[1]


def test_a_folder_by_its_address_is_the_folder(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    ours = prepare(source, tmp_path / "here", alone)
    theirs = prepare(source.as_uri(), tmp_path / "there", alone)
    assert ours["found"] == theirs["found"]
    rows = [list(Dataset.open(tmp_path / x).rows) for x in ("here", "there")]
    assert rows[0] == rows[1]
