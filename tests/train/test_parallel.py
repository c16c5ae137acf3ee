"""Several processes by torchrun: the same as one with the whole batch, and one that writes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import UsageError
from pizzaiolo.train.data import batches
from pizzaiolo.train.parallel import make_accelerator, share

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPT = str(Path(__file__).parents[1] / "two_processes.py")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def started(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_two_processes_equal_one_with_the_double_batch(tmp_path: Path) -> None:
    two, one = str(tmp_path / "two.pt"), str(tmp_path / "one.pt")
    processes = (
        started(*TORCHRUN, SCRIPT, two, "8"),
        started(sys.executable, SCRIPT, one, "16"),
    )
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    a, b = (torch.load(file, weights_only=True) for file in (two, one))
    torch.testing.assert_close(a["state"], b["state"], rtol=1e-4, atol=1e-6)
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_f1", "lr"):
        assert [e[name] for e in a["history"]] == pytest.approx(
            [e[name] for e in b["history"]], rel=1e-4
        ), name


def two(out: Path, **wishes: Any) -> "subprocess.Popen[str]":
    """Two processes that write to `out`, as tests/two_processes.py tells."""
    return started(*TORCHRUN, SCRIPT, str(out), "8", json.dumps(wishes))


@pytest.mark.slow
def test_two_killed_in_the_middle_of_an_epoch_go_on_to_the_same_bits(tmp_path: Path) -> None:
    """Pain: with several processes only whole epochs were kept, whatever was asked for."""
    file = str(tmp_path / "last.ckpt")
    killed = two(tmp_path / "none.pt", checkpoint=file, last=7)  # of 4 steps an epoch
    whole = two(tmp_path / "whole.pt", checkpoint=str(tmp_path / "other.ckpt"))
    killed.communicate(timeout=200)
    kept = torch.load(file, weights_only=True)
    assert killed.returncode != 0 and [own["position"]["step"] for own in kept["each"]] == [6, 6]
    assert len({own["random"]["python"] for own in kept["each"]}) == 2, "each draws its own"
    resumed = two(tmp_path / "resumed.pt", checkpoint=file, resume=True)
    errors = [process.communicate(timeout=200)[1] for process in (whole, resumed)]
    assert [whole.returncode, resumed.returncode] == [0, 0], errors
    a, b = (torch.load(tmp_path / name, weights_only=True) for name in ("whole.pt", "resumed.pt"))
    assert all(torch.equal(a["state"][name], b["state"][name]) for name in a["state"])
    assert [e["train_loss"] for e in a["history"]] == [e["train_loss"] for e in b["history"]]


@pytest.mark.slow
def test_two_whose_clocks_differ_end_a_time_budget_together(tmp_path: Path) -> None:
    """Pain: one was done, and the other waited for it without end."""
    process = two(tmp_path / "out.pt", seconds=[1.0, 300.0], epochs=9000)
    try:
        errors = process.communicate(timeout=200)[1]
    finally:
        process.kill()
    assert process.returncode == 0, errors


def test_the_command_under_torchrun_writes_and_speaks_once(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = ("--model", "cnn", "--size", "32", "--epochs", "1", "--device", "cpu", "--json")
    process = started(
        *TORCHRUN, "-m", "pizzaiolo", "train", str(tiny_dataset.root), "--out", str(out), *arguments
    )
    printed, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert len(printed.splitlines()) == 1 and (out / "model.pt").is_file()
    assert len(list((out / "tensorboard").iterdir())) == 1
    assert not (out / ".unfinished").exists()


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("rows", [16, 17, 21, 5])
def test_the_shares_are_as_many_batches_and_together_all_rows(
    monkeypatch: pytest.MonkeyPatch, count: int, rows: int
) -> None:
    loader = batches(TensorDataset(torch.arange(rows), torch.zeros(rows)), 4, shuffle_seed=None)
    monkeypatch.setenv("WORLD_SIZE", str(count))
    parts: list[list[Any]] = []
    for rank in range(count):
        monkeypatch.setenv("RANK", str(rank))
        parts.append([batch.tolist() for batch, _ in share(loader)])
    assert len({len(part) for part in parts}) == 1
    joined = [row for step in zip(*parts, strict=True) for batch in step for row in batch]
    assert joined[:rows] == list(range(rows)), "in order, and what is too many stands at the end"


def test_one_process_has_the_whole_loader() -> None:
    loader = batches(TensorDataset(torch.zeros(4), torch.zeros(4)), 2, shuffle_seed=None)
    assert share(loader) is loader


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "auto"])
def test_one_session_may_train_in_several_precisions(precision: str) -> None:
    made = make_accelerator(torch.device("cpu"), precision)
    assert made.mixed_precision == ("bf16" if precision == "bf16" else "no")


def test_a_precision_that_the_device_lacks_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="cpu can't train in fp16") as caught:
        make_accelerator(torch.device("cpu"), "fp16")
    assert caught.value.hint == "--precision bf16"
