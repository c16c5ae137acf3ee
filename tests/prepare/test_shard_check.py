"""`prepare --check` of shards: each kind of fault is found and named."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.prepare import shards
from pizzaiolo.prepare.check import check
from pizzaiolo.prepare.run import prepare
from toy_shards import place_of

PLAIN = PrepareConfig(workers=1, features=False, size=64, ratios=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def source(make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 12 pictures."""
    return make_folder(tmp_path_factory.mktemp("shards") / "photos", count=12)


@pytest.fixture(scope="module", params=shards.KINDS)
def made(source: Path, request: pytest.FixtureRequest) -> Dataset:
    """A data set in shards of about 8 kB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "MEGABYTE", 1000)
        out = source.parent / request.param
        prepare(source, out, replace(PLAIN, shards=request.param, shard_mb=8))
    return Dataset.open(out)


@pytest.fixture
def data(made: Dataset, tmp_path: Path) -> Dataset:
    """A data set of the test's own, to be damaged."""
    shutil.copytree(made.root, tmp_path / "D")
    return Dataset.open(tmp_path / "D")


def found_in(data: Dataset) -> list[tuple[str, str]]:
    return [(fault["kind"], fault["path"]) for fault in check(data.root)["findings"]]


def test_what_prepare_wrote_has_no_fault(made: Dataset) -> None:
    result = check(made.root)
    assert (result["pictures"], result["findings"]) == (24, [])


def rewritten(file: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(file.read_bytes())
    change(data)
    file.write_bytes(data)


def test_a_flipped_bit_is_one_fault(data: Dataset) -> None:
    row = data.split("train")[3]
    place = place_of(row)

    def flip(content: bytearray) -> None:
        content[place.offset + place.size // 2] ^= 1

    rewritten(data.root / place.shard, flip)
    (fault,) = check(data.root)["findings"]
    assert (fault["kind"], fault["path"]) == ("unreadable", row.file)
    assert "not those that were written" in fault["detail"]


def test_a_shard_that_is_gone_is_told_for_each_picture(data: Dataset) -> None:
    row = data.split("test")[0]
    (data.root / place_of(row).shard).unlink()
    lost = [r.file for r in data.split("test") if place_of(r).shard == place_of(row).shard]
    assert found_in(data) == [("missing", file) for file in lost]


def test_a_shard_that_was_cut_off_is_told(data: Dataset) -> None:
    row = data.split("test")[1]
    place = place_of(row)
    os.truncate(data.root / place.shard, place.offset + 10)
    lost = [r.file for r in data.split("test")
            if place_of(r).shard == place.shard and place_of(r).offset >= place.offset]  # fmt: skip
    assert found_in(data) == [*[("unreadable", file) for file in lost], ("unreadable", place.shard)]


def test_a_file_beside_the_shards_and_a_shard_of_another_split_are_told(data: Dataset) -> None:
    (data.root / "images/train-00099.tar").write_bytes(b"x")
    assert found_in(data) == [("unknown_file", "images/train-00099.tar")]
    row = data.split("train")[0]
    rows = [replace(r, split="test") if r is row else r for r in data.rows]
    replace(data, rows=rows).save({})
    assert ("misplaced", row.file) in found_in(data)


def test_a_place_outside_of_the_data_set_is_not_read(data: Dataset, tmp_path: Path) -> None:
    row = data.split("train")[0]
    shutil.copy(data.root / place_of(row).shard, tmp_path / "train-00000.tar")
    moved = str(replace(place_of(row), shard="images/../../train-00000.tar"))
    rows = [replace(r, file=moved) if r is row else r for r in data.rows]
    replace(data, rows=rows).save({})
    assert ("misplaced", moved) in found_in(data)


def packed(file: Path, change: Callable[[str, bytes], bytes | None], more: str = "") -> None:
    """A tar written anew in which some members are other ones, or none."""
    with tarfile.open(file) as tar:
        members = [(m, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        for member, content in members:
            if (new := change(member.name, content)) is not None:
                member.size = len(new)
                tar.addfile(member, io.BytesIO(new))
        if more:
            tar.addfile(tarfile.TarInfo(more))


@pytest.fixture
def tar(source: Path, tmp_path: Path) -> Dataset:
    """A WebDataset in one shard for each split, of the test's own."""
    prepare(source, tmp_path / "T", replace(PLAIN, shards="webdataset"))
    return Dataset.open(tmp_path / "T")


def test_another_class_in_a_tar_is_a_fault(tar: Dataset) -> None:
    place = place_of(tar.split("train")[0])
    key = place.name.partition(".")[0]
    packed(tar.root / place.shard, lambda name, old: b"7" if name == f"{key}.cls" else old)
    assert found_in(tar) == [("changed", f"{place.shard}#{key}.cls")]


def test_members_too_many_and_too_few_are_told(tar: Dataset) -> None:
    place = place_of(tar.split("train")[0])
    last = max((place_of(r) for r in tar.split("train") if place_of(r).shard == place.shard),
               key=lambda p: p.offset)  # fmt: skip
    key = last.name.partition(".")[0]
    packed(tar.root / place.shard,
           lambda name, old: None if name == f"{key}.json" else old, "stranger.jpg")  # fmt: skip
    assert found_in(tar) == [("unknown_file", f"{place.shard}#stranger.jpg"),
                             ("unreadable", place.shard)]  # fmt: skip


def test_a_damaged_list_of_members_is_told_although_the_pictures_can_be_read(tar: Dataset) -> None:
    place = place_of(tar.split("train")[1])

    def harm(content: bytearray) -> None:
        content[place.offset - 512] ^= 1  # in the name

    rewritten(tar.root / place.shard, harm)
    (fault,) = check(tar.root)["findings"]
    assert (fault["kind"], fault["path"]) == ("unreadable", place.shard)
    assert "members are not found" in fault["detail"]


def test_rows_too_many_too_few_and_changed_in_parquet_are_told(
    source: Path, tmp_path: Path
) -> None:
    prepare(source, tmp_path / "Q", replace(PLAIN, shards="parquet"))
    data = Dataset.open(tmp_path / "Q")
    file = tmp_path / "Q/images/test-00000.parquet"
    with pq.ParquetFile(file) as table:
        held = table.read().to_pylist()
    rows = data.split("test")
    held[0]["label"] = "other"
    held[1]["path"] = "stranger.png"
    table = pa.Table.from_pylist(held, schema=shards.SCHEMA)
    pq.write_table(table, file, compression="none", use_dictionary=["label"])
    kinds = [(kind, path) for kind, path in found_in(data) if kind != "unreadable"]
    assert kinds == [
        ("changed", rows[0].file),
        ("unknown_file", "images/test-00000.parquet#stranger.png"),
        ("missing", rows[1].file),
    ]
    rewritten(file, lambda content: content.__setitem__(slice(-8, None), b"no end!!"))
    assert ("unreadable", "images/test-00000.parquet") in found_in(data)
