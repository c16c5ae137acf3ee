"""Pictures in object stores: found in order, read with patience, refused in one message."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pizzaiolo.core import stores
from pizzaiolo.core.stores import is_store, list_pictures, listing, read
from pizzaiolo.errors import ImageError, InputError, MissingExtraError, PizzaioloError, WorkError
from toy_store import Store, s3_store

KEYS = ("b/2.jpg", "b/1.PNG", "a.jpg", "b.jpg", "c/d/x y%20#?.webp", "c/note.txt")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "WAITS", (0.01, 0.01))


@pytest.fixture(scope="module")
def one_store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, s3_store(patch) as store:
        for key in KEYS:
            store.put(f"tree/{key}", key.encode())
        yield store


@pytest.fixture
def store(one_store: Store) -> Iterator[Store]:
    yield one_store
    one_store.busy(0)


@pytest.mark.parametrize(
    ("text", "yes"),
    [("s3://b/k", True), ("gs://b", True), ("file:///a", True), ("s3:/b", False),
     ("a.jpg", False), ("http://b/k", False), ("", False), (Path("s3://b/k"), False)],
)  # fmt: skip
def test_what_is_a_store(text: object, yes: bool) -> None:
    assert is_store(text) == yes


def test_a_tree_comes_in_the_order_of_its_names(store: Store) -> None:
    found = list(list_pictures("s3://photos/tree/"))
    assert [uri.removeprefix("s3://photos/tree/") for uri in found] == [
        "a.jpg", "b/1.PNG", "b/2.jpg", "b.jpg", "c/d/x y%20#?.webp"
    ]  # fmt: skip
    assert list(list_pictures("s3://photos/tree")) == found == list(list_pictures("s3://photos"))
    assert [read(uri).decode() for uri in found] == [
        uri.removeprefix("s3://photos/tree/") for uri in found
    ]


def test_only_the_folders_on_the_way_are_asked_for(store: Store) -> None:
    store.requests = 0
    next(list_pictures("s3://photos/tree"))
    first = store.requests
    list(list_pictures("s3://photos/tree"))
    assert first < store.requests - first


def test_one_picture_and_what_is_told_of_it(store: Store) -> None:
    (found,) = listing("s3://photos/tree/b.jpg")
    assert found.size == 5 and found.modified_ns and str(found) == "s3://photos/tree/b.jpg"
    assert list(listing("s3://photos/nothing")) == []


def test_a_busy_store_is_asked_again(store: Store) -> None:
    store.busy(4)  # the client itself asks three times
    assert len(list(list_pictures("s3://photos/tree"))) == 5
    store.busy(4, (500, "InternalError"))
    assert read("s3://photos/tree/b.jpg") == b"b.jpg"


def test_a_store_that_stays_busy_is_one_error(store: Store) -> None:
    store.busy(1000)
    with pytest.raises(WorkError, match="too busy to give s3://photos/tree: AWS Error"):
        list(list_pictures("s3://photos/tree"))
    with pytest.raises(WorkError, match=r"too busy to give s3://photos/tree/b\.jpg"):
        read("s3://photos/tree/b.jpg")


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_a_refusal_is_not_tried_again(store: Store, code: str) -> None:
    store.busy(1000, (403, code))
    store.requests = 0
    with pytest.raises(InputError, match="the store refuses s3://photos/tree") as caught:
        list(list_pictures("s3://photos/tree"))
    assert "keys" in (caught.value.hint or "") and store.requests == 1
    with pytest.raises(ImageError, match="refuses"):
        read("s3://photos/tree/b.jpg")


def test_what_is_not_there(store: Store) -> None:
    with pytest.raises(InputError, match="there is no bucket 'nobody'"):
        list(list_pictures("s3://nobody/tree"))
    with pytest.raises(ImageError, match=r"s3://photos/gone\.jpg is missing"):
        read("s3://photos/gone.jpg")
    with pytest.raises(ImageError, match="5 bytes, the limit is 4") as caught:
        read("s3://photos/tree/b.jpg", 4)
    assert caught.value.code == "too_many_bytes"


def test_nobody_listens(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(stores, "WAITS", ())
    with pytest.raises(WorkError, match=r"no store answers at http://127\.0\.0\.1:9") as caught:
        list(list_pictures("s3://photos/tree"))
    assert "AWS_ENDPOINT_URL" in (caught.value.hint or "")


@pytest.mark.parametrize("uri", ["s3://", "s3:///key", "gs://", "file://host/a"])
def test_an_address_that_names_nothing(uri: str) -> None:
    with pytest.raises(InputError, match=r"names no bucket|no whole path"):
        list(list_pictures(uri))


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    stores._filesystem.cache_clear()
    with pytest.raises(MissingExtraError, match="s3:// needs the package 'pyarrow'") as caught:
        read("s3://photos/tree/b.jpg")
    assert "pip install pyarrow" in (caught.value.hint or "")


def test_files_of_this_machine_by_their_address(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    for name in ("b/2.jpg", "b/ö.PNG", "a.jpg", "b/note.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "loop").symlink_to(folder)
    found = list(list_pictures(folder.as_uri()))
    assert found == [(folder / name).as_uri() for name in ("a.jpg", "b/2.jpg", "b/ö.PNG")]
    assert read(found[2]).decode() == "b/ö.PNG"
    assert next(listing(found[0])).size == 5
    with pytest.raises(PizzaioloError, match="is missing"):
        read((folder / "gone.jpg").as_uri())
