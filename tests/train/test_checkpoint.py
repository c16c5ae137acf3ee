"""Exact resume: killed at any moment and resumed, a training gives the same bits."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import Done
from pizzaiolo.config import TrainConfig
from pizzaiolo.core.bundle import UNFINISHED, load_pt
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import InputError, StorageError, UsageError
from pizzaiolo.train.checkpoint import (
    FILE,
    Checkpoints,
    check_identity,
    random_state,
    read_checkpoint,
    set_random_state,
)
from pizzaiolo.train.run import train
from toy_network import Own

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPT = Path(__file__).parents[1] / "killed_training.py"
OWN = TrainConfig(size=32, epochs=3, batch_size=7, device="cpu")
EVERY_STEP = {"size": 32, "epochs": 3, "batch_size": 4, "device": "cpu", "checkpoint_seconds": 0.0}
MIXED = {**EVERY_STEP, "ema": 0.9, "mixup": 0.2, "cutmix": 1.0, "erase": 0.3, "clip_grad": 1.0}
LOADED = {**MIXED, "workers": 2, "optimizer": "sgd", "schedule": "one_cycle", "augment": "trivial",
          "balance": "sampling"}  # fmt: skip
STAGES = {**EVERY_STEP, "model": "tf_efficientnet_lite0", "recipe": "finetune", "epochs": 1,
          "batch_size": 8, "drop_path": 0.2, "dropout": 0.2, "find_lr": True}  # fmt: skip
CASES = {
    "mixed": (MIXED, [("step", 2), ("os.rename", 1), ("step", 4), ("os.rename", 4)]),
    "loaded": (LOADED, [("step", 3), ("os.rename", 2)]),
    "stages": (STAGES, [("os.rename", 3)]),
}


def run_killed(dataset: Path, out: Path, cases: Mapping[str, Any]) -> dict[str, list[str]]:
    """How the killed processes ended, by case."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(dataset), str(out), json.dumps(cases)],
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ends: dict[str, list[str]] = json.loads(done.stdout)
    return ends


def figures(run: Path) -> list[list[str]]:
    """The history without what is a matter of speed."""
    lines = [line.split(",") for line in (run / "history.csv").read_text().splitlines()]
    kept = [i for i, name in enumerate(lines[0]) if name not in ("seconds", "pictures_per_second")]
    return [[line[i] for i in kept] for line in lines]


def same_bits(a: Path, b: Path) -> bool:
    first, second = load_pt(a / "model.pt")[1], load_pt(b / "model.pt")[1]
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def killed(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, list[str]]]:
    """Where the cases were trained, and how their processes ended."""
    out = tmp_path_factory.mktemp("killed")
    return out, run_killed(tiny_dataset.root, out, CASES)


@pytest.mark.parametrize("case", CASES)
def test_killed_and_resumed_gives_the_same_bits(
    killed: tuple[Path, dict[str, list[str]]], case: str
) -> None:
    """Pain: a resume that is not exact."""
    folder, ends = killed[0] / case, killed[1][case]
    assert ends == ["killed"] * len(CASES[case][1])
    assert same_bits(folder / "whole", folder / "killed")
    assert figures(folder / "whole") == figures(folder / "killed")
    assert sorted(os.listdir(folder / "whole")) == sorted(os.listdir(folder / "killed"))


@pytest.mark.slow
def test_twenty_random_kills_change_no_bit(tiny_dataset: Dataset, tmp_path: Path) -> None:
    draw = random.Random(0)
    moments = [("seconds", draw.uniform(0.02, 0.4)) for _ in range(20)]
    settings = {**MIXED, "epochs": 40, "patience": 40}
    ends = run_killed(tiny_dataset.root, tmp_path, {"random": (settings, moments)})
    assert ends["random"].count("killed") == 20
    assert same_bits(tmp_path / "random/whole", tmp_path / "random/killed")
    assert figures(tmp_path / "random/whole") == figures(tmp_path / "random/killed")


class CutOff(Own):
    """Is cut off in its n-th training batch."""

    after = 0
    error: BaseException = KeyboardInterrupt()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            type(self).after -= 1
            if type(self).after == 0:
                raise self.error
        return super().forward(x)


@pytest.fixture
def interrupted(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """A RUN that was cut off in its second epoch."""
    CutOff.after, CutOff.error = 5, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        train(tiny_dataset, tmp_path / "run", OWN, CutOff)
    return tmp_path / "run"


def test_an_interrupted_training_leaves_its_checkpoint_alone(interrupted: Path) -> None:
    assert [str(p.relative_to(interrupted)) for p in interrupted.rglob("*") if p.is_file()] == [
        f"{UNFINISHED}/{FILE}"
    ]


def test_resumed_after_ctrl_c_it_is_as_if_nothing_had_been(
    interrupted: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    train(tiny_dataset, tmp_path / "whole", OWN, CutOff)
    summary = train(tiny_dataset, interrupted, OWN, CutOff, resume=True)
    assert same_bits(interrupted, tmp_path / "whole")
    assert summary["best_epoch"] == 3 and (interrupted / FILE).is_file()
    assert not (interrupted / UNFINISHED).exists()


def test_without_resume_a_training_starts_afresh(
    interrupted: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    CutOff.after, CutOff.error = 1, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        train(tiny_dataset, interrupted, OWN, CutOff)
    assert not interrupted.exists() or not any(p.is_file() for p in interrupted.rglob("*"))


def test_nothing_to_resume_is_a_start(
    tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="pizzaiolo"):
        train(tiny_dataset, tmp_path / "run", replace(OWN, epochs=1), Own, resume=True)
    assert "nothing to resume" in caplog.text and (tmp_path / "run" / "model.pt").is_file()


def test_a_finished_run_says_so(
    tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = train(tiny_dataset, tmp_path / "run", OWN, Own)
    before = (tmp_path / "run" / "model.pt").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="pizzaiolo"):
        again = train(tiny_dataset, tmp_path / "run", OWN, Own, resume=True)
    assert "is finished" in caplog.text and list(again) == list(first)
    assert again["validation"] == first["validation"]
    assert (tmp_path / "run" / "model.pt").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"lr": 0.5, "epochs": 9}, ["epochs: was 3, is 9", "lr: was None, is 0.5"]),
        ({"ema": 0.5}, ["ema: was 0.0, is 0.5"]),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(
    interrupted: Path, tiny_dataset: Dataset, changed: dict[str, Any], shown: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        train(tiny_dataset, interrupted, replace(OWN, **changed), CutOff, resume=True)
    assert all(text in caught.value.message for text in shown)
    assert "leave --resume out" in (caught.value.hint or "")
    assert (interrupted / UNFINISHED / FILE).is_file(), "what was refused is kept"


def test_a_data_set_that_changed_is_refused(interrupted: Path, tiny_dataset: Dataset) -> None:
    other = replace(tiny_dataset, fingerprint="another")
    with pytest.raises(UsageError, match=r"DATASET: was .*, is another"):
        train(other, interrupted, OWN, CutOff, resume=True)


def test_another_network_is_refused(interrupted: Path, tiny_dataset: Dataset) -> None:
    class Wide(CutOff):
        def __init__(self, num_classes: int) -> None:
            super().__init__(num_classes)
            self.more = torch.nn.Linear(2, 2)

    with pytest.raises(UsageError, match=r"network: was 8 parameters.*, is 14 parameters"):
        train(tiny_dataset, interrupted, OWN, Wide, resume=True)


def test_loader_processes_may_change_at_a_resume(
    interrupted: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    train(tiny_dataset, tmp_path / "whole", OWN, CutOff)
    train(tiny_dataset, interrupted, replace(OWN, workers=1), CutOff, resume=True)
    assert same_bits(interrupted, tmp_path / "whole")


def test_a_finished_run_of_other_settings_is_refused(tiny_dataset: Dataset, tmp_path: Path) -> None:
    train(tiny_dataset, tmp_path / "run", replace(OWN, epochs=1), Own)
    with pytest.raises(UsageError, match="epochs: was 1, is 3"):
        train(tiny_dataset, tmp_path / "run", OWN, Own, resume=True)


@pytest.mark.parametrize("content", [b"", b"no archive", "pickle"])
def test_a_damaged_checkpoint_is_one_clear_error(
    interrupted: Path, tiny_dataset: Dataset, content: bytes | str
) -> None:
    file = interrupted / UNFINISHED / FILE
    if content == "pickle":
        torch.save({"identity": Path("/etc")}, file)
    else:
        file.write_bytes(bytes(content))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is no checkpoint") as caught:
        train(tiny_dataset, interrupted, OWN, CutOff, resume=True)
    assert "\n" not in caught.value.message and "--resume" in (caught.value.hint or "")


def test_a_full_disk_keeps_the_last_checkpoint(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = torch.save, []

    def full(content: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half of it")
            raise OSError(28, "No space left on device")
        save(content, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match="the disk is full"):
        train(tiny_dataset, tmp_path / "run", OWN, Own)
    kept = read_checkpoint(tmp_path / "run" / UNFINISHED / FILE)
    assert [line["epoch"] for line in kept["history"]] == [1]
    monkeypatch.undo()
    train(tiny_dataset, tmp_path / "run", OWN, Own, resume=True)
    train(tiny_dataset, tmp_path / "whole", OWN, Own)
    assert same_bits(tmp_path / "run", tmp_path / "whole")


def test_the_command_resumes(
    command: Callable[..., Done], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    code = "from toy_network import Own\n"
    (tmp_path / "net.py").write_text(code)
    arguments = ["train", tiny_dataset.root, "--out", tmp_path / "run", "--size", 32,
                 "--model", f"{tmp_path / 'net.py'}:Own", "--epochs", 1]  # fmt: skip
    assert command(*arguments, "--resume", "--json").code == 0
    again = command(*arguments, "--resume", "--json")
    assert again.code == 0 and "finished" in again.err and json.loads(again.out)["best_epoch"] == 1
    refused = command(*arguments, "--resume", "--lr", 0.5)
    assert refused.code == 2 and "lr: was None, is 0.5" in refused.err


def test_a_checkpoint_is_written_when_it_is_due(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "a", {}, seconds=0.0).due()
    assert not Checkpoints(tmp_path / "a", {}, seconds=60.0).due()


def test_the_generators_go_back_to_where_they_stood() -> None:
    state = random_state()
    first = [random.random(), np.random.normal(), float(torch.rand(()))]
    set_random_state(state)
    assert [random.random(), np.random.normal(), float(torch.rand(()))] == first


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3)))
def test_identities_that_are_equal_pass_and_all_others_do_not(was: dict[str, str]) -> None:
    check_identity(was, dict(was), Path("x"))
    with pytest.raises(UsageError, match="other"):
        check_identity(was, {**was, "other": "?"}, Path("x"))
