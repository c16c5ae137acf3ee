"""Every format: what is written, read back, and refused in words."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pizzaiolo.config import ExportConfig, TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import (
    GateError,
    MissingExtraError,
    ModelFileError,
    UsageError,
    WorkError,
    extras_explained,
)
from pizzaiolo.export.openvino import write_openvino
from pizzaiolo.export.run import export
from pizzaiolo.predict import load_file
from pizzaiolo.train.run import train
from toy_graph import CARD, WRITERS, Small, deployed, pixels, write
from toy_network import OWN_CODE, Own

pytestmark = pytest.mark.usefixtures("one_thread")
OTHERS = [".ts", ".pt2", ".xml"]  # .onnx: test_onnx.py


@pytest.fixture(scope="module")
def model(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> tuple[Path, str]:
    """A RUN of the smallest module, and its code."""
    folder = tmp_path_factory.mktemp("formats")
    (folder / "net.py").write_text(OWN_CODE)
    train(tiny_dataset, folder / "run", TrainConfig(size=32, epochs=1), Own())
    return folder / "run", f"{folder / 'net.py'}:Own"


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".ts", "torchscript"), (".pt2", "exported_program"), (".xml", "openvino")],
)
def test_an_export_is_compared_and_kept(
    model: tuple[Path, str], tmp_path: Path, suffix: str, kind: str
) -> None:
    if suffix == ".xml":
        pytest.importorskip("openvino")
    run, code = model
    result = export(run, tmp_path / f"m{suffix}", code=code)
    assert result["format"] == kind and result["parity"]["agreement"] == 1.0
    files = sorted(tmp_path.iterdir())
    assert result["bytes"] == sum(f.stat().st_size for f in files)
    assert [f.name for f in files] == (["m.bin", "m.xml"] if suffix == ".xml" else [f"m{suffix}"])
    assert load_file(tmp_path / f"m{suffix}").card == load_file(run, code).card
    assert any("deprecated" in note for note in result["notes"]) == (suffix == ".ts")


@pytest.mark.parametrize("suffix", OTHERS)
def test_what_disagrees_is_not_kept(
    model: tuple[Path, str], tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".xml":
        pytest.importorskip("openvino")
    monkeypatch.setattr("pizzaiolo.export.parity._difference", lambda *_: 0.5)
    for old in ("m.bin", "m.xml", "m.ts", "m.pt2"):
        (tmp_path / old).write_bytes(b"earlier")
    with pytest.raises(GateError, match="the file was not kept"):
        export(model[0], tmp_path / f"m{suffix}", code=model[1])
    assert {f.read_bytes() for f in tmp_path.iterdir()} == {b"earlier"}
    assert len(list(tmp_path.iterdir())) == 4


def test_an_older_model_folder_in_the_place_of_the_weights_is_refused(
    model: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "m.bin").mkdir()
    with pytest.raises(UsageError, match=r"m\.bin, which is a folder"):
        export(model[0], tmp_path / "m.xml", code=model[1])


class Branches(Small):
    """Takes another way where a picture is bright."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits if logits.sum() > 0 else -logits


class Inverts(Small):
    """Calls what is on no list."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits + torch.linalg.eigvalsh(x[:, 0, :2, :2])


class Raises(Small):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("the oven is cold\nvery cold")


@pytest.mark.parametrize("suffix", OTHERS)
@pytest.mark.parametrize(
    ("kind", "words"),
    [(Branches, "data-dependent"), (Inverts, "eig"), (Raises, "ValueError: the oven is cold")],
)
def test_a_network_that_a_format_cannot_hold_is_one_clear_line(
    kind: type[Small], words: str, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkError, match="can't be exported to") as caught:
        write(tmp_path / f"m{suffix}", kind())
    assert words in caught.value.message and "\n" not in caught.value.message
    assert caught.value.hint and list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", OTHERS)
def test_an_export_is_quiet(suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / f"m{suffix}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", OTHERS)
def test_the_network_is_exported_as_it_answers(suffix: str, tmp_path: Path) -> None:
    """Pain: a model exported in training mode, where dropout is on."""
    network = deployed()
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels(64)))
    WRITERS[suffix](network.train(), CARD, tmp_path / f"m{suffix}")
    found = load_file(tmp_path / f"m{suffix}").run(pixels(64))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_same_network_is_the_same_file(tmp_path: Path) -> None:
    once, again = (write(tmp_path / f"{name}.pt2").read_bytes() for name in "ab")
    assert once == again


def test_without_openvino_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError) as caught, extras_explained():
        write_openvino(deployed(), CARD, tmp_path / "m.xml", 18)
    assert caught.value.hint == "pip install 'pizzaiolo[openvino]'"


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [("m.ts", ExportConfig(int8=True), "int8 is for .onnx"), ("m.tflite", ExportConfig(), "ends")],
)
def test_a_name_that_does_not_go_is_refused(
    model: tuple[Path, str], tmp_path: Path, name: str, config: ExportConfig, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        export(model[0], tmp_path / name, config)


def test_an_exported_file_is_no_source(tmp_path: Path) -> None:
    for suffix in (".ts", ".pt2"):
        with pytest.raises(ModelFileError, match="is exported already"):
            export(write(tmp_path / f"m{suffix}"), tmp_path / "other.onnx")


def test_commands_show_notes(
    model: tuple[Path, str], tmp_path: Path, command: Callable[..., Any]
) -> None:
    done = command("export", model[0], "--code", model[1], "--out", tmp_path / "m.ts")
    assert done.code == 0 and "Note     PyTorch has deprecated TorchScript" in done.out
