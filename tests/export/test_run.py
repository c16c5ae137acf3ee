"""An export as a whole: kept when it agrees, gone when it does not."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pizzaiolo.config import ExportConfig, TrainConfig
from pizzaiolo.core.bundle import load_pt
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import (
    DatasetError,
    GateError,
    InputError,
    ModelFileError,
    PizzaioloError,
    UsageError,
)
from pizzaiolo.export import parity
from pizzaiolo.export.run import export
from pizzaiolo.predict import load_file
from pizzaiolo.train.run import train
from toy_network import OWN_CODE, Own

pytestmark = pytest.mark.usefixtures("one_thread")


OWN = TrainConfig(size=32, epochs=1)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("code") / "net.py"
    file.write_text(OWN_CODE)
    return f"{file}:Own"


@pytest.fixture(scope="module")
def model(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Path:
    """A RUN of the smallest module, which is quick to export."""
    return Path(train(tiny_dataset, tmp_path_factory.mktemp("model") / "run", OWN, Own())["run"])


@pytest.fixture(scope="module")
def result(model: Path, code: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return export(model, tmp_path_factory.mktemp("exported") / "m.onnx", code=code)


def refused(
    kind: type[PizzaioloError], words: str, target: Path, *arguments: Any, **options: Any
) -> PizzaioloError:
    """The error of an export that leaves nothing new beside its target."""
    before = set(target.parent.iterdir())
    with pytest.raises(kind, match=words) as caught:
        export(*arguments, target, **options)
    assert set(target.parent.iterdir()) == before
    return caught.value


def test_the_result_has_the_documented_keys(result: dict[str, Any], tiny_dataset: Dataset) -> None:
    assert list(result) == ["file", "format", "bytes", "parity", "gate", "notes"]
    assert list(result["parity"]) == ["pictures", "max_abs_difference", "agreement"]
    assert result["format"] == "onnx" and result["bytes"] == Path(result["file"]).stat().st_size
    assert result["gate"] == {"tolerance": 1e-4, "passed": True}
    assert result["parity"]["pictures"] == len(tiny_dataset.split("validation"))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_file_alone_says_what_the_run_says(
    result: dict[str, Any], model: Path, code: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Pain: class names lost at export. Through the whole pipeline, from bytes to verdict."""
    alone = shutil.copy(result["file"], tmp_path)
    files = [tiny_dataset.picture(row) for row in tiny_dataset.split("test")]
    expected, found = load_file(model, code), load_file(alone)
    assert found.card == expected.card
    for a, b in zip(expected.predict_many(files), found.predict_many(files), strict=True):
        assert (a.label, a.verdict) == (b.label, b.verdict)
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)


def test_nothing_but_the_file_is_left(result: dict[str, Any]) -> None:
    file = Path(result["file"])
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_file_that_disagrees_is_not_kept(
    model: Path, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "_difference", lambda *_: 0.5)
    error = refused(GateError, "differs from PyTorch", tmp_path / "m.onnx", model, code=code)
    assert error.exit_code == 1 and "--tolerance" in (error.hint or "")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_an_earlier_file_stays_whole_when_the_next_is_cut_off(
    result: dict[str, Any], model: Path, code: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException],
) -> None:  # fmt: skip
    target = Path(shutil.copy(result["file"], tmp_path))
    before = target.read_bytes()

    def cut_off(*_: object) -> None:
        raise kind

    monkeypatch.setattr("pizzaiolo.export.run.compare", cut_off)
    with pytest.raises((kind, PizzaioloError)):
        export(model, target, code=code)
    assert target.read_bytes() == before and list(tmp_path.iterdir()) == [target]


def test_a_module_that_exports_as_something_else_is_caught(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Pain: an exporter that quietly writes another network."""
    other = "self.layer(x.amax((2, 3))) if torch.compiler.is_exporting() else self.layer"
    (tmp_path / "net.py").write_text(
        "import torch\n" + OWN_CODE.replace("return self.layer", f"return {other}")
    )
    code = f"{tmp_path / 'net.py'}:Own"
    train(tiny_dataset, tmp_path / "run", replace(OWN, model=code))
    refused(GateError, "differs from PyTorch", tmp_path / "m.onnx", tmp_path / "run", code=code)


@pytest.mark.parametrize("name", ["m.tflite", "m", "m.pt", "m.onnx.bak", ".onnx"])
def test_another_suffix_is_refused(model: Path, tmp_path: Path, name: str) -> None:
    error = refused(UsageError, "which ends with", tmp_path / name, model)
    assert ".onnx" in (error.hint or "")


def test_a_folder_in_the_place_of_the_file_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    refused(UsageError, "which is a folder", tmp_path / "m.onnx", model)


def test_an_exported_model_is_refused(result: dict[str, Any], tmp_path: Path) -> None:
    refused(ModelFileError, "is exported already", tmp_path / "m.onnx", result["file"])


def test_a_module_without_its_code_is_refused(model: Path, tmp_path: Path) -> None:
    refused(ModelFileError, "its code is needed", tmp_path / "m.onnx", model)


@pytest.mark.parametrize("kind", ["folder", "dataset", "file"])
def test_the_pictures_of_the_check_can_be_named(
    model: Path, code: str, tiny_dataset: Dataset, tmp_path: Path, kind: str
) -> None:
    one = tiny_dataset.picture(tiny_dataset.split("test")[0])
    sample = {"folder": one.parent, "dataset": tiny_dataset.root, "file": one}[kind]
    found = export(model, tmp_path / "m.onnx", sample=sample, code=code)
    assert found["parity"]["pictures"] == {"folder": 6, "dataset": 8, "file": 1}[kind]


def test_the_pictures_of_the_check_come_from_every_class(
    model: Path, code: str, make_dataset: Callable[..., Dataset], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = make_dataset(tmp_path / "data", train=1, validation=6)
    asked: list[Path] = []
    monkeypatch.setattr(
        "pizzaiolo.export.run.load_pixels",
        lambda model, files: asked.extend(files) or parity.load_pixels(model, files),
    )
    config = ExportConfig(pictures=7)
    export(model, tmp_path / "m.onnx", config, sample=made.root, code=code)
    assert len(asked) == len(set(asked)) == 7
    by_class = [sum(f.parent.name == name for f in asked) for name in made.labels.names]
    assert min(by_class) == 3


def test_a_bad_picture_in_the_sample_stops_nothing(
    model: Path, code: str, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(tiny_dataset.root / "images" / "test", folder)
    (folder / "bad.png").write_text("no picture")
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        found = export(model, tmp_path / "m.onnx", sample=folder, code=code)
    assert found["parity"]["pictures"] == 12 and "bad.png" in caplog.text


@pytest.mark.parametrize("kind", ["gone", "empty", "no pictures"])
def test_a_sample_without_pictures_is_refused(
    model: Path, code: str, tmp_path: Path, kind: str
) -> None:
    sample = tmp_path / "sample"
    if kind != "gone":
        sample.mkdir()
    if kind == "no pictures":
        (sample / "a.jpg").write_text("text")
    refused(InputError, "picture", tmp_path / "m.onnx", model, sample=sample, code=code)


def test_a_model_without_its_run_asks_for_pictures(model: Path, code: str, tmp_path: Path) -> None:
    (tmp_path / "lone").mkdir()
    alone = shutil.copy(model / "model.pt", tmp_path / "lone")
    error = refused(InputError, r"without the run\.json", tmp_path / "m.onnx", alone, code=code)
    assert "--sample" in (error.hint or "")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dataset": 3}', "\x00"])
def test_a_damaged_run_asks_for_pictures(model: Path, code: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(model / "model.pt", tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(text)
    error = refused(InputError, "run", tmp_path / "m.onnx", tmp_path / "run", code=code)
    assert "--sample" in (error.hint or "")


@pytest.mark.parametrize("what", ["data set", "pictures"])
def test_training_data_that_are_gone_ask_for_pictures(
    make_dataset: Callable[..., Dataset], code: str, tmp_path: Path, what: str
) -> None:
    data = make_dataset(tmp_path / "data")
    train(data, tmp_path / "run", OWN, Own())
    shutil.rmtree(data.root if what == "data set" else data.root / "images" / "validation")
    kind = DatasetError if what == "data set" else InputError
    words = "are gone" if what == "data set" else "no picture to check"
    error = refused(kind, words, tmp_path / "m.onnx", tmp_path / "run", code=code)
    assert "--sample" in (error.hint or "")


def test_a_reject_band_and_a_temperature_survive(
    model: Path, code: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    from pizzaiolo.core.bundle import save_pt

    card, state = load_pt(model / "model.pt")
    labels = replace(card.labels, threshold=0.7, reject_band=(0.3, 0.7))
    save_pt(tmp_path / "t.pt", card.with_(labels=labels, temperature=3.0), state)
    export(tmp_path / "t.pt", tmp_path / "t.onnx", sample=tiny_dataset.root, code=code)
    found = load_file(tmp_path / "t.onnx")
    assert found.card.labels == labels and found.card.temperature == 3.0
    plain, warm = load_file(model, code), load_file(tmp_path / "t.pt", code)
    picture = tiny_dataset.picture(tiny_dataset.split("test")[0])
    pixels = np.stack([card.preprocess.load(picture)])
    assert found.run(pixels)[0] == pytest.approx(warm.run(pixels)[0], abs=1e-5)
    assert abs(warm.run(pixels)[0] - 0.5).max() < abs(plain.run(pixels)[0] - 0.5).max()
