"""What goes where: pure JSON on stdout, notes on stderr, and pipes that close early."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Done
from pizzaiolo.core.manifest import Dataset

PIZZAIOLO = [sys.executable, "-m", "pizzaiolo"]


def run(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PIZZAIOLO, *map(str, arguments)],
        capture_output=True, text=True, timeout=240, **options,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_pipe_that_closes_early_is_no_error(
    starter: Path, photos: Path, flags: list[str]
) -> None:
    with subprocess.Popen(
        [*PIZZAIOLO, "predict", "--model", starter, *flags, photos / "pizza"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout and process.stderr
        assert "pizza" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_a_reader_that_never_reads_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as gone:
        done = subprocess.run(
            [*PIZZAIOLO, *arguments], stdout=gone, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr == ""


def test_a_full_disk_behind_stdout_is_one_message(starter: Path, pizza_file: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PIZZAIOLO, "predict", "--model", starter, pizza_file],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1 and "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_json_stays_pure_while_notes_go_to_stderr(photos: Path, tmp_path: Path) -> None:
    strange = tmp_path / "photos"
    strange.mkdir()
    for name in ("pizza", "not_pizza"):
        (strange / name).symlink_to(photos / name)
    (strange / "hidden_table.csv").write_text("path,label\n")
    done = run("prepare", strange, "--out", tmp_path / "data", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == 86 and len(done.stdout.splitlines()) == 1


TALKATIVE = """
from toy_network import Own

print("the file runs")


class Talkative(Own):
    def forward(self, x):
        print(x.shape)
        return super().forward(x)
"""


def test_what_a_person_s_module_prints_goes_to_stderr(
    command: Callable[..., Done], tiny_dataset: Dataset, pizza_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(TALKATIVE)
    own, out = f"{tmp_path / 'net.py'}:Talkative", tmp_path / "run"
    trained = command("train", tiny_dataset.root, "--out", out, "--size", 32, "--epochs", 1,
                      "--model", own, "--json")  # fmt: skip
    assert trained.code == 0 and json.loads(trained.out)["best_epoch"] == 1
    assert "the file runs" in trained.err and "torch.Size" in trained.err
    asked = command("predict", pizza_file, "--model", out, "--code", own, "--json")
    assert json.loads(asked.out)["path"] == str(pizza_file) and "torch.Size" in asked.err


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "20"}])
def test_without_a_terminal_nothing_is_coloured(
    starter: Path, pizza_file: Path, environment: dict[str, str]
) -> None:
    done = run("predict", "--model", starter, pizza_file, env={**os.environ, **environment})
    assert "\x1b" not in done.stdout + done.stderr
    assert str(pizza_file) in done.stdout and done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
@pytest.mark.parametrize("name", ["pizzà 🍕.jpg", b"\xff\xfe.jpg"])
def test_a_picture_of_any_name_is_answered(
    starter: Path, pizza_file: Path, tmp_path: Path, name: str | bytes, encoding: str
) -> None:
    path = tmp_path / os.fsdecode(name)
    try:
        path.write_bytes(pizza_file.read_bytes())
    except OSError:
        pytest.skip("this file system refuses the name")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = run("predict", "--model", starter, "--json", tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == str(path)
    done = run("predict", "--model", starter, tmp_path, env=environment)
    assert done.returncode == 0, done.stderr


def test_names_from_stdin_may_be_any_bytes(starter: Path, pizza_file: Path, tmp_path: Path) -> None:
    listed = tmp_path / os.fsdecode(b"\xe9t\xe9.jpg")
    try:
        listed.write_bytes(pizza_file.read_bytes())
    except OSError:
        pytest.skip("this file system refuses the name")
    done = subprocess.run(
        [*PIZZAIOLO, "predict", "--model", starter, "--json", "-"],
        input=os.fsencode(listed) + b"\r\n\n", capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == str(listed)
