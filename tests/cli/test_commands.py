"""Commands as a person types them: exit codes, one message, one hint, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pizzaiolo.config import SECTIONS
from pizzaiolo.starter import load


def run(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pizzaiolo", *arguments],
        capture_output=True, text=True, timeout=240, **options,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


def assert_clear(done: "subprocess.CompletedProcess[str]", code: int, words: str) -> None:
    """One error line with the words, and no traceback."""
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize("command", ["prepare", "train", "evaluate", "improve", "export", "serve"])
def test_every_setting_is_a_flag(command: str) -> None:
    text = run(command, "--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for name in SECTIONS[command].__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prepare", "gone", "--out", "d"], "gone"),
        (["prepare", ".", "--out", "d", "--ratios", "1,2"], "three positive shares"),
        (["prepare", ".", "--out", "d", "--ratios", "a,b"], "numbers separated by commas"),
        (["train", "gone", "--out", "r"], "expected a DATASET"),
        (["train", "gone", "--out", "r", "--optimizer", "adamx"], "adamx"),
        (["train", "gone", "--out", "r", "--epochs", "0"], "epochs is 0"),
        (["train", "gone", "--out", "r", "--config", "gone.toml"], "no recipe at"),
        (["evaluate", "gone", "gone", "--out", "e"], "gone"),
        (["improve", "gone", "--out", "s"], "expected a DATASET"),
        (["improve", "gone", "--out", "s", "--trials", "0"], "trials is 0, expected 1"),
        (["improve", "gone", "--out", "s", "--timeout", "soon"], "the time 'soon'"),
        (["export", "gone", "--out", "m.onnx"], "no model at gone"),
        (["export", "gone", "--out", "m.tflite"], "gone"),
        (["predict", "x.jpg", "--model", "gone.onnx"], "no model at"),
        (["serve", "--model", "gone.onnx"], "no model at"),
        (["inspect", "x.jpg", "--model", "gone.onnx"], "no model at"),
    ],
)
def test_bad_input_is_one_message(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert_clear(done, 2, words)
    assert sorted(p.name for p in tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["trian"], ["train"], ["predict", "--modell", "x"]])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_unknown_key_in_a_recipe_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[train]\noptimiser = 'sgd'\n")
    done = run("train", "x", "--out", "y", "--config", str(tmp_path / "r.toml"))
    assert_clear(done, 2, "unknown key 'optimiser'")
    assert "'optimizer'" in done.stderr


def test_predict_json_lines(starter: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    files = [str(photos / "pizza" / "pizza_0010.jpg"), str(tmp_path / "bad.jpg")]
    done = run("predict", "--model", str(starter), "--json", *files)
    assert done.returncode == 1
    good, bad = (json.loads(line) for line in done.stdout.splitlines())
    assert good["path"] == files[0] and 0 <= good["confidence"] <= 1 and good["error"] is None
    assert bad["error"]["code"] == "not_an_image" and bad["label"] is None


def test_predict_reads_paths_from_stdin(starter: Path, pizza_file: Path) -> None:
    done = run("predict", "--model", str(starter), "--json", "-", input=f"{pizza_file}\n")
    assert done.returncode == 0 and json.loads(done.stdout)["path"] == str(pizza_file)


def test_predict_for_people(starter: Path, pizza_file: Path) -> None:
    done = run("predict", "--model", str(starter), str(pizza_file))
    verdict = load(starter).predict(pizza_file).verdict
    assert done.returncode == 0 and done.stdout.startswith(str(verdict))


def test_inspect_follows_the_tensors(starter: Path, pizza_file: Path) -> None:
    done = run("inspect", str(pizza_file), "--model", str(starter), "--json")
    stages = {s["name"]: s for s in json.loads(done.stdout)["stages"]}
    assert stages["input"]["shape"] == [224, 224, 3] and stages["input"]["dtype"] == "uint8"
    assert stages["tensor"]["shape"] == [1, 3, 224, 224]
    assert stages["feature maps 1"]["shape"][0] == 1
    assert stages["embedding"]["shape"] == [1, 1280]
    assert stages["probabilities"]["shape"] == [1, 2]
    table = run("inspect", str(pizza_file), "--model", str(starter)).stdout
    assert "[1, 3, 224, 224]" in table


def test_inspect_of_a_bad_picture(starter: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    done = run("inspect", str(tmp_path / "bad.jpg"), "--model", str(starter))
    assert_clear(done, 2, "holds no picture")


def test_models_are_a_table_or_json() -> None:
    table = run("models", "lite0").stdout
    assert "tf_efficientnet_lite0   4.65M    0.39     19    224  here      apache-2.0" in table
    listed = json.loads(run("models", "lite0", "--json").stdout)
    keys = {"name", "parameters", "gflops", "megabytes", "input", "weights", "licence", "offline"}
    assert all(keys <= model.keys() for model in listed)
