"""A hostile or hasty user: each mistake is one message, a hint and the right exit code."""

import errno
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pizzaiolo.core.bundle import load_pt, save_pt

Command = Callable[..., Any]


def assert_clear(done: Any, code: int, words: str, hint: str = "") -> None:
    """One `error:` line with the words, at most one `hint:` line, nothing on stdout."""
    assert done.code == code and done.out == "", done
    lines = done.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    hints = [line for line in lines if line.startswith("hint: ")]
    assert len(errors) == 1 and words in errors[0], done.err
    assert len(hints) <= 1 and hint in "".join(hints), done.err
    assert "Traceback" not in done.err


def fill(folder: Path, count: int) -> None:
    """A folder of different pictures."""
    folder.mkdir(parents=True)
    for i in range(count):
        image = Image.effect_noise((64, 64), 40 + 10 * i)
        image.save(folder / f"{i}.png")


@pytest.mark.parametrize(
    ("source", "words"),
    [("gone", "gone"), ("empty", "empty"), ("file.txt", "file.txt"), ("one_class", "class")],
)
def test_a_source_that_is_none(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("Flour and water.")
    fill(tmp_path / "one_class" / "pizza", 8)
    assert_clear(command("prepare", source, "--out", "data"), 2, words)
    assert not (tmp_path / "data").exists()


def test_a_class_with_too_few_pictures(command: Command, tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "pizza", 8)
    fill(tmp_path / "photos" / "calzone", 2)
    done = command("prepare", tmp_path / "photos", "--out", tmp_path / "data", "--workers", "1")
    assert_clear(done, 2, "class 'calzone' has 2 usable pictures", "--min-per-class")


def test_an_unknown_model_names_the_nearest(
    command: Command, dataset: Path, tmp_path: Path
) -> None:
    done = command("train", dataset, "--out", tmp_path / "run", "--model", "resnet5O")
    assert_clear(done, 2, "resnet5O", "resnet50")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command_name", ["train", "evaluate"])
def test_a_dataset_that_is_none(
    command: Command, starter: Path, tmp_path: Path, command_name: str
) -> None:
    model = [starter] if command_name == "evaluate" else []
    for place in (tmp_path, tmp_path / "gone"):
        done = command(command_name, *model, place, "--out", tmp_path / "out")
        assert_clear(done, 2, "expected a DATASET", "pizzaiolo prepare")
    (tmp_path / "dataset.json").write_text("{")
    assert_clear(command(command_name, *model, tmp_path, "--out", tmp_path / "out"), 2, "")
    assert not (tmp_path / "out").exists()


def test_a_model_file_of_a_later_version(
    command: Command, run_folder: Path, pizza_file: Path, tmp_path: Path
) -> None:
    card, state = load_pt(run_folder / "model.pt")
    save_pt(tmp_path / "later.pt", card.with_(format_version=99), state)
    done = command("predict", pizza_file, "--model", tmp_path / "later.pt")
    assert_clear(done, 2, "version 99", "upgrade")


@pytest.mark.parametrize("name", ["m.onnx", "m.pt"])
@pytest.mark.parametrize("verb", ["predict", "inspect", "evaluate"])
def test_a_model_file_of_another_kind(
    command: Command, pizza_file: Path, dataset: Path, tmp_path: Path, name: str, verb: str
) -> None:
    shutil.copy(pizza_file, tmp_path / name)
    arguments = {
        "predict": [pizza_file, "--model", tmp_path / name],
        "inspect": [pizza_file, "--model", tmp_path / name],
        "evaluate": [tmp_path / name, dataset, "--out", tmp_path / "out"],
    }[verb]
    assert_clear(command(verb, *arguments), 2, name)
    assert not (tmp_path / "out").exists()


def test_only_a_run_can_be_exported(command: Command, starter: Path, tmp_path: Path) -> None:
    done = command("export", starter, "--out", tmp_path / "m.onnx")
    assert_clear(done, 2, "exported already")


QUICKLY = ["--model", "cnn", "--size", "32", "--epochs", "1"]
OUTS = {
    "prepare": lambda photos, dataset, model: ["prepare", photos],
    "train": lambda photos, dataset, model: ["train", dataset, *QUICKLY],
    "evaluate": lambda photos, dataset, model: ["evaluate", model, dataset],
    "demo": lambda photos, dataset, model: ["demo", "--per-class", "40"],
}


@pytest.fixture(params=OUTS)
def work(request: pytest.FixtureRequest, photos: Path, dataset: Path, starter: Path) -> list[Any]:
    """A command that lacks only its --out."""
    return OUTS[request.param](photos, dataset, starter)


def test_an_out_below_a_file(command: Command, work: list[Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    assert_clear(command(*work, "--out", tmp_path / "file" / "x"), 1, str(tmp_path / "file"))
    assert_clear(command(*work, "--out", tmp_path / "file"), 1, "is a file, expected a folder")
    assert (tmp_path / "file").read_text() == "a file"


def test_an_out_full_of_other_things(command: Command, work: list[Any], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = command(*work, "--out", tmp_path)
    assert_clear(done, 1, "holds other files", "--out")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", ["/sys/pizzaiolo", "/proc/pizzaiolo"])
def test_an_out_where_nobody_may_write(command: Command, work: list[Any], place: str) -> None:
    if not Path(place).parent.is_dir():
        pytest.skip("this system has no such read-only place")
    assert_clear(command(*work, "--out", place), 1, place, "choose")


def test_a_disk_that_is_full(
    command: Command, work: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    done = command(*work, "--out", tmp_path / "out")
    assert done.code == 1 and "error: the disk is full" in done.err and "hint: " in done.err
    assert "Traceback" not in done.err
    assert not [p for p in tmp_path.rglob("*") if p.suffix == ".tmp"]


@pytest.mark.parametrize("cache", ["/sys/pizzaiolo"])
def test_a_cache_that_can_t_be_written(
    command: Command, pizza_file: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    if not Path(cache).parent.is_dir():
        pytest.skip("this system has no such read-only place")
    monkeypatch.setenv("PIZZAIOLO_CACHE", cache)
    done = command("predict", pizza_file)
    assert done.code == 1 and "no permission: /sys/pizzaiolo" in done.err
    assert "Traceback" not in done.err and done.out == ""


@pytest.mark.parametrize("arguments", [["predict"], ["demo", "--per-class", "4"], ["--no-such"]])
def test_bad_usage(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.code == 2 and done.out == "" and "Traceback" not in done.err


def test_an_unknown_command_names_the_nearest(command: Command) -> None:
    done = command("trian")
    assert done.code == 2 and "train" in done.err


def test_nothing_on_stdin_is_bad_input(command: Command, starter: Path) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        assert_clear(command("predict", "-", "--model", starter), 2, "names no picture")


def test_an_empty_name_is_bad_input(command: Command, starter: Path) -> None:
    assert_clear(command("predict", "", "--model", starter), 2, "a name is empty", "expected")
