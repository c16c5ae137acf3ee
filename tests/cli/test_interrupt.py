"""Ctrl-C at any moment: exit code 130, one line, and nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Sends SIGINT to itself when the n-th audit event of this kind happens, then runs the command.
INTERRUPTED = """
import os, signal, sys
kind, left = sys.argv[1], int(sys.argv[2])
def hook(event, arguments):
    global left
    if event == kind:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
from pizzaiolo.cli import main
sys.argv = ["pizzaiolo", *sys.argv[3:]]
sys.addaudithook(hook)
main()
"""


def interrupted(kind: str, count: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, kind, str(count), *map(str, arguments)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def assert_clean_stop(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


def left(folder: Path) -> list[str]:
    """Files that are in a folder, however deep."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def only_copies(folder: Path) -> bool:
    """Whether nothing is left but the copies with which the next run goes on."""
    return all(".unfinished/images/.staging/" in name for name in left(folder))


@pytest.mark.parametrize("rename", [1, 40, 80])
def test_prepare(photos: Path, tmp_path: Path, rename: int) -> None:
    out = tmp_path / "data"
    arguments = ["prepare", photos, "--out", out, "--workers", "1", "--no-features"]
    assert_clean_stop(interrupted("os.rename", rename, *arguments))
    assert only_copies(tmp_path)


def test_train(dataset: Path, tmp_path: Path) -> None:
    arguments = ["train", dataset, "--out", tmp_path / "run", "--model", "cnn"]
    assert_clean_stop(interrupted("os.rename", 2, *arguments, "--size", "32", "--epochs", "1"))
    assert not any(name.endswith((".tmp", "run.json")) for name in left(tmp_path))


def test_export(
    command: Callable[..., Any], run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    done = command("export", run_folder, "--out", tmp_path / "m.onnx")
    assert done.code == 130 and done.out == "" and "interrupted" in done.err
    assert left(tmp_path) == []


@pytest.mark.parametrize("opened", [1, 60, 200])
def test_predict(starter: Path, photos: Path, opened: int) -> None:
    done = interrupted("open", opened, "predict", "--model", starter, photos)
    assert done.returncode == 130 and "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_a_terminal_s_ctrl_c_reaches_workers_too(photos: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pizzaiolo", "prepare", photos, "--out", tmp_path / "data"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        staging = tmp_path / "data"
        while process.poll() is None and not left(staging):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        done = subprocess.CompletedProcess([], process.wait(60), *process.communicate())
    assert_clean_stop(done)
    assert only_copies(tmp_path)
