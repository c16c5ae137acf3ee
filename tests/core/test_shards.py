"""Places in shards: read like files, and never anything else than what was written."""

import io
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pizzaiolo.core.image import Limits, read_bytes, read_image
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.core.shards import Layout, Place, absent, copy_bytes, find_place, read_place, shown
from pizzaiolo.errors import ImageError


@pytest.fixture(scope="module")
def content() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def place(tmp_path: Path, content: bytes) -> Place:
    """A picture in the middle of a shard."""
    (tmp_path / "train-00000.tar").write_bytes(b"x" * 700 + content + b"y" * 50)
    shard = str(tmp_path / "train-00000.tar")
    return Place(shard, 700, len(content), zlib.crc32(content), "3_a.png")


names = st.text(st.characters(exclude_characters="/\\#\0", exclude_categories=["Cs"]), min_size=1)


@given(names, st.integers(0, 10**15), st.integers(0, 10**9), st.integers(0, 2**32 - 1))
def test_a_place_is_a_path_and_back(name: str, offset: int, size: int, crc: int) -> None:
    for shard in ("images/train-00000.tar", "/a b/c#d@1+2/test-12345.parquet"):
        place = Place(shard, offset, size, crc, name)
        assert find_place(str(place)) == place == find_place(Path(str(place)))
        assert shown(str(place)) == f"{shard}#{name}"


@pytest.mark.parametrize(
    "path",
    ["images/train/a/x.jpg", "a.tar", "a.tar#x.jpg", "a.tar@1+2+3#x.jpg", "a.tar@1+2+0123456g#x",
     "a.zip@1+2+01234567#x", "a.tar@-1+2+01234567#x", "a.tar@1+2+01234567#x/y", ""],
)  # fmt: skip
def test_other_paths_are_no_places(path: str) -> None:
    assert find_place(path) is None and shown(path) == path


def test_a_picture_in_a_shard_is_read_as_from_its_file(
    place: Place, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    for source in (str(place), Path(str(place))):
        assert read_bytes(source) == content
        assert np.array_equal(read_image(source), read_image(tmp_path / "a.png"))
        assert np.array_equal(Preprocess().load(source), Preprocess().load(tmp_path / "a.png"))
    assert copy_bytes(Path(str(place))) == copy_bytes(tmp_path / "a.png") == content


def test_a_file_of_such_a_name_comes_first(place: Place, content: bytes) -> None:
    Path(str(place)).write_bytes(b"a file of its own")
    assert read_bytes(str(place)) == copy_bytes(Path(str(place))) == b"a file of its own"


def test_the_limit_of_bytes_holds_before_anything_is_read(place: Place, tmp_path: Path) -> None:
    (tmp_path / "train-00000.tar").unlink()
    with pytest.raises(ImageError) as caught:
        read_bytes(str(place), Limits(max_bytes=place.size - 1))
    assert caught.value.code == "too_many_bytes"


def _gone(shard: Path) -> None:
    shard.unlink()


def _cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:710])


def _flipped(shard: Path) -> None:
    """One bit in the last bytes of the picture."""
    data = bytearray(shard.read_bytes())
    data[-55] ^= 4
    shard.write_bytes(data)


def _a_folder(shard: Path) -> None:
    shard.unlink()
    shard.mkdir()


@pytest.mark.parametrize(
    ("harm", "words"),
    [(_gone, "is gone"), (_cut, "was cut off: it has 710 bytes"),
     (_flipped, "are not those that were written"), (_a_folder, "can't read")],
)  # fmt: skip
def test_a_harmed_shard_is_named(place: Place, harm: object, words: str) -> None:
    assert callable(harm)
    harm(Path(place.shard))
    for read in (lambda: read_place(place), lambda: read_bytes(str(place))):
        with pytest.raises(ImageError, match=words) as caught:
            read()
        assert place.shard in caught.value.message and caught.value.code == "unreadable"


def test_absent_copies_are_told_and_a_shard_is_asked_once(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    original = Path.stat

    def count(path: Path, **kind: bool) -> object:
        asked.append(path)
        return original(path, **kind)

    beyond = Path(str(Place(place.shard, 701 + place.size, 50, 0, "late.png")))
    other = Path(str(Place(str(tmp_path / "gone.tar"), 0, 1, 0, "x.png")))
    (tmp_path / "a.png").write_bytes(b"x")
    files = [Path(str(place)), *[Path(str(place))] * 3, beyond, other, tmp_path / "a.png"]
    monkeypatch.setattr(Path, "stat", count)
    gone = absent([*files, tmp_path / "b.png"])
    assert gone == [beyond, other, tmp_path / "b.png"]
    assert sum(path == Path(place.shard) for path in asked) == 2, "is it a file, and how long"


def layout(*places: tuple[str, int, int]) -> Layout:
    found = Layout.of(str(Place(shard, start, size, 0, "x")) for shard, start, size in places)
    assert found is not None
    return found


def test_the_runs_of_a_layout_are_its_shards_in_order() -> None:
    found = layout(("b.tar", 50, 9), ("a.tar", 0, 9), ("b.tar", 7, 9), ("a.tar", 60, 9))
    assert [run.tolist() for run in found.runs()] == [[2, 0], [1, 3]]
    assert found.shards == ("b.tar", "a.tar")


def test_files_of_their_own_have_no_layout(place: Place) -> None:
    assert Layout.of([]) is None and Layout.of(["a.jpg"]) is None
    assert Layout.of([str(place), "a.jpg"]) is None


def test_reading_ahead_asks_for_long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []
    monkeypatch.setattr("pizzaiolo.core.shards._advise", lambda *run: asked.append(run))
    found = layout(
        ("a.tar", 0, 10), ("a.tar", 1000, 10), ("a.tar", 9_000_000, 10), ("b.tar", 5, 10),
        ("b.tar", 900, 10),
    )  # fmt: skip
    found.read_ahead(np.array([3, 1, 2, 0, 1]))
    assert asked == [("a.tar", 0, 1010), ("a.tar", 9_000_000, 9_000_010), ("b.tar", 5, 15)]


def test_reading_ahead_of_a_shard_that_is_gone_leaves_the_error_to_the_reader() -> None:
    layout(("/nowhere/a.tar", 0, 10)).read_ahead(np.array([0]))


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system can't be asked")
def test_the_system_is_asked_for_the_bytes_of_the_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda handle, *run: asked.append(run))
    layout((place.shard, 700, place.size)).read_ahead(np.array([0]))
    assert asked == [(700, place.size, os.POSIX_FADV_WILLNEED)]
