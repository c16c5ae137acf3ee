"""`evaluate --against OTHER`: is this model better, on the same pictures?"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.config import EvaluateConfig, TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.errors import InputError, ModelFileError, UsageError
from pizzaiolo.evaluate.compare import compare
from pizzaiolo.evaluate.run import evaluate
from pizzaiolo.train.run import train

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = EvaluateConfig(bootstrap=100, robustness_seconds=0, explain=False)


def trained(data: Dataset, out: Path, epochs: int) -> Path:
    config = TrainConfig(model="cnn", size=32, epochs=epochs, lr=1e-3, batch_size=4,
                         augment="none")  # fmt: skip
    return Path(train(data.root, out, config)["run"])


@pytest.fixture(scope="module")
def runs(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> tuple[Path, Path]:
    """Two RUNs: one that has hardly learned, and one that has."""
    folder = tmp_path_factory.mktemp("runs")
    return trained(tiny_dataset, folder / "short", 1), trained(tiny_dataset, folder / "long", 6)


@pytest.fixture(scope="module")
def earlier(runs: tuple[Path, Path], tiny_dataset: Dataset) -> Path:
    """An evaluation of the first RUN."""
    out = runs[0].with_name("report")
    evaluate(runs[0], tiny_dataset.root, out, QUICK)
    return out


@pytest.mark.parametrize("kind", ["folder", "table", "run", "file"])
def test_other_may_be_an_evaluation_or_a_model(
    kind: str, runs: tuple[Path, Path], earlier: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    other = {"folder": earlier, "table": earlier / "predictions.parquet", "run": runs[0],
             "file": runs[0] / "model.pt"}[kind]  # fmt: skip
    result = evaluate(runs[1], tiny_dataset.root, tmp_path / "e", QUICK, against=other)
    tables = (Predictions.read(f / "predictions.parquet") for f in (earlier, tmp_path / "e"))
    told = json.loads(json.dumps(compare(*tables).to_dict()))
    found = result["against"]
    assert {k: found[k] for k in told} == told and found["other"] == str(other)
    assert found["second"] == result["accuracy"]["value"]
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["against"] == found
    for name in ("report.html", "report.md"):
        text = re.sub(r"\\", "", (tmp_path / "e" / name).read_text())
        assert "Compared with another model" in text and "points of accuracy" in text


def test_without_other_nothing_is_compared(
    runs: tuple[Path, Path], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    result = evaluate(runs[1], tiny_dataset.root, tmp_path / "e", QUICK)
    assert result["against"] is None
    assert "Compared with" not in (tmp_path / "e" / "report.html").read_text()


def test_the_folder_of_the_last_evaluation_may_be_the_other(
    runs: tuple[Path, Path], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    first = evaluate(runs[0], tiny_dataset.root, tmp_path / "e", QUICK)
    again = evaluate(runs[1], tiny_dataset.root, tmp_path / "e", QUICK, against=tmp_path / "e")
    assert again["against"]["first"] == first["accuracy"]["value"]


def test_a_run_that_is_compared_with_was_looked_at(
    runs: tuple[Path, Path], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    def looks() -> Any:
        counted = json.loads((runs[0] / "looks.json").read_text())["test"]
        return counted[tiny_dataset.fingerprint]["looks"]

    evaluate(runs[0], tiny_dataset.root, tmp_path / "a", QUICK)
    before = looks()
    evaluate(runs[1], tiny_dataset.root, tmp_path / "b", QUICK, against=runs[0])
    assert looks() == before + 1
    config = replace(QUICK, split="validation")
    evaluate(runs[1], tiny_dataset.root, tmp_path / "c", config, against=runs[0])
    assert looks() == before + 1


def test_other_pictures_and_splits_are_refused(
    runs: tuple[Path, Path], earlier: Path, make_dataset: Callable[..., Dataset], tmp_path: Path,
    tiny_dataset: Dataset,
) -> None:  # fmt: skip
    make_dataset(tmp_path / "data", test=3)
    with pytest.raises(UsageError, match="different pictures: 6 are in one table only"):
        evaluate(runs[1], tmp_path / "data", tmp_path / "e", QUICK, against=earlier)
    with pytest.raises(UsageError, match="tells of the test split") as caught:
        evaluate(
            runs[1], tiny_dataset.root, tmp_path / "e", replace(QUICK, split="validation"),
            against=earlier,
        )  # fmt: skip
    assert "--split test" in (caught.value.hint or "")
    assert not (tmp_path / "e").exists()


def test_what_is_no_other_is_refused(
    runs: tuple[Path, Path], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "p.parquet").write_text("no table")
    (tmp_path / "empty").mkdir()
    for name, kind in (
        ("gone", UsageError), ("p.parquet", InputError), ("empty", ModelFileError),
    ):  # fmt: skip
        with pytest.raises(kind):
            evaluate(runs[1], tiny_dataset.root, tmp_path / "e", QUICK, against=tmp_path / name)
    assert not (tmp_path / "e").exists()


def test_the_terminal_says_it_in_a_sentence(
    runs: tuple[Path, Path], earlier: Path, tiny_dataset: Dataset, tmp_path: Path,
    command: Callable[..., Any],
) -> None:  # fmt: skip
    done = command(
        "evaluate", runs[1], tiny_dataset.root, "--out", tmp_path / "e", "--against", earlier,
        "--robustness-seconds", 0, "--no-explain",
    )  # fmt: skip
    assert done.code == 0
    line = next(x for x in done.out.splitlines() if x.startswith("Against "))
    assert re.search(r"(Better than|Worse than|Within noise of) .*report: [+-]\d+\.\d points", line)
    gained = json.loads((tmp_path / "e" / "metrics.json").read_text())["against"]["gained"]
    assert not gained or f"right here only: {gained[0]}" in done.out
