"""Marks: earlier decisions are read and go on, and a label is that of the source."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.evaluate.report.marks import (
    COLUMNS,
    FILE,
    Marks,
    read_marks,
    source_label,
    with_source,
)
from pizzaiolo.prepare import decisions as prepared
from pizzaiolo.prepare.review.sheet import replay_command as prepared_by


@pytest.fixture
def bare(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "my data", Labels(("a", "b")), {}, "abc", ())


def test_the_columns_are_those_of_prepare() -> None:
    assert (COLUMNS, FILE) == (prepared.COLUMNS, prepared.FILE)


def test_what_prepare_wrote_is_read(bare: Dataset) -> None:
    lines = [
        prepared.Decision('two\nlines, "a".png', "a", "00ff", "relabel", "b"),
        prepared.Decision("x.png", "b", "", "drop"),
    ]
    prepared.write_decisions(bare.root / FILE, lines)
    marks = read_marks(bare)
    assert [prepared.Decision(*line) for line in marks.lines] == lines
    assert marks.fingerprint == "abc"
    assert marks.command == f"pizzaiolo prepare SOURCE --out '{bare.root}'"


@pytest.mark.parametrize("noted", [None, "", 7, "pizzaiolo prepare 'x", "rm -r x"])
def test_an_older_data_set_leaves_its_source_to_be_filled_in(bare: Dataset, noted: Any) -> None:
    bare.save({} if noted is None else {"command": noted})
    assert read_marks(bare).command == f"pizzaiolo prepare SOURCE --out '{bare.root}'"


def test_the_command_is_the_one_that_made_the_data_set(dataset: Path, photos: Path) -> None:
    command = read_marks(Dataset.open(dataset)).command
    assert command == prepared_by([photos], dataset, PrepareConfig())
    assert "SOURCE" not in command


def test_another_source_stands_beside_the_first() -> None:
    made = "pizzaiolo prepare 'my photos' --out data --seed 3"
    assert with_source(made, "MORE") == "pizzaiolo prepare 'my photos' MORE --out data --seed 3"
    assert with_source("pizzaiolo prepare p", "MORE") == "pizzaiolo prepare p MORE"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"path,label\nx,y\n", b'path\n"x'])
def test_no_sound_file_means_no_decisions(bare: Dataset, content: bytes | None) -> None:
    bare.root.mkdir()
    if content is not None:
        (bare.root / FILE).write_bytes(content)
    assert read_marks(bare).lines == ()


def test_lines_with_too_few_cells_are_left_out(bare: Dataset) -> None:
    bare.root.mkdir()
    (bare.root / FILE).write_text("path,label,sha256,decision,new_label\nx,a\ny,a,,drop,\n")
    assert read_marks(bare).lines == (("y", "a", "", "drop", ""),)


def test_a_relabelled_picture_has_another_label_in_its_source() -> None:
    row = Row("x.png", "b", sha256="00ff")
    marks = Marks((("x.png", "a", "00ff", "relabel", "b"),))
    assert source_label(row, marks) == "a"
    assert source_label(replace(row, sha256="11"), marks) == "b", "the file has changed since"
    assert source_label(replace(row, label="c"), marks) == "c"
    assert source_label(row, Marks((("x.png", "b", "", "keep", ""),))) == "b"
