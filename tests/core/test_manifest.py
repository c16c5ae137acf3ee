"""The manifest and the DATASET: round trips, and every damage named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import (
    COLUMNS,
    Dataset,
    Row,
    fingerprint,
    is_dataset,
    read_rows,
    write_rows,
)
from pizzaiolo.errors import DatasetError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = (
    Row("a/1.jpg", "a", sha256="1" * 64, bytes=10, format="JPEG", width=30, height=20, mode="RGB",
        group="g1", split="train", file="images/train/a/1.jpg", phash="00ff00ff00ff00ff",
        brightness=0.5, contrast=0.1, sharpness=9.0, outlier=0.2, label_suspect=0.9),
    Row("b/new\nline, \"quoted\" 🍕.jpg", "b", sha256="2" * 64, split="test", group="g2", file="x"),
    Row("a/bad.jpg", "a", "rejected", "unreadable", "the file is empty", bytes=0),
    Row("b/copy.jpg", "b", "rejected", "exact_duplicate", duplicate_of="a/1.jpg"),
)  # fmt: skip


def dataset(root: Path, **changes: Any) -> Dataset:
    root.mkdir(exist_ok=True)
    made = Dataset(root, Labels(("a", "b"), "b"), {"size": 256}, fingerprint(ROWS), ROWS)
    return replace(made, **changes)


def test_rows_round_trip(tmp_path: Path) -> None:
    write_rows(ROWS, tmp_path / "m.parquet")
    assert tuple(read_rows(tmp_path / "m.parquet")) == ROWS
    write_rows([], tmp_path / "m.parquet")
    assert read_rows(tmp_path / "m.parquet") == []


def test_the_manifest_has_the_documented_columns(tmp_path: Path) -> None:
    write_rows(ROWS, tmp_path / "m.parquet")
    names = set(pq.read_table(tmp_path / "m.parquet").column_names)
    assert names == set(COLUMNS)
    assert names >= {
        "path", "sha256", "bytes", "width", "height", "mode", "label", "group", "split", "status",
        "reason", "duplicate_of", "phash", "outlier", "label_suspect",
    }  # fmt: skip


def test_columns_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    table = pa.table({"path": ["a/1.jpg"], "label": ["a"], "colour": ["red"]})
    pq.write_table(table, tmp_path / "m.parquet")
    assert read_rows(tmp_path / "m.parquet") == [Row("a/1.jpg", "a")]


@pytest.mark.parametrize(
    "columns",
    [
        {"path": ["x"]},
        {"label": ["x"]},
        {"path": [None], "label": ["a"]},
        {"path": ["x"], "label": [None]},
        {"path": ["x"], "label": ["a"], "width": ["wide"]},
        {"path": ["x"], "label": [["a"]]},
        {},
    ],
)
def test_a_manifest_with_other_columns_is_refused(tmp_path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    with pytest.raises(DatasetError):
        read_rows(tmp_path / "m.parquet")


@pytest.mark.parametrize("data", [None, b"", b"text", b"PAR1PAR1"])
def test_a_missing_or_damaged_manifest_is_refused(tmp_path: Path, data: bytes | None) -> None:
    dataset(tmp_path).save({})
    (tmp_path / "manifest.parquet").unlink()
    if data is not None:
        (tmp_path / "manifest.parquet").write_bytes(data)
    with pytest.raises(DatasetError, match=r"can't read .*manifest\.parquet") as caught:
        Dataset.open(tmp_path)
    assert "prepare" in (caught.value.hint or "")


def test_dataset_round_trip(tmp_path: Path) -> None:
    made = dataset(tmp_path / "D")
    made.save({"found": 4, "notes": ["n"]})
    assert Dataset.open(tmp_path / "D") == Dataset.open(str(tmp_path / "D")) == made
    facts = json.loads((tmp_path / "D/dataset.json").read_text(encoding="utf-8"))
    assert facts["classes"] == ["a", "b"] and facts["notes"] == ["n"]
    assert facts["splits"] == {"train": 1, "validation": 0, "test": 1}


def test_a_dataset_gives_the_kept_rows_of_a_split_and_their_pictures(tmp_path: Path) -> None:
    made = dataset(tmp_path)
    assert made.split("train") == [ROWS[0]] and made.split("validation") == []
    assert made.picture(ROWS[0]) == tmp_path / "images/train/a/1.jpg"
    with pytest.raises(DatasetError, match=r"a/bad\.jpg has no picture"):
        made.picture(ROWS[2])


@pytest.mark.parametrize("name", ["gone", "empty", "file.txt"])
def test_what_is_no_dataset_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(DatasetError, match="expected a DATASET") as caught:
        Dataset.open(tmp_path / name)
    assert "prepare" in (caught.value.hint or "") and not is_dataset(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", "{}", "[" * 100_000, '{"mine": 1}', "\xff",
     '{"format_version": 1, "classes": ["a", "b"]}',
     '{"format_version": 1, "fingerprint": "x"}',
     '{"format_version": "x", "classes": ["a", "b"], "fingerprint": "x"}',
     '{"format_version": 1e999, "classes": ["a", "b"], "fingerprint": "x"}'],
)  # fmt: skip
def test_a_damaged_dataset_json_is_refused(tmp_path: Path, text: str) -> None:
    dataset(tmp_path).save({})
    assert is_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    with pytest.raises(DatasetError, match="damaged"):
        Dataset.open(tmp_path)
    assert not is_dataset(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"classes": ["a"]}, {"classes": "ab"}, {"classes": ["a", "a", "b"]}, {"classes": None},
     {"classes": ["b"], "positive": "b"}, {"positive": "c"}, {"classes": [1, 2]}],
)  # fmt: skip
def test_damaged_classes_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    dataset(tmp_path).save(change)
    with pytest.raises(DatasetError, match="damaged"):
        Dataset.open(tmp_path)


def test_a_manifest_of_other_classes_or_splits_is_refused(tmp_path: Path) -> None:
    """Pain: labels shift when a split lacks a class, or a folder is renamed."""
    dataset(tmp_path, rows=(*ROWS, Row("c/1.jpg", "c", split="train"))).save({})
    with pytest.raises(DatasetError, match=r"classes \['c'\]"):
        Dataset.open(tmp_path)
    dataset(tmp_path, rows=(*ROWS, Row("a/2.jpg", "a", split="tset"))).save({})
    with pytest.raises(DatasetError, match=r"splits \['tset'\]"):
        Dataset.open(tmp_path)


def test_a_newer_dataset_asks_for_an_upgrade(tmp_path: Path) -> None:
    dataset(tmp_path).save({"format_version": 99})
    with pytest.raises(DatasetError, match="version 99") as caught:
        Dataset.open(tmp_path)
    assert "upgrade" in (caught.value.hint or "")


def test_the_fingerprint_is_of_content_label_and_split_in_any_order() -> None:
    same = fingerprint(ROWS)
    assert fingerprint(reversed(ROWS)) == same
    assert fingerprint([replace(r, path="renamed", group=None) for r in ROWS]) == same
    assert fingerprint(ROWS[:2]) == same  # what was rejected does not count
    for change in ({"sha256": "3" * 64}, {"label": "b"}, {"split": "test"}, {"status": "rejected"}):
        assert fingerprint([replace(ROWS[0], **change), *ROWS[1:]]) != same
