"""What `--ray` can't be asked together with, and what it says without Ray."""

import sys
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.core.manifest import Dataset


@pytest.mark.parametrize(
    ("step", "flags", "says"),
    [
        ("train", ("--processes", "2"), "--processes is for --ray"),
        (
            "train",
            ("--ray", "local", "--show-batch", "batch.png"),
            "--show-batch draws on this machine",
        ),
        ("train", ("--ray", "nowhere"), "'nowhere' is no address"),
        (
            "improve",
            ("--ray", "local", "--workers", "2"),
            "--workers 2 is for searching without --ray",
        ),
        ("improve", ("--ray", "nowhere"), "'nowhere' is no address"),
    ],
)
def test_flags_that_make_no_sense_together(
    step: str,
    flags: tuple[str, ...],
    says: str,
    tiny_dataset: Dataset,
    tmp_path: Path,
    command: Any,
) -> None:
    done = command(step, tiny_dataset.root, "--out", tmp_path / "out", *flags)
    assert done.code == 2 and says in done.err and "hint:" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["train", "improve"])
def test_without_ray_the_flag_says_what_to_install(
    step: str,
    tiny_dataset: Dataset,
    tmp_path: Path,
    command: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = command(step, tiny_dataset.root, "--out", tmp_path / "out", "--ray", "local")
    assert done.code == 2 and "pip install 'pizzaiolo[cluster]'" in done.err
