"""`train --ray`: the same model as without, also where a process is killed in the middle."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("ray")

from pizzaiolo import TrainConfig, train
from pizzaiolo.cluster.session import connected
from pizzaiolo.cluster.train import Crew, Words, choose_crew
from pizzaiolo.cluster.train import train as train_on_ray
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import DatasetError, UsageError, WorkError
from pizzaiolo.train import parallel

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORK = Path(__file__).parents[1] / "mortal_network.py"


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray on this machine for all tests of the file."""
    with connected("local"):
        yield


def mortal(folder: Path, step: int = 0, deaths: int = 1) -> TrainConfig:
    """Settings of a network whose second process is killed in a step."""
    folder.mkdir()
    shutil.copy(NETWORK, folder)
    (folder / "mortal.json").write_text(json.dumps({"step": step, "deaths": deaths}))
    model = f"{folder / NETWORK.name}:Mortal"
    return TrainConfig(
        model=model, size=32, epochs=3, batch_size=4, checkpoint_seconds=0.0, device="cpu"
    )


def state(run: Path) -> dict[str, Any]:
    return dict(torch.load(run / "model.pt", weights_only=True)["state"])


def test_recipe_head_of_two_processes_is_that_of_one_to_the_bit(
    ray_here: None, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = TrainConfig(device="cpu")
    alone = train(tiny_dataset.root, tmp_path / "alone", config)
    two = train_on_ray(tiny_dataset.root, tmp_path / "two", config, ray="local", processes=2)
    one, other = state(tmp_path / "alone"), state(tmp_path / "two")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert two["validation"] == alone["validation"] and alone.keys() == two.keys()
    assert json.loads((tmp_path / "two" / "run.json").read_text())["identity"]["processes"] == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "two"]


@pytest.mark.slow
def test_a_process_killed_in_an_epoch_changes_no_bit(
    ray_here: None, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, killed = mortal(tmp_path / "immortal"), mortal(tmp_path / "mortal", step=5)
    train_on_ray(tiny_dataset.root, tmp_path / "whole", whole, ray="local", processes=2)
    assert "was lost" not in caplog.text
    train_on_ray(tiny_dataset.root, tmp_path / "killed", killed, ray="local", processes=2)
    assert (tmp_path / "mortal" / "dead-0").is_file() and "was lost" in caplog.text
    one, other = state(tmp_path / "whole"), state(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)
    histories = [(tmp_path / run / "history.csv").read_text() for run in ("whole", "killed")]
    first, second = ([line.split(",")[:5] for line in text.splitlines()] for text in histories)
    assert first == second and len(first) == 4, "every epoch counts once"
    assert not (tmp_path / "killed" / ".unfinished").exists()


@pytest.mark.slow
def test_processes_that_are_always_lost_are_one_clear_error(
    ray_here: None, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = mortal(tmp_path / "mortal", step=1, deaths=9)
    with pytest.raises(WorkError, match="again and again"):
        train_on_ray(tiny_dataset.root, tmp_path / "run", config, ray="local", processes=2)
    assert len(list((tmp_path / "mortal").glob("dead-*"))) == 4, "once, and three times more"


def test_errors_of_ours_end_a_training_and_keep_their_words() -> None:
    from ray.exceptions import RayActorError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    from pizzaiolo.cluster.faults import StopAtFault, reason

    ours = DatasetError("a picture can't be read", hint="run prepare again")
    lost = RayActorError()
    StopAtFault().after_exception(None, {0: RuntimeError("connection closed by peer"), 1: lost})
    with pytest.raises(DatasetError):
        StopAtFault().after_exception(None, {0: lost, 1: ours})
    assert reason(ControllerError(ours)) is ours
    told = reason(ControllerError(TimeoutError("no room\nfor 300 lines")))
    assert "could not start" in told.message and told.message.endswith("no room")
    for gone in (lost, WorkerHealthCheckFailedError("a check failed", lost)):
        told = reason(WorkerGroupError("", {0: RuntimeError("closed by peer"), 1: gone}))
        assert "again and again" in told.message
    bug = reason(WorkerGroupError("60 lines", {0: TypeError("no\ntraceback")}))
    assert bug.message == "the training failed: TypeError: no"


@pytest.mark.slow
def test_a_damaged_picture_ends_it_at_once_with_the_error_of_one_machine(
    ray_here: None, make_dataset: Callable[..., Dataset], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    data = make_dataset(tmp_path / "data")
    bad = data.root / "images" / "train" / "pizza" / "00.png"
    bad.write_bytes(b"no picture")
    config = mortal(tmp_path / "immortal")
    with pytest.raises(DatasetError, match=r"00\.png can't be read") as caught:
        train_on_ray(data.root, tmp_path / "run", config, ray="local", processes=2)
    assert caught.value.hint == "run prepare again"
    assert "was lost" not in caplog.text, "it would come again"


@pytest.mark.parametrize(
    ("cpus", "gpus", "device", "processes", "crew"),
    [
        ([2], 0, "auto", None, Crew(1, 2)),
        ([2], 0, "auto", 2, Crew(2, 1)),
        ([16, 16], 0, "cpu", None, Crew(2, 16)),
        ([16, 16], 0, "cpu", 3, Crew(3, 8)),
        ([64, 4], 0, "auto", 3, Crew(3, 21)),
        ([64, 4], 0, "auto", None, Crew(2, 32)),
        ([32, 32], 8, "auto", None, Crew(8, 8, gpu=True)),
        ([32, 32], 8, "cuda", 4, Crew(4, 16, gpu=True)),
        ([32, 32], 8, "cpu", None, Crew(2, 32)),
    ],
)
def test_the_processes_fill_the_machines(
    cpus: list[int], gpus: int, device: str, processes: int | None, crew: Crew
) -> None:
    assert choose_crew(cpus, gpus, device, processes) == crew


@pytest.mark.parametrize(("gpus", "room"), [(0, 4), (2, 2)])
def test_more_processes_than_there_is_room_for_are_refused(gpus: int, room: int) -> None:
    with pytest.raises(UsageError, match="5 processes can't train") as caught:
        choose_crew([2, 2], gpus, "auto", 5)
    assert caught.value.hint == f"--processes {room} or fewer"


def test_what_the_processes_say_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = Words(tmp_path / "words.txt")
    words.tell()
    words.file.write_text("WARNING: the copies are small\nINFO: epoch 1: half a li")
    with caplog.at_level(logging.INFO, "pizzaiolo"):
        words.tell()
        words.file.write_text(words.file.read_text() + "ne\n")
        words.tell()
        words.tell()
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "the copies are small"), ("INFO", "epoch 1: half a line"),
    ]  # fmt: skip


def test_a_file_that_not_all_processes_see_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pain: one went on from a checkpoint, another began afresh, and they trained a chimera."""
    monkeypatch.setattr(parallel, "of_each", lambda value: [True, False])
    with pytest.raises(WorkError, match="not every process sees"):
        parallel.all_alike(True)


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_resume_goes_on(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config, run = mortal(tmp_path / "immortal"), tmp_path / "run"
    flags = ("--model", str(config.model), "--size", "32", "--batch-size", "4", "--device", "cpu",
             "--checkpoint-seconds", "0", "--ray", "local", "--processes", "2")  # fmt: skip
    begin = (sys.executable, "-m", "pizzaiolo", "train", str(tiny_dataset.root), "--out", str(run))
    process = subprocess.Popen(
        (*begin, *flags, "--epochs", "10000"),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (run / ".unfinished" / "last.ckpt").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and not out
    assert err.rstrip().splitlines()[-1] == "interrupted; nothing half-written is left"
    assert "Traceback" not in err
    assert (run / ".unfinished" / "last.ckpt").is_file()
    left = subprocess.run(["pgrep", "-f", str(run)], capture_output=True, text=True).stdout
    assert not left
