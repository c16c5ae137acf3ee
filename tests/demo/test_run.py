"""`pizzaiolo demo`: the whole workflow, told step by step, in a folder of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.demo import run as demo_module
from pizzaiolo.errors import StorageError
from pizzaiolo.starter import load

EARLIER_LOOKS = '{"format_version": 1, "test": {"00ff": {"looks": 3, "first": "2026-01-01"}}}'
STEPS = ["prepare", "train", "evaluate", "export", "predict", "predict"]


def assert_tells_all(text: str, out: Path) -> None:
    """The demo's words: rendered, what was planted and found, where everything is, what next."""
    assert "rendered by pizzaiolo itself" in text.splitlines()[0]
    assert re.findall(r"^\$ pizzaiolo (\w+)", text, re.MULTILINE) == STEPS
    for name in ("exact copies", "unreadable", "no picture", "blank", "under both labels"):
        assert (found := re.search(rf"{name} +planted (\d+), rejected (\d+)", text)), name
        assert found[1] == found[2] != "0"
    assert "near copies        planted 4, grouped 4" in text
    assert "wrong labels       planted 2" in text
    assert re.search(r"test accuracy .* \(95 % interval .*\), n \d+", text)
    assert "the trained model is right on" in text and "the starter is right on" in text
    for path in ("data/report.html", "report/report.html", "model.onnx"):
        assert str(out / path) in text and (out / path).is_file()
    assert f"pizzaiolo serve --model {out / 'model.onnx'}" in text
    assert "pizzaiolo prepare FOLDER --out data" in text


def test_it_tells_all_and_replaces_an_earlier_demo(
    starter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train_quickly(dataset: Path, out: Path) -> Any:
        return quick(dataset, out, TrainConfig(model="cnn", size=32, epochs=1))

    quick = demo_module.train
    monkeypatch.setattr(demo_module, "train", train_quickly)
    for name in ("demo.txt", "photos/pizza/earlier.jpg", "run/looks.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(EARLIER_LOOKS)
    demo_module.demo(tmp_path, per_class=40)
    assert_tells_all(capsys.readouterr().out, tmp_path)
    assert not (tmp_path / "photos/pizza/earlier.jpg").exists()
    counted = json.loads((tmp_path / "run/looks.json").read_text())["test"].values()
    assert [look["looks"] for look in counted] == [1], "the demo's own look is the first"
    assert load(tmp_path / "model.onnx").labels.positive == "pizza"


def test_a_stranger_s_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="holds other files and no earlier demo"):
        demo_module.demo(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_as_a_person_runs_it(starter: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pizzaiolo", "demo", "--per-class", "40", "--out", "out"],
        capture_output=True, text=True, cwd=tmp_path, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    assert_tells_all(done.stdout.replace(" out/", f" {tmp_path}/out/"), tmp_path / "out")
    assert re.search(r"test accuracy (100|9\d)\.\d%", done.stdout)
