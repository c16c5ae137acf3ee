"""The Python API: the steps as verbs, which return what the commands print with --json."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pizzaiolo
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.predict import Answer, Predictor


def printed(*arguments: object) -> Any:
    """What a command prints with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "pizzaiolo", *map(str, arguments), "--json"],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", pizzaiolo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pizzaiolo, name) is not None
    assert name in dir(pizzaiolo)


@pytest.mark.parametrize("name", ["prepare", "train", "evaluate", "export", "load"])
def test_verbs_can_be_called_and_hold_their_parts(name: str) -> None:
    assert callable(getattr(pizzaiolo, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'pizzaiolo' has no attribute 'bake'"):
        _ = pizzaiolo.bake  # type: ignore[attr-defined]


def test_a_step_is_a_verb_even_after_its_parts_were_imported(photos: Path, tmp_path: Path) -> None:
    import pizzaiolo.prepare.split

    with pytest.raises(pizzaiolo.PizzaioloError):
        pizzaiolo.prepare(tmp_path / "gone", tmp_path / "data")


def test_prepare_returns_what_it_prints(photos: Path, tmp_path: Path) -> None:
    result = pizzaiolo.prepare(str(photos), str(tmp_path / "a"))
    told = printed("prepare", photos, "--out", tmp_path / "b")
    for own in ("dataset", "seconds"):
        result.pop(own), told.pop(own)
    assert result == told
    assert list(told) == ["classes", "found", "kept", "rejected", "flagged", "groups", "splits"]


def test_train_returns_what_run_json_holds(run_folder: Path, dataset: Path) -> None:
    told = json.loads((run_folder / "run.json").read_text())
    assert told["model"] == str(run_folder / "model.pt") and told["backbone"] == "cnn"
    assert told["recipe"] == "scratch" and told["best_epoch"] == 1
    assert set(told["validation"]) == {"accuracy", "f1", "loss"}
    assert told["dataset"] == str(dataset.resolve())


def test_evaluate_returns_what_it_writes(run_folder: Path, dataset: Path, tmp_path: Path) -> None:
    config = pizzaiolo.EvaluateConfig(split="validation", bootstrap=100)
    result = pizzaiolo.evaluate(run_folder, dataset, tmp_path / "report", config)
    assert json.loads((tmp_path / "report" / "metrics.json").read_text()) == result
    assert (
        result["split"] == "validation"
        and result["n"] == Dataset.open(dataset).counts()["validation"]
    )
    assert {"value", "low", "high"} == set(result["accuracy"])


def test_export_then_load_answers_as_the_run_does(
    run_folder: Path, dataset: Path, pizza_file: Path, tmp_path: Path
) -> None:
    result = pizzaiolo.export(run_folder, tmp_path / "m.onnx")
    assert list(result) == ["file", "format", "bytes", "parity", "gate", "notes"]
    assert result["bytes"] == (tmp_path / "m.onnx").stat().st_size
    trained, exported = pizzaiolo.load(run_folder), pizzaiolo.load(str(tmp_path / "m.onnx"))
    assert isinstance(trained, Predictor) and exported.labels == trained.labels
    one, other = trained.predict(pizza_file), exported.predict(str(pizza_file))
    assert isinstance(one, Answer) and one.verdict == other.verdict
    difference = np.subtract(*[list((a.probabilities or {}).values()) for a in (one, other)])
    assert np.abs(difference).max() < 1e-5
    assert exported.predict(pizza_file).to_json() == printed(
        "predict", "--model", tmp_path / "m.onnx", pizza_file
    )


def test_load_without_a_model_is_the_starter(starter: Path) -> None:
    assert pizzaiolo.load().path == starter
