"""`prepare` as a whole: whose folder it writes, runs that end early, settings, hostile folders."""

import errno
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import pizzaiolo
from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import SourceError, StorageError, UsageError
from pizzaiolo.prepare import run
from pizzaiolo.prepare.placement import leaks
from pizzaiolo.prepare.run import prepare

FILES = ["dataset.json", "images", "manifest.parquet", "rejected.csv", "report.html",
         "review.html"]  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def whole(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_verb_and_the_step_are_one_thing(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path: Path
) -> None:
    summary = pizzaiolo.prepare(str(make_folder(tmp_path / "s")), str(tmp_path / "D"), alone)
    assert summary["kept"] == 16


# --- whose folder it is, and runs that end early ----------------------------------------------


@pytest.fixture
def source(make_folder: Callable[..., Path], tmp_path: Path) -> Path:
    return make_folder(tmp_path / "source")


def test_a_second_run_replaces_the_first_one_whole(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    out = tmp_path / "D"
    prepare(source, out, alone)
    first = whole(out)
    for path in (source / "a").glob("[0-2].png"):
        path.rename(path.with_stem("renamed" + path.stem))
    prepare(source, out, alone)
    assert names(out) == FILES
    assert {Path(f).name for f in whole(out) if "/a/" in f} == {
        Path(r.file or "").name for r in Dataset.open(out).rows if r.label == "a"
    }
    assert {k for k in first if k.startswith("images")} != {
        k for k in whole(out) if k.startswith("images")
    }


def test_a_strangers_folder_is_left_alone(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    for name, content in (("thesis.doc", "mine"), ("dataset.json", '{"images": []}')):
        out = tmp_path / name.partition(".")[0]
        (out / "images").mkdir(parents=True)
        (out / "images" / "holiday.jpg").write_text("mine")
        (out / name).write_text(content)
        with pytest.raises(StorageError, match=r"holds other files|no data set that prepare"):
            prepare(source, out, alone)
        assert names(out) == sorted([name, "images"]) and names(out / "images") == ["holiday.jpg"]


FAULTS = [KeyboardInterrupt(), RuntimeError("bug"), OSError(errno.ENOSPC, "No space left")]


@pytest.mark.parametrize("step", ["_inspect", "decide", "store_copies", "write_report"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: type(f).__name__)
def test_a_run_that_ends_early_leaves_nothing_or_the_earlier_data_set(
    source: Path, alone: PrepareConfig, tmp_path: Path, step: str, fault: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def end(*_: object) -> None:
        raise fault

    kind = StorageError if isinstance(fault, OSError) else type(fault)
    with monkeypatch.context() as patch, pytest.raises(kind):
        patch.setattr(run, step, end)
        prepare(source, tmp_path / "D", alone)
    left = {p.parent.name for p in (tmp_path / "D").rglob("*") if p.is_file()}
    assert left <= ({".staging"} if isinstance(fault, KeyboardInterrupt) else set())
    prepare(source, tmp_path / "D", alone)
    before = whole(tmp_path / "D")
    with monkeypatch.context() as patch, pytest.raises(kind):
        patch.setattr(run, step, end)
        prepare(source, tmp_path / "D", replace(alone, size=64))
    after = whole(tmp_path / "D")
    assert {name: after[name] for name in after if ".unfinished" not in name} == before


def test_an_error_of_the_data_keeps_the_earlier_data_set(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    prepare(source, tmp_path / "D", alone)
    before = whole(tmp_path / "D")
    with pytest.raises(SourceError, match="expected at least 9"):
        prepare(source, tmp_path / "D", replace(alone, min_per_class=9))
    with pytest.raises(UsageError, match="no class 'pizza'") as caught:
        prepare(source, tmp_path / "D", replace(alone, positive="pizza"))
    assert "a, b" in (caught.value.hint or "") and whole(tmp_path / "D") == before


def test_a_bad_source_makes_no_folder(tmp_path: Path, alone: PrepareConfig) -> None:
    with pytest.raises(SourceError):
        prepare(tmp_path / "gone", tmp_path / "D", alone)
    assert names(tmp_path) == []


def test_unpacked_archives_are_removed(
    source: Path, alone: PrepareConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", source))
    summary = prepare(archive, tmp_path / "D", alone)
    assert summary["kept"] == 16 and names(tmp_path / "tmp") == []
    assert Dataset.open(tmp_path / "D").rows[0].path == "photos.zip/a/0.png"
    report = (tmp_path / "D/report.html").read_text(encoding="utf-8")
    assert str(tmp_path / "tmp") not in report


# --- classes and settings ---------------------------------------------------------------------


def test_a_class_with_too_few_pictures_says_what_was_rejected(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    for path in (source / "b").glob("[3-7].png"):
        path.write_text("no picture")
    with pytest.raises(SourceError, match=r"class 'b' has 3 usable .*5 not_an_image") as caught:
        prepare(source, tmp_path / "D", alone)
    assert "--min-per-class" in (caught.value.hint or "")
    assert prepare(source, tmp_path / "D", replace(alone, min_per_class=3))["kept"] == 11


def test_a_class_of_look_alikes_can_not_be_split(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    with Image.open(source / "b/0.png") as picture:
        for i in range(1, 8):
            picture.resize((80 + i, 64)).save(source / f"b/{i}.png")
    with pytest.raises(SourceError, match=r"'b' has no picture for the .* 1 groups") as caught:
        prepare(source, tmp_path / "D", alone)
    assert "differ" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("classes", "positive"),
    [(("not_pizza", "pizza"), "pizza"), (("cat", "dog"), "cat"), (("x", "y", "z"), None)],
)
def test_the_question_is_about_the_positive_class(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path: Path,
    classes: tuple[str, ...], positive: str | None,
) -> None:  # fmt: skip
    prepare(make_folder(tmp_path / "s", classes), tmp_path / "D", alone)
    assert Dataset.open(tmp_path / "D").labels.positive == positive
    prepare(tmp_path / "s", tmp_path / "D", replace(alone, positive=classes[1]))
    assert Dataset.open(tmp_path / "D").labels.positive == classes[1]


def test_settings_reach_the_copies_and_the_split(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    config = replace(alone, size=32, format="png", ratios=(0.4, 0.3, 0.3), seed=5, exact_split=True)
    prepare(source, tmp_path / "D", config)
    data = Dataset.open(tmp_path / "D")
    assert list(data.counts().values()) == pytest.approx([6.4, 4.8, 4.8], abs=2)  # 1 a class
    assert all(str(row.file).endswith(".png") for row in data.rows)
    with Image.open(data.picture(data.rows[0])) as copy:
        assert copy.size == (40, 32)
    prepare(source, tmp_path / "E", replace(config, seed=6))
    assert Dataset.open(tmp_path / "E").fingerprint != data.fingerprint


def test_a_persons_split_is_kept_and_its_leak_is_told(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path: Path
) -> None:
    for number, split in enumerate(("train", "val", "test")):
        make_folder(tmp_path / "s" / split, count=4, seed=100_000 * (number + 1))
    with Image.open(tmp_path / "s/train/a/0.png") as picture:
        picture.resize((160, 128)).save(tmp_path / "s/test/a/twin.jpg", quality=70)
    prepare(tmp_path / "s", tmp_path / "D", alone)
    data = Dataset.open(tmp_path / "D")
    assert data.counts() == {"train": 8, "validation": 8, "test": 9}
    assert all((row.split or "").startswith(row.path.split("/")[0]) for row in data.rows)
    facts = json.loads((tmp_path / "D/dataset.json").read_text())
    assert len(facts["notes"]) == 1 and "1 groups leak" in facts["notes"][0]
    assert len(leaks(data.rows)) == 1
    assert "Leak:" in (tmp_path / "D/report.html").read_text(encoding="utf-8")


# --- hostile folders --------------------------------------------------------------------------

NAMES = ["new\nline.png", 'qu"ote,comma.png', "🍕.png", "x" * 250 + ".png", "A.png", "a.png",
         "con.png", ".png", "...png", " .png", "-rf.png", "a%20b.png", "{{ 7 * 7 }}.png",
         "<img src=x onerror=alert(1)>.png"]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_names_of_any_kind_are_kept_and_written_safely(
    source: Path, draw: Callable[..., Image.Image], alone: PrepareConfig, tmp_path: Path
) -> None:
    for number, name in enumerate(NAMES):
        draw(5000 + number).save(tmp_path / "p.png")
        (tmp_path / "p.png").rename(source / "a" / name)
    draw(6000).save(tmp_path / "p.png")
    os.rename(tmp_path / "p.png", os.fsencode(source / "a") + b"/\xff\xe9.png")
    summary = prepare(source, tmp_path / "D", alone)
    data = Dataset.open(tmp_path / "D")
    assert summary["kept"] == 16 + len(NAMES) + 1 and not summary["rejected"]
    assert {f"a/{name}" for name in NAMES} < {row.path for row in data.rows}
    assert "a/\\xff\\xe9.png" in {row.path for row in data.rows}
    files = [data.picture(row) for row in data.rows]
    assert all(f.is_file() for f in files) and len({str(f).casefold() for f in files}) == len(files)
    assert all(re.fullmatch(r"[\w .()+-]{1,125}\.jpg", f.name) for f in files)
    report = (tmp_path / "D/report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in report and "49.png" not in report


def test_class_names_of_any_kind_come_back_as_they_are(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path: Path
) -> None:
    classes = ("con", 'we"ird, <b>', "naïve 🍕", "x" * 200, "x?y", "x*y", "p_path")
    prepare(make_folder(tmp_path / "s", classes), tmp_path / "D", alone)
    data = Dataset.open(tmp_path / "D")
    assert data.labels.names == tuple(sorted(classes))
    assert Counter(r.label for r in data.rows) == dict.fromkeys(classes, 8)
    assert len({data.picture(row) for row in data.rows}) == 8 * len(classes)


def test_links_pipes_and_folders_in_the_way_are_rows(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    os.mkfifo(source / "a/pipe.png")
    (source / "a/loop").symlink_to(".")
    (source / "a/top").symlink_to("..")
    (source / "a/broken.png").symlink_to("nowhere")
    (source / "a/link.png").symlink_to("0.png")
    summary = prepare(source, tmp_path / "D", alone)
    assert (summary["found"], summary["kept"]) == (19, 16)
    assert summary["rejected"] == {"exact_duplicate": 1, "unreadable": 2}


def test_the_output_inside_the_source_changes_nothing(
    source: Path, alone: PrepareConfig, tmp_path: Path
) -> None:
    made = []
    for out in (source / "D1", source / "D1", source / "a" / "D2", tmp_path / "D3"):
        prepare(source, out, alone)
        made.append(Dataset.open(out).fingerprint)
    assert len(set(made)) == 1
