"""The DATASET that `prepare` writes, file by file, as the design has it."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.image import read_image
from pizzaiolo.core.manifest import SPLITS, Dataset, fingerprint
from pizzaiolo.prepare.placement import leaks
from pizzaiolo.prepare.run import prepare

FILES = ["dataset.json", "images", "manifest.parquet", "rejected.csv", "report.html",
         "review.html"]  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def whole(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def prepared(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Dataset]:
    """What `prepare` makes of the rendered photos with their planted faults."""
    out = tmp_path_factory.mktemp("prepared") / "D"
    summary = prepare(photos, out, PrepareConfig(size=128, workers=1))
    return summary, Dataset.open(out)


def test_the_summary_has_the_documented_keys(prepared: tuple[dict[str, Any], Dataset]) -> None:
    summary, data = prepared
    assert list(json.loads(json.dumps(summary, allow_nan=False))) == [
        "dataset", "classes", "found", "kept", "rejected", "flagged", "groups", "splits", "seconds"
    ]  # fmt: skip
    assert summary["dataset"] == str(data.root) and summary["classes"] == ["not_pizza", "pizza"]
    assert summary["found"] == len(data.rows) == summary["kept"] + sum(summary["rejected"].values())
    assert summary["flagged"] == {
        name: sum(getattr(row, name) is not None for row in data.rows)
        for name in ("label_suspect", "outlier")
    }
    assert summary["splits"] == data.counts() and list(data.counts()) == list(SPLITS)


def test_every_planted_fault_is_found_and_named(prepared: tuple[dict[str, Any], Dataset]) -> None:
    """Pain: which files, and why."""
    summary, data = prepared
    reasons = {row.path: row.reason for row in data.rows}
    assert {p: r for p, r in reasons.items() if r and "_copy" not in p} == {
        "pizza/half_sent.jpg": "unreadable", "not_pizza/recipe.jpg": "not_an_image",
        "pizza/lens_cap.jpg": "blank", "pizza/argued.jpg": "conflict",
        "not_pizza/argued.jpg": "conflict",
    }  # fmt: skip
    assert summary["rejected"] == {
        "blank": 1, "conflict": 2, "exact_duplicate": 4, "not_an_image": 1, "unreadable": 1
    }  # fmt: skip
    rows = {row.path: row for row in data.rows}
    for path, row in rows.items():
        if "_copy" in path:
            assert rows[row.duplicate_of or ""].path == path.replace("_copy", "")
        if "_small" in path:
            original = rows[path.replace("_small", "")]
            assert row.kept and (row.group, row.split) == (original.group, original.split)


def test_the_folder_holds_what_the_design_says(prepared: tuple[dict[str, Any], Dataset]) -> None:
    _, data = prepared
    assert names(data.root) == FILES
    facts = json.loads((data.root / "dataset.json").read_text(encoding="utf-8"))
    assert facts["classes"] == ["not_pizza", "pizza"] and facts["positive"] == "pizza"
    assert facts["settings"]["size"] == 128 and facts["settings"]["seed"] == 0
    assert facts["fingerprint"] == data.fingerprint == fingerprint(data.rows)
    assert facts["splits"] == data.counts() and facts["found"] == len(data.rows)
    files = {p.relative_to(data.root).as_posix() for p in data.root.rglob("images/**/*.jpg")}
    assert files == {row.file for row in data.rows if row.kept}
    for row in data.rows:
        if row.kept:
            assert row.file and row.file.startswith(f"images/{row.split}/{row.label}/")


def test_copies_are_upright_rgb_with_the_short_side(
    prepared: tuple[dict[str, Any], Dataset], photos: Path
) -> None:
    _, data = prepared
    for row in data.split("test"):
        with Image.open(data.picture(row)) as copy:
            assert (copy.mode, copy.format, min(copy.size)) == ("RGB", "JPEG", 128)
            assert row.width and row.height
            assert copy.width / copy.height == pytest.approx(row.width / row.height, rel=0.02)
            source = read_image(photos / row.path).resize(copy.size)
            difference = np.abs(np.asarray(copy, int) - np.asarray(source, int))
        assert difference.mean() < 12


def test_the_manifest_has_a_row_for_every_file(
    prepared: tuple[dict[str, Any], Dataset], photos: Path
) -> None:
    _, data = prepared
    assert {row.path for row in data.rows} == {
        p.relative_to(photos).as_posix() for p in photos.rglob("*") if p.is_file()
    }
    for row in data.rows:
        assert row.bytes == (photos / row.path).stat().st_size and row.sha256
        assert row.kept == (row.reason is None) == (row.split in SPLITS) == (row.file is not None)
        assert not row.kept or re.fullmatch("[0-9a-f]{16}", row.phash or "")


def test_the_rejected_are_listed(prepared: tuple[dict[str, Any], Dataset]) -> None:
    _, data = prepared
    with (data.root / "rejected.csv").open(newline="", encoding="utf-8") as file:
        listed = {line["path"]: line["reason"] for line in csv.DictReader(file)}
    assert listed == {row.path: row.reason for row in data.rows if not row.kept}


def test_no_group_lies_in_two_splits_and_every_class_in_each(
    prepared: tuple[dict[str, Any], Dataset],
) -> None:
    _, data = prepared
    assert leaks(data.rows) == []
    for split in SPLITS:
        assert {row.label for row in data.split(split)} == {"not_pizza", "pizza"}
    shares = [count / sum(data.counts().values()) for count in data.counts().values()]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.12)  # three times what chance does


def test_the_same_input_gives_the_same_bytes(
    prepared: tuple[dict[str, Any], Dataset], photos: Path, tmp_path: Path
) -> None:
    """Worker processes or none, another folder, another name: the DATASET is the same."""
    _, data = prepared
    shutil.copytree(photos, tmp_path / "moved")
    prepare(tmp_path / "moved", tmp_path / "D", PrepareConfig(size=128, workers=2))
    again = Dataset.open(tmp_path / "D")
    assert again.fingerprint == data.fingerprint and again.rows == data.rows
    pictures = [{k: v for k, v in whole(d.root).items() if "images" in k} for d in (data, again)]
    assert pictures[0] == pictures[1]


# --- the shared photos ------------------------------------------------------------------------


def test_the_messy_folder_against_its_truth(shared: Path, tmp_path: Path) -> None:
    """No copy that the truth knows lies in another split than its original."""
    prepare(shared / "messy", tmp_path / "M")
    rows = {row.path: row for row in Dataset.open(tmp_path / "M").rows}
    with (shared / "messy_truth.csv").open(newline="", encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    by_status = {s: [t for t in truth if t["status"] == s] for s in {t["status"] for t in truth}}
    assert {t["path"] for t in truth} <= set(rows)
    for line in by_status["unreadable"]:
        assert rows[line["path"]].reason in ("unreadable", "not_an_image"), line
    for line in by_status["blank"]:
        assert rows[line["path"]].reason == "blank", line
    for line in by_status["conflict"]:
        assert {rows[line["path"]].reason, rows[line["of"]].reason} == {"conflict"}, line
    for line in by_status["exact_duplicate"]:
        pair = (rows[line["path"]], rows[line["of"]])
        assert sorted(str(row.reason) for row in pair) == ["None", "exact_duplicate"], line
    together = [t for t in by_status["near_duplicate"] if rows[t["path"]].kept]
    assert len(together) == len(by_status["near_duplicate"]) == 60
    for line in together:
        assert rows[line["path"]].group == rows[line["of"]].group, line
        assert rows[line["path"]].split == rows[line["of"]].split, line
    good = [t for t in by_status["ok"] if not rows[t["path"]].kept]
    assert all(rows[t["path"]].reason in ("conflict", "exact_duplicate") for t in good)
    assert leaks(rows.values()) == []
