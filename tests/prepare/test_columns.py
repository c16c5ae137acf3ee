"""Records in columns: what went in comes out, and a million of them stay small."""

import copy
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.manifest import Row
from pizzaiolo.prepare.candidate import Candidate
from pizzaiolo.prepare.columns import Some, amend, families_by
from pizzaiolo.prepare.table import Candidates, FilesOf, table_of

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
maybe = st.none() | text
real = st.none() | st.floats(allow_nan=False, allow_infinity=False)
whole = st.none() | st.integers(0, 2**31 - 1)
sha256 = st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex)
rows = st.builds(
    Row, path=text, label=text, status=st.sampled_from(["kept", "rejected"]), reason=maybe,
    detail=maybe, sha256=sha256, bytes=st.none() | st.integers(0, 2**62), format=maybe,
    width=whole, height=whole, mode=maybe, group=maybe, split=maybe, file=maybe,
    copy_sha256=sha256, duplicate_of=maybe,
    phash=st.none() | st.binary(min_size=8, max_size=8).map(bytes.hex), brightness=real,
    contrast=real, sharpness=real, captured=maybe, camera=maybe, quality=maybe, outlier=real,
    label_suspect=real, suggested=maybe,
)  # fmt: skip


@given(given=st.lists(rows, max_size=6))
def test_what_went_in_comes_out(given: list[Row]) -> None:
    table = table_of(given)
    assert list(table) == given and table == table_of(given) and table == given
    assert [row.kept for row in table] == [row.kept for row in given]
    assert table[1:] == given[1:] and list(reversed(table)) == given[::-1]
    if given:
        assert table[-1] == given[-1]
    with pytest.raises(IndexError):
        table[len(given)]


@given(given=st.lists(rows, min_size=2, max_size=5), new=rows, place=st.integers(0, 1))
def test_a_changed_record_leaves_the_others_as_they_were(
    given: list[Row], new: Row, place: int
) -> None:
    values = {field.name: getattr(new, field.name) for field in fields(Row)}
    table = table_of(given)
    for records in (table, given):
        amend(records, place, **values)
    assert table == given and given[place] == new


def test_what_a_table_gives_stands_in_for_a_row() -> None:
    row = Row("a/1.jpg", "a", sha256="00" * 32, width=3)
    shown = table_of([row])[0]
    assert isinstance(shown, Row) and shown == row and row == shown
    assert replace(shown, split="test") == replace(row, split="test")
    assert copy.deepcopy(shown) == row
    with pytest.raises(AttributeError):
        shown.colour  # type: ignore[attr-defined]  # noqa: B018


def test_a_picture_costs_a_few_hundred_bytes() -> None:
    """Pain: an object for every file; 10,000 of these took 20 MB."""

    def made(i: int) -> Row:
        digest = f"{i:064x}"
        return Row(
            f"pizza/photo_{i}.jpg", "pizza", sha256=digest, bytes=i, format="JPEG", width=512,
            height=384, mode="RGB", group=f"g{i:016x}", split="train", copy_sha256=digest,
            file=f"images/train/pizza/photo_{i}.jpg", phash=f"{i:016x}", brightness=0.1 * i,
            contrast=0.2 * i, sharpness=0.3 * i,
        )  # fmt: skip

    table_of(map(made, range(10)))  # what is made once
    tracemalloc.start()
    try:
        table = table_of(map(made, range(10_000)))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table) == 10_000
    assert used / 10_000 < 450


@given(keys=st.lists(st.none() | st.integers(0, 4), max_size=20))
def test_families_are_those_who_share_a_key(keys: list[int | None]) -> None:
    found = families_by(keys, lambda key: key)
    assert found == {
        key: places for key in {*keys} - {None}
        if len(places := [i for i, other in enumerate(keys) if other == key]) > 1
    }  # fmt: skip


def test_some_of_a_sequence_are_looked_up_and_not_copied() -> None:
    letters = list("abcdef")
    some = Some(letters, [5, 0, 2])
    assert list(some) == ["f", "a", "c"] and list(some[1:]) == ["a", "c"] and len(some) == 3
    letters[0] = "z"
    assert some[1] == "z"


def test_files_are_found_by_their_path_in_the_manifest() -> None:
    names = ["a/1.jpg", "a/1.jpg", "b/\udce9 \U0001f355.jpg", "c"]
    candidates = Candidates(Candidate(Path("/s") / name, name, str(i)) for i, name in
                            enumerate(names))  # fmt: skip
    files = FilesOf(candidates)
    assert {name: files[name] for name in names} == {name: Path("/s") / name for name in names}
    assert "a/2.jpg" not in files and "z" not in files and list(files) == names
