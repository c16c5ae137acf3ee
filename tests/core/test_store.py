"""The cache between runs: what was put is found, and no fault of it stops the work."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pizzaiolo.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "folder" / "store.sqlite")


def test_what_was_put_is_found_by_any_later_one(store: Store) -> None:
    store.put([(b"a", b"1"), (b"b", b"")])
    assert Store(store.path).get([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b""}


def test_a_later_value_takes_the_place_of_an_earlier_one(store: Store) -> None:
    store.put([(b"a", b"1")])
    store.put([(b"a", b"2")])
    assert store.get([b"a"]) == {b"a": b"2"}


def test_looking_into_a_cache_that_is_not_there_makes_none(store: Store) -> None:
    assert store.get([b"a"]) == {}
    assert not store.path.exists()


def test_a_file_that_another_process_has_just_begun_is_empty(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.path.parent.mkdir()
    store.path.touch()
    assert store.get([b"a"]) == {} and not caplog.records
    store.put([(b"a", b"1")])
    assert store.get([b"a"]) == {b"a": b"1"}


def test_more_keys_than_a_query_holds(store: Store) -> None:
    keys = [i.to_bytes(4, "big") for i in range(40_000)]
    store.put((key, key) for key in keys)
    assert store.get(keys) == dict(zip(keys, keys, strict=True))


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"SQLite format 3\0" + b"\1" * 99])
def test_a_damaged_file_starts_anew_with_a_word(
    store: Store, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(damage)
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        assert store.get([b"a"]) == {}
    assert "damaged" in caplog.text
    store.put([(b"a", b"1")])
    assert store.get([b"a"]) == {b"a": b"1"}


def test_a_cache_that_cannot_be_written_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "store.sqlite")
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        store.put([(b"a", b"1")])
        store.put([(b"b", b"2")])
    assert store.get([b"a"]) == {}
    assert caplog.text.count("keeps nothing") == 1


def write(path: Path, number: int) -> None:
    for i in range(20):
        Store(path).put([(bytes([number, i]), b"x" * 1000)])


def test_several_processes_write_at_once(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(store.path, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    keys = [bytes([n, i]) for n in range(3) for i in range(20)]
    assert len(store.get(keys)) == 60


def test_a_file_that_was_put_in_its_place_is_read_and_not_the_one_that_is_gone(
    store: Store, tmp_path: Path
) -> None:
    store.put([(b"a", b"old")])
    assert store.get([b"a"]) == {b"a": b"old"}
    other = Store(tmp_path / "other.sqlite")
    other.put([(b"a", b"new")])
    other.path.replace(store.path)
    assert store.get([b"a"]) == {b"a": b"new"}
    store.path.unlink()
    assert store.get([b"a"]) == {}


def test_any_thread_may_look(store: Store) -> None:
    store.put([(bytes([i]), bytes([i])) for i in range(40)])
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda i: store.get([bytes([i])]), range(40)))
    assert found == [{bytes([i]): bytes([i])} for i in range(40)]
