"""Interrupted runs go on, a second run decodes nothing, a changed file is seen."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare import inspect, run
from pizzaiolo.prepare.run import prepare

pytestmark = pytest.mark.usefixtures("own_cache")
Draw = Callable[..., Image.Image]


@pytest.fixture
def source(tmp_path: Path, make_folder: Callable[..., Path]) -> Path:
    return make_folder(tmp_path / "S", count=12)


@pytest.fixture
def config(alone: PrepareConfig) -> PrepareConfig:
    return replace(alone, features=False)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the pictures that are decoded."""
    calls: list[int] = []
    original = inspect.read_picture

    def count(*arguments: Any) -> Any:
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(inspect, "read_picture", count)
    yield calls


def whole(folder: Path) -> dict[str, bytes]:
    """The pictures of a data set and their bytes."""
    files = (p for p in (folder / "images").rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.mark.parametrize("out", ["D", "E"])
def test_a_second_run_decodes_nothing(
    source: Path, tmp_path: Path, config: PrepareConfig, decoded: list[int], out: str
) -> None:
    prepare(source, tmp_path / "D", config)
    assert len(decoded) == 24
    first = whole(tmp_path / "D")
    prepare(source, tmp_path / out, config)
    assert len(decoded) == 24
    assert whole(tmp_path / out) == first and len(first) == 24


def test_thresholds_and_the_split_need_no_decoding(
    source: Path, tmp_path: Path, config: PrepareConfig, decoded: list[int]
) -> None:
    prepare(source, tmp_path / "D", config)
    changed = replace(config, seed=1, blank_range=1.0, blur_below=0.5, drop_near=True)
    prepare(source, tmp_path / "D", changed)
    assert len(decoded) == 24


def test_a_moved_source_is_known_and_a_changed_file_is_seen(
    source: Path, tmp_path: Path, config: PrepareConfig, decoded: list[int], draw: Draw
) -> None:
    before = prepare(source, tmp_path / "D", config)
    source.rename(tmp_path / "moved")
    draw(77).save(tmp_path / "moved/a/3.png")
    after = prepare(tmp_path / "moved", tmp_path / "D", config)
    assert len(decoded) == 25
    assert before["kept"] == after["kept"] == 24


def test_an_edited_copy_is_made_again(
    source: Path, tmp_path: Path, config: PrepareConfig, decoded: list[int]
) -> None:
    prepare(source, tmp_path / "D", config)
    first = whole(tmp_path / "D")
    name = next(iter(first))
    (tmp_path / "D" / name).write_bytes(b"edited by hand")
    prepare(source, tmp_path / "D", config)
    assert len(decoded) == 25 and whole(tmp_path / "D") == first


def test_an_interrupted_run_goes_on(
    source: Path, tmp_path: Path, config: PrepareConfig, decoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "decide", interrupt)
        prepare(source, tmp_path / "D", config)
    assert len(decoded) == 24 and not (tmp_path / "D/dataset.json").exists()
    prepare(source, tmp_path / "D", config)
    assert len(decoded) == 24 and not (tmp_path / "D/.unfinished").exists()
    prepare(source, tmp_path / "E", config)
    assert whole(tmp_path / "D") == whole(tmp_path / "E")


KILLED = """
import os, sys
from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare import run
run.decide = lambda *_, **__: os._exit(9)
run.prepare(sys.argv[1], sys.argv[2], PrepareConfig(workers=1, features=False))
"""


def test_a_killed_run_goes_on(
    source: Path, tmp_path: Path, config: PrepareConfig, decoded: list[int]
) -> None:
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "D")]
    assert subprocess.run(command, check=False).returncode == 9
    prepare(source, tmp_path / "D", config)
    assert decoded == [] and len(whole(tmp_path / "D")) == 24


def test_an_error_of_the_data_leaves_nothing(
    source: Path, tmp_path: Path, config: PrepareConfig
) -> None:
    with pytest.raises(Exception, match="expected at least 13"):
        prepare(source, tmp_path / "D", replace(config, min_per_class=13))
    assert not (tmp_path / "D").exists()
