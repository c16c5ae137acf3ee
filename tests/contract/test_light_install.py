"""The light install predicts and serves; every other command says what to install, at once."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pizzaiolo.errors import EXTRA_OF, MissingExtraError, extras_explained

ROOT = Path(__file__).parents[2]
MODULE_OF = {"scikit_learn": "sklearn"}


def run(*arguments: str | Path, cwd: Path, missing: tuple[str, ...] = tuple(EXTRA_OF)):  # type: ignore[no-untyped-def]
    """A command in a process that lacks the extras' packages."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        f"sys.argv = {['pizzaiolo', *map(str, arguments)]!r}\n"
        "from pizzaiolo.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=cwd
    )


def test_predict_and_inspect_need_no_extra(starter: Path, pizza_file: Path, tmp_path: Path) -> None:
    for command in ("predict", "inspect"):
        done = run(command, pizza_file, "--model", starter, cwd=tmp_path)
        assert done.returncode == 0 and "izza" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["demo"], "pyarrow"),
        (["prepare", "photos", "--out", "d"], "pyarrow"),
        (["models"], "torch"),
        (["train", "d", "--out", "r"], "torch"),
        (["evaluate", "m.onnx", "d", "--out", "e"], "pyarrow"),
        (["export", "m.pt", "--out", "x.onnx"], "pyarrow"),
        (["predict", "p.jpg", "--model", "m.pt"], "torch"),
        (["serve", "--model", "m.pt"], "torch"),
    ],
)
def test_the_others_name_what_to_install(
    arguments: list[str], package: str, tmp_path: Path
) -> None:
    (tmp_path / "m.pt").write_bytes(b"")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"error: this needs the package {package!r}, which is not installed\n"
        "hint: pip install 'pizzaiolo[train]'\n"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt"]


@pytest.mark.parametrize("package", ["jinja2", "sklearn", "tensorboard", "timm", "torchvision"])
def test_one_missing_package_is_named(package: str, dataset: Path, tmp_path: Path) -> None:
    for arguments in (["evaluate", "m.onnx", dataset], ["train", dataset]):
        done = run(*arguments, "--out", "o", cwd=tmp_path, missing=(package,))
        if package in done.stderr:
            break
    assert done.returncode == 2 and f"needs the package '{package}'" in done.stderr
    assert not (tmp_path / "o").exists()


def test_the_python_api_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    import pizzaiolo

    for module in ("run", "record"):
        monkeypatch.delitem(sys.modules, f"pizzaiolo.train.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match="'torch'"):
        pizzaiolo.train("data", "run")


def test_every_package_of_the_extras_is_known() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ("train", "cluster"):
        for requirement in extras["optional-dependencies"][extra]:
            name = re.split(r"[^\w-]", requirement)[0].replace("-", "_").lower()
            assert EXTRA_OF[MODULE_OF.get(name, name)] == extra


def test_another_missing_module_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError), extras_explained():
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
