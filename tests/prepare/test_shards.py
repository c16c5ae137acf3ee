"""`prepare --shards`: the same data set in a few large files, whole, even, shuffled, checked."""

import hashlib
import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.image import read_image
from pizzaiolo.core.manifest import SPLITS, Dataset, Row
from pizzaiolo.core.shards import Place, find_place
from pizzaiolo.errors import StorageError
from pizzaiolo.prepare import inspect, shards
from pizzaiolo.prepare.check import check
from pizzaiolo.prepare.review.server import review_app
from pizzaiolo.prepare.run import prepare
from toy_review import sheet_data
from toy_shards import place_of

PLAIN = PrepareConfig(workers=1, features=False, size=64, ratios=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    """A megabyte of a thousand bytes, so that 40 pictures fill several shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "MEGABYTE", 1000)
        yield


@pytest.fixture(scope="module")
def source(make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 20 pictures, a copy of one, and no picture."""
    folder = make_folder(tmp_path_factory.mktemp("shards") / "photos", count=20)
    shutil.copy(folder / "a/3.png", folder / "a/copy.png")
    (folder / "b/none.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def files(source: Path) -> Dataset:
    """The data set without shards."""
    prepare(source, source.parent / "files", PLAIN)
    return Dataset.open(source.parent / "files")


@pytest.fixture(scope="module", params=shards.KINDS)
def made(source: Path, request: pytest.FixtureRequest) -> Dataset:
    """The data set in shards of about 12 kB."""
    out = source.parent / request.param
    prepare(source, out, replace(PLAIN, shards=request.param, shard_mb=12))
    return Dataset.open(out)


def shard_files(data: Dataset) -> list[str]:
    return sorted(p.relative_to(data.root).as_posix() for p in data.root.rglob("images/**/*"))


# --- what is written --------------------------------------------------------------------------


def test_the_data_set_is_the_one_without_shards(made: Dataset, files: Dataset) -> None:
    def facts(data: Dataset) -> list[Row]:
        return sorted((replace(row, file=None) for row in data.rows), key=lambda row: row.path)

    assert made.fingerprint == files.fingerprint and facts(made) == facts(files)
    assert made.counts() == files.counts()
    copies = {row.path: files.picture(row) for row in files.rows if row.kept}
    for row in (row for row in made.rows if row.kept):
        assert np.array_equal(read_image(made.picture(row)), read_image(copies[row.path]))


def test_there_are_shards_and_nothing_else(made: Dataset) -> None:
    held = sorted({place_of(row).shard for row in made.rows if row.kept})
    assert shard_files(made) == held and len(held) > 4
    for row in made.rows:
        if row.kept:
            assert place_of(row).shard.startswith(f"images/{row.split}-0000")
        else:
            assert row.file is None


def test_rows_read_in_order_read_the_shards_from_end_to_end(made: Dataset) -> None:
    kept = [place_of(row) for row in made.rows if row.kept]
    order = [SPLITS.index(p.shard.split("/")[1].split("-")[0]) for p in kept]
    assert order == sorted(order) and [row.kept for row in made.rows] == [True] * 40 + [False] * 2
    for split in SPLITS:
        places = [place_of(row) for row in made.split(split)]
        assert places == sorted(places, key=lambda p: (p.shard, p.offset))


def test_shards_of_a_split_are_even_and_mixed(made: Dataset) -> None:
    rows = made.split("train")
    sizes = Counter(place_of(row).shard for row in rows for _ in range(place_of(row).size))
    largest = max(place_of(row).size for row in rows)
    assert len(sizes) > 1 and max(sizes.values()) - min(sizes.values()) <= 2 * largest
    assert max(sizes.values()) <= 12_000 + largest


def test_a_run_of_the_shuffled_order_is_a_fair_sample() -> None:
    """2,000 pictures that are sorted by class: each run of 250 has both classes, as by chance."""
    rows = [Row(f"{i}.png", "ab"[i // 1000], sha256=f"{i}", split="train") for i in range(2000)]
    (order, *_) = shards._orders(rows, 0)
    assert sorted(order.tolist()) == list(range(2000))
    for run in np.split(order, 8):
        assert 90 < sum(rows[i].label == "a" for i in run) < 160  # 125, 4.5 deviations


@given(st.lists(st.integers(1, 5000), max_size=60), st.integers(1, 9000))
def test_parts_are_even_whatever_the_sizes(sizes: list[int], most: int) -> None:
    parts = shards._even(np.array(sizes, np.int64), most)
    assert [i for part in parts for i in part.tolist()] == list(range(len(sizes)))
    assert all(len(part) for part in parts)
    if sizes:
        count = -(-sum(sizes) // most)
        mean = sum(sizes) / count
        for part in parts:
            assert sum(sizes[i] for i in part) <= mean + max(sizes) + 1e-6


def test_another_seed_shuffles_anew_and_the_same_gives_the_same_bytes(
    made: Dataset, source: Path, tmp_path: Path
) -> None:
    kind = made.settings["shards"]
    config = replace(PLAIN, shards=kind, shard_mb=12)
    prepare(source, tmp_path / "again", config)
    again = Dataset.open(tmp_path / "again")
    assert again.rows == made.rows
    for name in shard_files(made):
        assert (again.root / name).read_bytes() == (made.root / name).read_bytes()
    ratios = (0.98, 0.01, 0.01)
    orders = []
    for seed in (0, 1):
        out = tmp_path / f"seed{seed}"
        prepare(source, out, replace(config, seed=seed, ratios=ratios, shard_mb=1000))
        orders.append([row.path for row in Dataset.open(out).split("train")])
    assert sorted(orders[0])[:9] != orders[0][:9]
    common = set(orders[0]) & set(orders[1])
    assert [p for p in orders[0] if p in common] != [p for p in orders[1] if p in common]


def test_a_plain_tar_reader_finds_samples(files: Dataset, source: Path) -> None:
    """A sample of a WebDataset is what shares the name up to the first dot, in a row."""
    out = source.parent / "webdataset"
    if not out.exists():
        prepare(source, out, replace(PLAIN, shards="webdataset", shard_mb=12))
    data, found = Dataset.open(out), {}
    for shard in shard_files(data):
        samples: dict[str, dict[str, bytes]] = {}
        with tarfile.open(data.root / shard) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                assert key not in list(samples)[:-1], "the members of a sample stand in a row"
                file = tar.extractfile(member)
                assert file and member.mtime == 0 and member.uid == 0 and "/" not in member.name
                samples.setdefault(key, {})[kind] = file.read()
        for sample in samples.values():
            facts = json.loads(sample["json"])
            assert data.labels.names[int(sample["cls"])] == facts["label"]
            found[facts["path"]] = (facts["sha256"], sample["jpg"], facts["label"])
    rows = {row.path: row for row in files.rows if row.kept}
    assert found.keys() == rows.keys()
    for path, (sha256, picture, label) in found.items():
        row = rows[path]
        assert (sha256, label) == (row.sha256, row.label)
        assert picture == files.picture(row).read_bytes()


def test_a_plain_parquet_reader_finds_rows(
    files: Dataset, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP", 5000)
    prepare(source, tmp_path / "D", replace(PLAIN, shards="parquet", shard_mb=1000))
    data = Dataset.open(tmp_path / "D")
    rows = {row.path: row for row in files.rows if row.kept}
    for split in SPLITS:
        with pq.ParquetFile(tmp_path / f"D/images/{split}-00000.parquet") as file:
            assert file.num_row_groups > 1 and file.schema_arrow.equals(shards.SCHEMA)
            table = file.read().to_pylist()
        assert [found["path"] for found in table] == [row.path for row in data.split(split)]
        for found in table:
            row = rows[found["path"]]
            assert (found["label"], found["sha256"]) == (row.label, row.sha256)
            assert found["image"] == files.picture(row).read_bytes()


def test_odd_names_stay_within_a_tars_own_header(tmp_path: Path) -> None:
    names = ["Käse.v2.final", "x" * 300, "🍕🍕", "a#b@c", "con", "ü" * 90]
    items = []
    for i, name in enumerate(names):
        (tmp_path / f"{i}").write_bytes(b"p" * (i * 300))
        row = Row(f"d/{name}.png", "a", sha256=str(i))
        stand_in = shards._Items(
            [row] * len(names), np.arange(len(names)), ["a"], lambda sha: tmp_path / sha, PLAIN
        )
        items.append(stand_in[i])
    found = list(shards.write_tar(tmp_path / "s.tar", items, lambda *_: None))
    with tarfile.open(tmp_path / "s.tar") as tar:
        pictures = [m for m in tar if m.name.endswith(".jpg")]
    assert [(m.offset_data, m.size) for m in pictures] == [
        (start, size) for start, size, _ in found
    ]
    for item, member in zip(items, pictures, strict=True):
        assert item.name == member.name and len(item.name.encode()) <= 95
        assert item.name.count(".") == 1 and not set("#@/\\") & set(item.name)
        place = Place("s.tar", 1, 1, 1, item.name)
        assert find_place(str(place)) == place


# --- interruption, another form, a second run -------------------------------------------------


@pytest.mark.parametrize("kind", shards.KINDS)
def test_what_fails_midway_leaves_nothing_that_looks_finished(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def full(*arguments: Any) -> Any:
        if arguments[0].name.startswith("validation"):
            raise OSError(28, os.strerror(28), str(arguments[0]))
        return original(*arguments)

    name = f"write_{shards.KINDS[kind]}"
    original = getattr(shards, name)
    monkeypatch.setattr(shards, name, full)
    config = replace(PLAIN, shards=kind, shard_mb=12)
    with pytest.raises(StorageError, match="the disk is full"):
        prepare(source, tmp_path / "D", config)
    assert not (tmp_path / "D").exists()


def test_stopped_while_shards_are_written_the_next_run_decodes_nothing(
    made: Dataset, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    inspect._looks.cache_clear()
    config = replace(PLAIN, shards=made.settings["shards"], shard_mb=12)

    def stopped(path: Path, *arguments: Any) -> Any:
        if path.name.startswith("test"):
            raise KeyboardInterrupt
        return original(path, *arguments)

    name = f"write_{shards.KINDS[made.settings['shards']]}"
    original = getattr(shards, name)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shards, name, stopped)
        prepare(source, tmp_path / "D", config)
    left = {p.parent.name for p in (tmp_path / "D").rglob("*") if p.is_file()}
    assert left == {".staging"}, "no shard, whole or not"
    monkeypatch.setattr(inspect, "read_picture", None)
    prepare(source, tmp_path / "D", config)
    assert Dataset.open(tmp_path / "D").rows == made.rows
    inspect._looks.cache_clear()


def test_a_second_run_takes_the_copies_out_of_the_shards(
    made: Dataset, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    inspect._looks.cache_clear()
    config = replace(PLAIN, shards=made.settings["shards"], shard_mb=12)
    prepare(source, tmp_path / "D", config)
    decoded: list[object] = []
    original = inspect.read_picture
    monkeypatch.setattr(inspect, "read_picture", lambda *a: decoded.append(a) or original(*a))
    prepare(source, tmp_path / "D", config)
    assert not decoded and Dataset.open(tmp_path / "D").rows == made.rows
    prepare(source, tmp_path / "D", PLAIN)  # back to a file for each picture
    assert not decoded and not [f for f in (tmp_path / "D/images").iterdir() if f.is_file()]
    assert check(tmp_path / "D")["findings"] == []
    inspect._looks.cache_clear()


# --- the pages --------------------------------------------------------------------------------


def test_the_review_sheet_shows_pictures_in_shards(made: Dataset) -> None:
    """From the folder by small pictures in the page, served by those in the shards."""
    items = sheet_data(made.root)["items"]
    kept = [item for item in items if item.get("kept")]
    assert len(kept) == 40 and all(item["thumb"].startswith("data:image/") for item in kept)
    client = TestClient(review_app(made.root, "token"), base_url="http://127.0.0.1")
    row = made.split("train")[0]
    answer = client.get(f"/token/{row.file}".replace("#", "%23").replace("+", "%2B"))
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    assert hashlib.sha256(answer.content).hexdigest() == row.copy_sha256
    for bad in (replace(place_of(row), crc=0), replace(place_of(row), shard="images/../x.tar")):
        path = str(bad).replace("#", "%23").replace("+", "%2B").replace("..", "%2e%2e")
        assert client.get(f"/token/{path}").status_code == 404


def test_the_report_has_its_pictures(made: Dataset, files: Dataset) -> None:
    def pictures(data: Dataset) -> int:
        return (data.root / "report.html").read_text(encoding="utf-8").count("data:image/")

    assert pictures(made) == pictures(files) > 10


def test_the_command_takes_the_flags(
    command: Callable[..., Any], source: Path, tmp_path: Path
) -> None:
    done = command("prepare", source, "--out", tmp_path / "D", "--shards", "webdataset",
                   "--shard-mb", 9, "--no-features", "--workers", 1)  # fmt: skip
    assert done.code == 0, done.err
    settings = Dataset.open(tmp_path / "D").settings
    assert (settings["shards"], settings["shard_mb"]) == ("webdataset", 9)
    assert command("prepare", tmp_path / "D", "--check").code == 0
    done = command("prepare", source, "--out", tmp_path / "E", "--shards", "zip")
    assert done.code == 2 and "webdataset" in done.err
