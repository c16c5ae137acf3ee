"""What a command may load, seen in `sys.modules` of a child process."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pizzaiolo.core.manifest import Dataset
from pizzaiolo.step import loading

HEAVY = {"numpy", "torch", "onnxruntime", "PIL", "timm", "torchvision", "sklearn", "pyarrow"}
TRAINING = {"torch", "torchvision", "timm", "sklearn", "pyarrow", "onnx"}


def loaded(code: str, **environment: str) -> set[str]:
    """The top-level modules of a child process after `code`."""
    tail = (
        "\nimport sys, json\n"
        "print('\\n' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + tail],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def run(*arguments: str) -> str:
    return (
        f"import sys; sys.argv = {['pizzaiolo', *arguments]!r}\n"
        "from pizzaiolo.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code, stop.code\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded(run(*arguments)) & HEAVY


def test_import_of_the_package_loads_nothing_heavy() -> None:
    assert not loaded("import pizzaiolo") & HEAVY


def test_predict_on_onnx_loads_no_torch(starter: Path, pizza_file: Path) -> None:
    assert not loaded(run("predict", str(pizza_file), "--model", str(starter))) & TRAINING


def test_serve_on_onnx_loads_no_torch(starter: Path) -> None:
    code = (
        "from pizzaiolo.starter import load\nfrom pizzaiolo.serve.app import create_app\n"
        f"create_app(load({str(starter)!r}))"
    )
    assert not loaded(code) & TRAINING


def test_the_default_training_loads_no_pandas_and_no_accelerate(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Pain: reading the manifest loaded pandas, a twentieth of a training's time."""
    arguments = ("train", str(tiny_dataset.root), "--out", str(tmp_path / "run"))
    assert not loaded(run(*arguments)) & {"pandas", "accelerate", "sklearn"}


def test_loading_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    with loading():
        assert not gc.isenabled()
        with loading():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
