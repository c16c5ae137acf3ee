"""`prepare --check`: each kind of fault is found, named and counted; a whole data set has none."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance, ImageOps

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.manifest import SPLITS, Dataset, Row, fingerprint
from pizzaiolo.errors import DatasetError
from pizzaiolo.prepare.check import KINDS, SHOWN, check, report_lines
from pizzaiolo.prepare.run import prepare

CONFIG = PrepareConfig(workers=1, features=False, size=64, ratios=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def whole(make_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as `prepare` leaves it."""
    folder = tmp_path_factory.mktemp("check")
    prepare(make_folder(folder / "photos", count=16), folder / "D", CONFIG)
    return folder / "D"


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Dataset:
    """A data set of the test's own, to be damaged."""
    shutil.copytree(whole, tmp_path / "D")
    return Dataset.open(tmp_path / "D")


def found_in(data: Dataset) -> list[tuple[str, str]]:
    result = check(data.root)
    assert result["faults"] == len(result["findings"]) == sum(result["counts"].values())
    assert all(fault["detail"] and fault["kind"] in KINDS for fault in result["findings"])
    return [(fault["kind"], fault["path"]) for fault in result["findings"]]


def rewrite(data: Dataset, change: Callable[[Row], Row], agree: bool = True) -> Dataset:
    """The data set with other rows; its fingerprint agrees with them, or not."""
    rows = tuple(map(change, data.rows))
    data = replace(data, rows=rows, fingerprint=fingerprint(rows) if agree else data.fingerprint)
    data.save({})
    return data


def in_split(data: Dataset, split: str) -> Row:
    return data.split(split)[0]


# --- a data set as it should be ---------------------------------------------------------------


def test_what_prepare_wrote_has_no_fault(whole: Path) -> None:
    result = check(str(whole))
    assert list(json.loads(json.dumps(result, allow_nan=False))) == [
        "dataset", "pictures", "faults", "counts", "findings", "seconds"
    ]  # fmt: skip
    assert (result["dataset"], result["pictures"], result["faults"]) == (str(whole), 32, 0)
    assert result["counts"] == {} and result["findings"] == []


def test_planted_copies_and_faults_of_a_messy_folder_leave_none(dataset: Path) -> None:
    """Near-copies that prepare grouped lie on one side, so the anew computed hashes find none."""
    rows = Dataset.open(dataset).rows
    assert any(row.kept and row.duplicate_of for row in rows)
    assert check(dataset)["findings"] == []


def test_what_a_file_manager_leaves_is_no_fault(data: Dataset) -> None:
    for name in (".DS_Store", "Thumbs.db", "train/._x.jpg", "test/desktop.ini"):
        (data.root / "images" / name).write_text("x")
    assert found_in(data) == []


# --- files ------------------------------------------------------------------------------------


def _gone(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _saved_again(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()
    picture.save(path, quality=60)


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(_gone, "missing"), (_cut, "unreadable"), (_emptied, "unreadable"),
     (_a_folder, "unreadable"), (_saved_again, "changed")],
)  # fmt: skip
def test_a_harmed_copy_is_found(data: Dataset, harm: Callable[[Path], None], kind: str) -> None:
    row = in_split(data, "validation")
    harm(data.picture(row))
    assert found_in(data) == [(kind, row.file)]


def test_without_the_hash_of_the_copy_a_change_is_not_claimed(data: Dataset) -> None:
    row = in_split(data, "train")
    _saved_again(data.picture(row))
    assert found_in(rewrite(data, lambda r: replace(r, copy_sha256=None))) == []


def test_files_that_the_manifest_does_not_know_are_found(
    data: Dataset, draw: Callable[..., Image.Image]
) -> None:
    names = ["images/0.jpg", "images/test/a/new\nline 🍕.jpg", "images/train/c/x.jpg"]
    for number, name in enumerate(names):
        (data.root / name).parent.mkdir(exist_ok=True)
        draw(900 + number).save(data.root / name)
    (data.root / "images/test/away").symlink_to(data.root.parent)
    found = found_in(data)
    assert sorted(found) == sorted(("unknown_file", n) for n in [*names, "images/test/away"])
    assert any(r"new\nline 🍕.jpg" in line for line in report_lines(check(data.root)))


def test_a_copy_moved_by_hand_is_missing_here_and_unknown_there(data: Dataset) -> None:
    row = in_split(data, "train")
    place = data.root / "images/test" / Path(row.file or "").name
    data.picture(row).rename(place)
    assert found_in(data) == [
        ("missing", row.file), ("unknown_file", place.relative_to(data.root).as_posix())
    ]  # fmt: skip


@pytest.mark.parametrize("file", ["../../secret.jpg", "/etc/hosts", "images/train/../x.jpg", "x"])
def test_nothing_outside_of_the_data_set_is_read(data: Dataset, file: str) -> None:
    row = in_split(data, "train")
    rewrite(data, lambda r: replace(r, file=file) if r.path == row.path else r)
    assert found_in(data) == [("misplaced", file), ("unknown_file", row.file)]


# --- records and leaks ------------------------------------------------------------------------


def test_a_changed_label_is_a_fingerprint_that_disagrees(data: Dataset) -> None:
    row = in_split(data, "train")
    rewrite(data, lambda r: replace(r, label="b") if r.path == row.path else r, agree=False)
    assert found_in(data) == [("fingerprint", "manifest.parquet")]


def test_a_class_that_a_split_lacks_is_found(data: Dataset) -> None:
    gone = [row for row in data.split("test") if row.label == "a"]
    for row in gone:
        data.picture(row).unlink()
    rejected = {row.path: replace(row, status="rejected", split=None) for row in gone}
    rewrite(data, lambda r: rejected.get(r.path, r))
    assert found_in(data) == [("empty_class", "images/test")]


def test_a_group_in_two_splits_is_a_leak(data: Dataset) -> None:
    one, other = in_split(data, "train"), in_split(data, "test")
    rewrite(data, lambda r: replace(r, group=one.group) if r.path == other.path else r)
    assert found_in(data) == [("group_leak", other.file)]


def test_the_same_bytes_in_two_splits_are_a_leak(data: Dataset) -> None:
    """Pain: leak by duplicates across splits; sources or copies, each picture once."""
    one, other, third = (in_split(data, split) for split in SPLITS)
    rewrite(data, lambda r: replace(r, sha256=one.sha256) if r.path == other.path else r)
    shutil.copy(data.picture(one), data.picture(third))
    assert found_in(data) == [
        ("changed", third.file), ("exact_leak", other.file), ("exact_leak", third.file)
    ]  # fmt: skip


def test_near_copies_in_two_splits_are_found_from_the_pictures_alone(data: Dataset) -> None:
    one, other = data.split("train")[-1], data.split("test")[-1]
    with Image.open(data.picture(one)) as picture:
        small = picture.resize((picture.width * 4 // 5, picture.height * 4 // 5))
    ImageEnhance.Brightness(small).enhance(1.1).save(data.picture(other), quality=70)
    _gone(data.picture(data.rows[0]))
    rewrite(data, lambda r: replace(r, copy_sha256=None, phash=None))
    assert [fault for fault in found_in(data) if fault[0] != "missing"] == [
        ("near_leak", other.file)
    ]
    assert one.file and one.file in check(data.root)["findings"][-1]["detail"]


def test_a_mirrored_twin_is_a_leak_as_it_is_grouped(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """`--check` judged by another rule than the grouping once, and let it pass."""
    prepare(make_folder(tmp_path / "s", count=16), tmp_path / "D", CONFIG)
    data = Dataset.open(tmp_path / "D")
    one, other = data.split("train")[-1], data.split("test")[-1]
    with Image.open(data.picture(one)) as picture:
        ImageOps.mirror(picture).save(data.picture(other), quality=90)
        ImageOps.mirror(picture).save(tmp_path / "s" / one.label / "twin.jpg", quality=90)
    rewrite(data, lambda r: replace(r, copy_sha256=None, phash=None))
    assert found_in(data) == [("near_leak", other.file)]
    prepare(tmp_path / "s", tmp_path / "E", CONFIG)
    rows = {row.path: row for row in Dataset.open(tmp_path / "E").rows}
    assert rows[one.path].group == rows[f"{one.label}/twin.jpg"].group


def test_near_copies_on_one_side_are_no_fault(data: Dataset) -> None:
    one, other = data.split("train")[:2]
    with Image.open(data.picture(one)) as picture:
        picture.save(data.picture(other), quality=70)
    rewrite(data, lambda r: replace(r, copy_sha256=None))
    assert found_in(data) == []


def test_a_leak_of_a_persons_own_split_is_found(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    for number, split in enumerate(("train", "val", "test")):
        make_folder(tmp_path / "s" / split, count=4, seed=100_000 * (number + 1))
    with Image.open(tmp_path / "s/train/a/0.png") as picture:
        picture.resize((160, 128)).save(tmp_path / "s/test/a/twin.jpg", quality=70)
    prepare(tmp_path / "s", tmp_path / "D", replace(CONFIG, min_per_class=3))
    assert found_in(Dataset.open(tmp_path / "D")) == [("group_leak", "images/test/a/twin.jpg")]


# --- other folders, and the command -----------------------------------------------------------


def test_only_a_data_set_can_be_checked(data: Dataset, photos: Path, tmp_path: Path) -> None:
    for folder in (photos, tmp_path / "gone", data.root / "images"):
        with pytest.raises(DatasetError, match="expected a DATASET") as caught:
            check(folder)
        assert "pizzaiolo prepare" in (caught.value.hint or "")
    (data.root / "manifest.parquet").write_text("no manifest")
    with pytest.raises(DatasetError, match="can't read"):
        check(data.root)
    (data.root / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="is damaged"):
        check(data.root)


def test_the_command_says_that_all_is_well(command: Callable[..., Any], whole: Path) -> None:
    code, out, _ = command("prepare", whole, "--check")
    assert code == 0 and out.startswith("Checked  32 pictures of")
    assert out.splitlines()[-1].startswith("Faults   none")


def test_the_command_cuts_long_lists_and_json_does_not(
    command: Callable[..., Any], data: Dataset
) -> None:
    gone = [data.picture(row) for row in data.rows[: SHOWN + 5]]
    for path in gone:
        path.unlink()
    code, out, _ = command("prepare", data.root, "--check")
    assert code == 1 and out.count("is gone") == SHOWN and "... and 5 more; --json" in out
    assert out.splitlines()[-1] == f"Faults   {SHOWN + 5} missing"
    code, out, _ = command("prepare", data.root, "--check", "--json")
    result = json.loads(out)
    assert code == 1 and len(out.splitlines()) == 1
    assert {fault["path"] for fault in result["findings"]} == {
        path.relative_to(data.root).as_posix() for path in gone
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{photos}"], ["--out is missing", "pizzaiolo prepare {photos} --out DATASET"]),
        (["{photos}", "--check"], ["expected a DATASET"]),
        (["{data}", "{photos}", "--check"], ["takes one DATASET", "DATASET --check"]),
        (["{photos}", "--out", "{data}", "--check"], ["takes one DATASET and no --out"]),
    ],
    ids=["no out", "no data set", "two", "with out"],
)
def test_wrong_use_is_one_message(
    command: Callable[..., Any], data: Dataset, photos: Path, arguments: list[str],
    words: list[str],
) -> None:  # fmt: skip
    before = {p: p.stat().st_mtime_ns for p in data.root.rglob("*")}
    code, out, error = command(
        "prepare", *(a.format(data=data.root, photos=photos) for a in arguments)
    )
    assert code == 2 and out == "" and "Traceback" not in error
    for word in words:
        assert word.format(photos=photos) in error
    assert before == {p: p.stat().st_mtime_ns for p in data.root.rglob("*")}


def test_pictures_of_any_size_are_read_as_prepare_read_them(
    data: Dataset, draw: Callable[..., Image.Image]
) -> None:
    """A copy swapped for one with more pixels than are allowed is a fault, not a full memory."""
    row = in_split(data, "train")
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    data.picture(row).write_bytes(buffer.getvalue())
    assert found_in(data) == [("unreadable", row.file)]
