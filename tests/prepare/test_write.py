"""Names and lists that every system can hold."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.manifest import Row
from pizzaiolo.errors import StorageError
from pizzaiolo.prepare.write import (
    STAGING,
    place_copies,
    refuse_strangers,
    safe_name,
    write_rejected,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pizza_0001", "pizza_0001"),
        ("Käse (2)", "Käse (2)"),
        ("ka\u0308se", "k\u00e4se"),
        ("new\nline", "new_line"),
        ('a"b<c>d|e?f*g:h', "a_b_c_d_e_f_g_h"),
        ("a/../b", "a_.._b"),
        ("..", "_"),
        ("", "_"),
        (".hidden", "hidden"),
        ("trailing. ", "trailing"),
        ("con", "_con"),
        ("COM1.x", "_COM1.x"),
        ("console", "console"),
        ("🍕", "_"),
    ],
)
def test_safe_names(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text())
def test_a_safe_name_is_one_that_every_system_takes(text: str) -> None:
    name = safe_name(text)
    assert name and len(name.encode()) <= 121 and not name.startswith(".")
    assert name == name.strip(". ") and not set(name) & set('<>:"/\\|?*\0\n\r\t')
    assert safe_name(name) == name


def place(folder: Path, *names: tuple[str, str]) -> list[str]:
    """Where the copies of pictures (path, label) come to lie."""
    (folder / STAGING).mkdir(parents=True)
    rows = []
    for number, (path, label) in enumerate(names):
        (folder / STAGING / f"{number}.jpg").write_text(path)
        rows.append(Row(path, label, sha256=str(number), split="train", group="g"))
    rejected = Row("bad", "a", "rejected", "blank", sha256="99")
    (folder / STAGING / "99.jpg").write_text("no one wants it")
    placed = [*rows, rejected]
    place_copies(folder, placed, "jpg")
    assert placed[-1] == rejected and not (folder / STAGING).exists()
    for row in placed[:-1]:
        assert row.file and (folder / row.file).read_text() == row.path
        assert replace(row, file=None) in rows
    return [row.file or "" for row in placed[:-1]]


def test_pictures_go_to_their_split_and_class(tmp_path: Path) -> None:
    assert place(tmp_path, ("a/1.png", "a"), ("b/2.JPEG", "b")) == [
        "images/train/a/1.jpg", "images/train/b/2.jpg"
    ]  # fmt: skip


def test_names_that_would_collide_are_numbered(tmp_path: Path) -> None:
    files = place(
        tmp_path, ("a/x.png", "a"), ("a/deep/x.jpg", "a"), ("a/X.png", "a"), ("a/x-2.png", "a"),
        ("a/?.png", "a"), ("a/*.png", "a"), ("a/e\u0301.png", "a"), ("a/\u00e9.png", "a"),
    )  # fmt: skip
    assert len({f.casefold() for f in files}) == 8
    assert files[:3] == ["images/train/a/x.jpg", "images/train/a/x-2.jpg", "images/train/a/X-3.jpg"]


def test_classes_whose_folders_would_collide_stay_apart(tmp_path: Path) -> None:
    """Pain: class names lost; here the manifest has the name, and the folder is safe."""
    names = ["x?y", "x*y", "a/../../b", "..", "con", "🍕", "x" * 300]
    files = place(tmp_path, *((f"{i}.png", name) for i, name in enumerate(names)))
    folders = [Path(f).parts[2] for f in files]
    assert len({f.casefold() for f in folders}) == len(names)
    assert all(len(Path(f).parts) == 4 for f in files)


def test_a_copy_that_is_gone_is_explained(tmp_path: Path) -> None:
    (tmp_path / STAGING).mkdir(parents=True)
    row = Row("x", "a", sha256="0", split="train", group="g")
    with pytest.raises(StorageError):
        place_copies(tmp_path, [row], "jpg")


def test_the_list_of_rejections_is_a_csv_of_any_name(tmp_path: Path) -> None:
    rows = [
        Row("kept", "a"),
        Row('new\nline,"quoted" 🍕.jpg', "b,c", "rejected", "blank", "flat, very"),
        Row("copy", "a", "rejected", "exact_duplicate", "the same bytes", duplicate_of="kept"),
    ]
    write_rejected(tmp_path / "rejected.csv", rows)
    with (tmp_path / "rejected.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["path", "label", "reason", "detail", "duplicate_of"],
            ['new\nline,"quoted" 🍕.jpg', "b,c", "blank", "flat, very", ""],
            ["copy", "a", "exact_duplicate", "the same bytes", "kept"],
        ]


@pytest.mark.parametrize("text", ['{"mine": 1}', "", "[]"])
def test_a_strangers_dataset_json_is_refused(tmp_path: Path, text: str) -> None:
    refuse_strangers(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(StorageError, match="no data set that prepare wrote") as caught:
        refuse_strangers(tmp_path)
    assert "--out" in (caught.value.hint or "")
