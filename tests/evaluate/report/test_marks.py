"""Marks: earlier decisions are read and go on, and a label is that of the source."""

from dataclasses import replace
from pathlib import Path

import pytest

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.evaluate.report.marks import COLUMNS, FILE, Marks, read_marks, source_label
from pizzaiolo.prepare import decisions as prepared


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "my data", Labels(("a", "b")), {}, "abc", ())


def test_the_columns_are_those_of_prepare() -> None:
    assert (COLUMNS, FILE) == (prepared.COLUMNS, prepared.FILE)


def test_what_prepare_wrote_is_read(dataset: Dataset) -> None:
    lines = [
        prepared.Decision('two\nlines, "a".png', "a", "00ff", "relabel", "b"),
        prepared.Decision("x.png", "b", "", "drop"),
    ]
    prepared.write_decisions(dataset.root / FILE, lines)
    marks = read_marks(dataset)
    assert [prepared.Decision(*line) for line in marks.lines] == lines
    assert marks.fingerprint == "abc"
    assert marks.command == f"pizzaiolo prepare SOURCE --out '{dataset.root}'"
    assert read_marks(dataset, "pizzaiolo prepare p --out d").command.endswith("p --out d")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"path,label\nx,y\n", b'path\n"x'])
def test_no_sound_file_means_no_decisions(dataset: Dataset, content: bytes | None) -> None:
    dataset.root.mkdir()
    if content is not None:
        (dataset.root / FILE).write_bytes(content)
    assert read_marks(dataset).lines == ()


def test_lines_with_too_few_cells_are_left_out(dataset: Dataset) -> None:
    dataset.root.mkdir()
    (dataset.root / FILE).write_text("path,label,sha256,decision,new_label\nx,a\ny,a,,drop,\n")
    assert read_marks(dataset).lines == (("y", "a", "", "drop", ""),)


def test_a_relabelled_picture_has_another_label_in_its_source() -> None:
    row = Row("x.png", "b", sha256="00ff")
    marks = Marks((("x.png", "a", "00ff", "relabel", "b"),))
    assert source_label(row, marks) == "a"
    assert source_label(replace(row, sha256="11"), marks) == "b", "the file has changed since"
    assert source_label(replace(row, label="c"), marks) == "c"
    assert source_label(row, Marks((("x.png", "b", "", "keep", ""),))) == "b"
