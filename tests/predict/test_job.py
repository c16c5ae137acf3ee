"""`pizzaiolo predict` for many pictures: where the answers go, and what is told."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Done
from pizzaiolo.predict import Predictor, job
from toy_predictor import BLUE, OLIVE, VIOLET, YELLOW, picture, predictor

Command = Callable[..., Done]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four pictures and one file that is none; the model knows colours."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in (("a", YELLOW), ("b", BLUE), ("c", VIOLET), ("d", OLIVE)):
        (photos / f"{name}.png").write_bytes(picture(*colour))
    (photos / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "m.onnx").write_bytes(b"stands for a model")
    monkeypatch.setattr("pizzaiolo.starter.load", lambda *_: predictor(tmp_path / "m.onnx"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_for_people(command: Command) -> None:
    done = command("predict", "photos")
    assert done.code == 1 and done.err == "1 of 5 could not be read\n"
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [
        "Pizza", "Not sure", "Unreadable", "Not sure", "Not sure"
    ]  # fmt: skip


def test_where_and_sort(command: Command) -> None:
    done = command("predict", "photos", "--where", "novelty > 0", "--sort", "novelty", "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert len(found) == 4 and done.err.startswith("4 of 5 pictures meet the condition\n")
    assert [a["novelty"] for a in found] == sorted((a["novelty"] for a in found), reverse=True)


@pytest.mark.parametrize("to_stdout", [True, False])
def test_csv_holds_what_json_does(command: Command, work: Path, to_stdout: bool) -> None:
    told = [json.loads(line) for line in command("predict", "photos", "--json").out.splitlines()]
    done = command("predict", "photos", "--csv", "-" if to_stdout else "a.csv")
    text = done.out if to_stdout else (work / "a.csv").read_text()
    if not to_stdout:
        assert done.out.splitlines() == [
            "5 rows in a.csv", "verdicts: Not sure 3, Pizza 1, Unreadable 1"
        ]  # fmt: skip
    for row, answer in zip(csv.DictReader(io.StringIO(text)), told, strict=True):
        assert row["path"] == answer["path"] and row["verdict"] == (answer["verdict"] or "")
        if answer["error"]:
            assert row["error_code"] == "not_an_image" and row["confidence"] == ""
        else:
            assert float(row["p_pizza"]) == answer["probabilities"]["pizza"]
            assert float(row["novelty"]) == answer["novelty"]


def test_copies_by_verdict(command: Command, work: Path) -> None:
    done = command("predict", "photos", "--copy-to", "photos/sorted", "--where", "label == 'pizza'")
    found = sorted(str(p.relative_to(work / "photos/sorted"))
                   for p in (work / "photos/sorted").rglob("*") if p.is_file())  # fmt: skip
    assert found == ["not_sure/c.png", "not_sure/d.png", "pizza/a.png"]
    assert "3 pictures copied to photos/sorted: not_sure 2, pizza 1\n" in done.out
    assert "photos/a.png" not in done.out
    again = command("predict", "photos", "--copy-to", "photos/sorted")
    assert "3 were there already" in again.out and again.err == "1 of 5 could not be read\n"


def test_parquet_and_resume(command: Command) -> None:
    first = command("predict", "photos", "--parquet", "a.parquet")
    assert first.out.startswith("5 rows in a.parquet\nverdicts:") and first.code == 1
    again = command("predict", "photos", "--parquet", "a.parquet", "--resume", "--json")
    assert len(again.out.splitlines()) == 1 and "not_an_image" in again.out
    assert "4 were answered before and are left out" in again.err
    assert "5 rows in a.parquet" in again.err


@pytest.mark.parametrize(
    ("arguments", "words", "hint"),
    [
        (["photos", "--copy-to", "m.onnx"], "m.onnx is a file", "name another"),
        (["photos", "--copy-to", "photos"], "is the folder of the pictures", "name another"),
        (["photos", "--where", "confidense < 1"], "no field 'confidense'", "'confidence'"),
        (["photos", "--where", "verdict == 'Piza'"], "'Piza' is none", "'Pizza'"),
        (["photos", "--sort", "size"], "--sort is 'size'", "choose one of: confidence"),
        (["photos", "--resume"], "--resume goes on with a Parquet", "add --parquet"),
        (["photos", "--csv", "photos/a.png"], "'.png', expected .csv", "--csv answers.csv"),
        (["photos", "--parquet", "m"], "'nothing', expected .parquet", "answers.parquet"),
        (["photos", "--json", "--csv", "-"], "both want stdout", "give --csv a file"),
        (["photos", "--csv", "photos.csv/a.csv", "gone/*.jpg"], "holds no pictures", "known: "),
        (["photos", "empty", "--json"], "empty holds no pictures", "known: "),
    ],
)
def test_wrong_inputs_are_one_message(
    command: Command, work: Path, arguments: list[str], words: str, hint: str
) -> None:
    (work / "empty").mkdir()
    before = sorted(work.rglob("*"))
    done = command("predict", *arguments)
    assert done.code == 2 and done.out == "" and len(done.err.splitlines()) == 2
    assert done.err.startswith("error: ") and words in done.err
    assert hint in done.err.splitlines()[1]
    assert sorted(work.rglob("*")) == before


def test_parquet_without_pyarrow(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = command("predict", "photos", "--parquet", "a.parquet")
    assert done.code == 2 and "--parquet needs the package 'pyarrow'" in done.err
    assert "pip install pyarrow" in done.err and done.out == ""
    assert command("predict", "photos/a.png").code == 0


def test_a_disk_that_is_full_leaves_no_csv(
    command: Command, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    done = command("predict", "photos", "--csv", "a.csv")
    assert done.code == 1 and "the disk is full" in done.err
    assert sorted(p.name for p in work.iterdir()) == ["m.onnx", "photos"]


def test_a_list_from_stdin_beside_other_inputs(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"photos/b.png\ngone.png\n")))
    done = command("predict", "photos/d.png", "-", "photos/a.png", "--json")
    assert [json.loads(line)["path"] for line in done.out.splitlines()] == [
        "photos/d.png", "photos/b.png", "gone.png", "photos/a.png"
    ]  # fmt: skip
    assert done.code == 1


def test_a_log_is_told_of_the_progress(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "TOLD_EVERY", -1.0)
    lines = command("predict", "photos", "--csv", "a.csv").err.splitlines()
    assert len(lines) == 6 and lines[4].startswith("5 pictures, ")
    assert lines[4].endswith(" pictures a second")


def test_the_python_api_gives_the_same_fields(command: Command, work: Path) -> None:
    own: Predictor = predictor()
    told = json.loads(command("predict", "photos/b.png", "--json").out)
    assert own.predict("photos/b.png").to_json() == told
