"""`improve` from end to end: a STUDY that grows, is cut off, joined, and concluded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo import ImproveConfig, TrainConfig, improve
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import InputError, StorageError, UsageError, WorkError
from pizzaiolo.improve import conclude, search
from pizzaiolo.improve.measure import Bench
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.train.defaults import filled

pytestmark = pytest.mark.usefixtures("one_thread")
SPACE = """
[space]
recipe = "head"
model = "tf_efficientnet_lite0"
loss = ["cross_entropy", "focal", "bce"]
label_smoothing = { low = 0.0, high = 0.2, step = 0.05 }
"""
QUICK = ImproveConfig(trials=4, folds=3, diagnose=False, ablation=False)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("spaces") / "space.toml"
    file.write_text(SPACE)
    return file


@pytest.fixture(scope="module")
def study(
    tiny_dataset: Dataset, space: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a whole search prints, with its folder."""
    out = tmp_path_factory.mktemp("searched") / "study"
    config = ImproveConfig(trials=6, folds=3)
    return improve(tiny_dataset, out, config, space=space)


def settings(folder: Path) -> list[dict[str, Any]]:
    """The settings of every trial that the journal holds."""
    lines = [json.loads(line) for line in (folder / "study.journal").read_text().splitlines()]
    return [line["user_attrs"]["config"] for line in lines if "distributions" in line]


def files(folder: Path) -> dict[str, int]:
    """Every trial's answers, and when they were written."""
    return {p.name: p.stat().st_mtime_ns for p in (folder / "trials").glob("*.npy")}


def test_the_result_and_the_files(study: dict[str, Any], tiny_dataset: Dataset) -> None:
    folder = Path(study["study"])
    assert study["trials"] == 6 and not study["interrupted"]
    assert study["pictures"] == len(tiny_dataset.split("train") + tiny_dataset.split("validation"))
    assert {"run", "params", "validation"} <= study["best"].keys()
    assert study["leaderboard"][0]["rank"] == 1
    for name in ("study.json", "study.journal", "space.toml", "leaderboard.csv", "improve.json",
                 "report.html", "best/model.pt", "evaluation/metrics.json"):  # fmt: skip
        assert (folder / name).is_file(), name
    assert json.loads((folder / "improve.json").read_text()) == study
    assert len(settings(folder)) == 7 == len({json.dumps(s) for s in settings(folder)})


def test_trial_0_is_the_default_recipe(study: dict[str, Any]) -> None:
    made = TrainConfig(**settings(Path(study["study"]))[0])
    assert made == filled(TrainConfig())


def test_what_is_finished_is_not_done_again(
    study: dict[str, Any], tiny_dataset: Dataset, space: Path
) -> None:
    folder = Path(study["study"])
    before, looks = files(folder), study["test"]["looks"]
    again = improve(tiny_dataset, folder, ImproveConfig(trials=6, folds=3), space=space)
    assert files(folder) == before and again["test"]["looks"] == looks == 1
    assert again["leaderboard"] == study["leaderboard"]
    more = improve(tiny_dataset, folder, ImproveConfig(trials=8, folds=3), space=space)
    assert more["trials"] == 8 and before.items() <= files(folder).items()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aim": "f1"}, "aim: was accuracy, is f1"),
        ({"folds": 4}, "folds: was 3, is 4"),
        ({"seed": 1}, "seed: was 0, is 1"),
    ],
)
def test_a_study_of_other_settings_is_refused(
    study: dict[str, Any], tiny_dataset: Dataset, space: Path, change: Any, words: str
) -> None:
    config = ImproveConfig(**{"trials": 6, "folds": 3, **change})
    with pytest.raises(UsageError, match=words):
        improve(tiny_dataset, study["study"], config, space=space)


def test_a_study_of_another_space_or_data_set_is_refused(
    study: dict[str, Any], tiny_dataset: Dataset, space: Path, make_dataset: Any, tmp_path: Path
) -> None:
    config = ImproveConfig(trials=6, folds=3)
    other = tmp_path / "space.toml"
    other.write_text(SPACE.replace('"focal", ', ""))
    with pytest.raises(UsageError, match=r"space loss: was .* is .*") as caught:
        improve(tiny_dataset, study["study"], config, space=other)
    assert "--space" in str(caught.value.hint)
    with pytest.raises(UsageError, match="data set: was"):
        improve(make_dataset(tmp_path / "d", train=12), study["study"], config, space=space)


def test_a_folder_of_something_else_is_left_alone(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds other files"):
        improve(tiny_dataset, tmp_path, QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_time_too_short_for_one_setting_is_one_message(
    tiny_dataset: Dataset, space: Path, tmp_path: Path
) -> None:
    config = ImproveConfig(timeout="0.001s", folds=3)
    with pytest.raises(UsageError, match="before one setting was tried") as caught:
        improve(tiny_dataset, tmp_path / "s", config, space=space)
    assert "--timeout" in str(caught.value.hint)


def test_no_photos_to_suggest_from(tiny_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        improve(tiny_dataset, tmp_path / "s", QUICK, suggest=tmp_path / "gone")
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_a_setting_that_fails_is_written_down_and_the_search_goes_on(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text(
        "[space]\nmodel = ['tf_efficientnet_lite0', 'no_such_model']\n"
        "loss = ['cross_entropy', 'focal', 'bce']\n"
    )
    result = improve(tiny_dataset, tmp_path / "s", QUICK, space=tmp_path / "space.toml")
    assert result["failed"] > 0 and result["trials"] == 4
    journal = (tmp_path / "s" / "study.journal").read_text()
    assert "no_such_model" in journal and '"state":"failed"' in journal


def test_all_settings_failed_is_one_error(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("[space]\nmodel = ['no_such', 'nor_this']\n")
    with pytest.raises(WorkError, match=r"all 2 settings failed, the first: .*(no_such|nor_this)"):
        improve(tiny_dataset, tmp_path / "s", QUICK, space=tmp_path / "space.toml")


def test_the_test_pictures_are_not_opened_before_the_winner_is_chosen(
    tiny_dataset: Dataset, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not there during search, diagnosis and ablation, and come back for the test."""
    root = tmp_path / "data"
    shutil.copytree(tiny_dataset.root, root)
    data = Dataset.open(root)
    (root / "images" / "test").rename(tmp_path / "away")
    crown = conclude.crown

    def back(*arguments: Any) -> Any:
        assert not (root / "images" / "test").exists()
        (tmp_path / "away").rename(root / "images" / "test")
        return crown(*arguments)

    monkeypatch.setattr(conclude, "crown", back)
    result = improve(data, tmp_path / "s", ImproveConfig(trials=3, folds=3), space=space)
    assert result["test"]["verdict"] and result["ablation"] and result["advice"]


class Slow(Bench):
    """Interrupts the second searched setting."""

    count = 0

    def run(self, config: TrainConfig, *arguments: Any, **more: Any) -> Outcome:
        Slow.count += 1
        if Slow.count == 3:
            raise KeyboardInterrupt
        return super().run(config, *arguments, **more)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Slow.count = 0
    monkeypatch.setattr(search, "Bench", Slow)
    return


@pytest.mark.usefixtures("interrupted")
def test_ctrl_c_keeps_and_reports_what_is_finished(
    tiny_dataset: Dataset, space: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    out = tmp_path / "s"
    given = ["improve", tiny_dataset.root, "--out", out, "--space", space, "--trials", 4,
             "--folds", 3, "--no-diagnose", "--no-ablation"]  # fmt: skip
    done = command(*given)
    assert done.code == 130 and "Searched 1 setting" in done.out and "interrupted" in done.err
    assert (out / "report.html").is_file() and not (out / "best").exists()
    kept = files(out)
    again = json.loads(command(*given, "--json").out)
    assert again["trials"] == 4 and kept.items() <= files(out).items()
    assert [t["trial"] for t in again["leaderboard"] if t["trial"] == 2], "the one cut off"


def start(data: Path, out: Path, space: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pizzaiolo", "improve", str(data), "--out", str(out),
         "--space", str(space), "--folds", "3", "--no-diagnose", "--no-ablation", "--json", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_a_killed_search_goes_on_and_loses_nothing(
    tiny_dataset: Dataset, space: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    with start(tiny_dataset.root, out, space, "--trials", "15") as process:
        while len(list((out / "trials").glob("0*.npy")) if out.exists() else []) < 3:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = files(out)
    assert 3 <= len(kept) < 15
    config = ImproveConfig(trials=15, folds=3, diagnose=False, ablation=False)
    result = improve(tiny_dataset, out, config, space=space)
    every = [json.dumps(s) for s in settings(out)]
    assert result["trials"] + 1 == len(every) == len(set(every)) == 15
    assert kept.items() <= files(out).items(), "a finished trial was done again"


def test_two_processes_on_one_study_and_their_workers(
    tiny_dataset: Dataset, space: Path, tmp_path: Path
) -> None:
    """Begun at the same moment, one with a worker: all settings are tried, and none twice."""
    out = tmp_path / "s"
    flags = ("--trials", "12", "--workers")
    both = [start(tiny_dataset.root, out, space, *flags, count) for count in ("1", "2")]
    told = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    every = [json.dumps(s) for s in settings(out)]
    assert len(every) == len(set(every)) == 13
    assert {json.loads(stdout)["trials"] for stdout, _ in told} == {12}
    assert len(files(out)) == 13


@pytest.mark.slow
def test_trainings_by_steps_are_searched_too(tiny_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(
        "[space]\nrecipe = 'scratch'\nmodel = 'cnn'\nsize = 32\nepochs = 3\npatience = 3\n"
        "lr = { low = 1e-4, high = 1e-1, log = true }\n"
    )
    config = ImproveConfig(trials=6, folds=3, diagnose=False, ablation=False)
    result = improve(tiny_dataset, tmp_path / "s", config, space=tmp_path / "space.toml")
    assert result["trials"] == 6 and not result["failed"]
    assert result["stopped"] > 0, "the poor ones end early"
    rows = [row for row in result["leaderboard"] if row["trial"]]
    held = len(tiny_dataset.split("validation"))
    assert rows and all(row["pictures"] == held for row in rows)
    assert (tmp_path / "s" / "trials" / f"{rows[0]['trial']:05}" / "weights.pt").is_file()
