"""int8: ranges from training pictures, the gate on validation pictures, layers left in float32."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pizzaiolo.config import ExportConfig, TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import GateError, InputError, UsageError
from pizzaiolo.export import int8
from pizzaiolo.export.onnx import onnx_graph
from pizzaiolo.export.quantise import SHARES, Quantiser, choose
from pizzaiolo.export.run import export
from pizzaiolo.predict import OnnxEngine, load_file
from pizzaiolo.train.run import train
from toy_graph import CARD, deployed, pixels

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def quantiser(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Quantiser:
    """Two convolutions and their ranges."""
    folder = tmp_path_factory.mktemp("int8")
    (folder / "plain.onnx").write_bytes(onnx_graph(deployed(), CARD, 18))
    return Quantiser(folder / "plain.onnx", pixels(16), folder)


def weights_in_int8(path: Path) -> int:
    model = onnx.load(path)
    return sum(
        t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1 for t in model.graph.initializer
    )


def test_the_layers_before_the_embedding_are_known(quantiser: Quantiser) -> None:
    assert len(quantiser.layers) == 2, "the head's few sums are left as they are"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_chosen_layers_compute_in_int8(quantiser: Quantiser, tmp_path: Path, count: int) -> None:
    quantiser.write(tmp_path / "m.onnx", quantiser.layers[:count], CARD.to_json())
    assert weights_in_int8(tmp_path / "m.onnx") == count
    model = load_file(tmp_path / "m.onnx")
    assert model.card == CARD
    for batch in (1, 2, 7):
        found = model.run(pixels(batch))
        expected = [part.detach().numpy() for part in deployed()(_tensor(pixels(batch)))]
        assert [part.dtype for part in found] == [np.float32, np.float32]
        np.testing.assert_allclose(found[0], expected[0], atol=0.02)


def _tensor(values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(values)


def test_layers_are_ordered_by_their_harm(
    quantiser: Quantiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = quantiser.layers
    written: list[list[str]] = []
    monkeypatch.setattr(Quantiser, "write", lambda self, path, layers: written.append(list(layers)))
    harm = iter([0.0, 1.0, 5.0])  # of none, the first, the second

    def engine(path: Path) -> Callable[..., tuple[None, np.ndarray]]:
        return lambda pixels: (None, np.full((len(pixels), 4), next(harm), np.float32))

    monkeypatch.setattr("pizzaiolo.export.quantise.OnnxEngine", engine)
    assert quantiser.most_harmed() == [second, first]
    assert written == [[first], [second]], "each alone"


class Layers:
    """A quantiser of made-up layers; the accuracy falls with each harmed one in int8."""

    layers = [f"layer{i}" for i in range(32)]

    def __init__(self, harm: dict[str, float]) -> None:
        self.harm, self.kept, self.measured = harm, list(self.layers), 0

    def write(self, path: Path, layers: list[str], card: str | None = None) -> None:
        self.kept = list(layers)

    def most_harmed(self) -> list[str]:
        self.measured += 1
        return sorted(self.layers, key=lambda name: -self.harm.get(name, 0.0))

    def judge(self, path: Path) -> float:
        return 0.95 - sum(self.harm.get(name, 0.0) for name in self.kept)


@pytest.mark.parametrize(("harmed", "left_out"), [(0, 0), (1, 2), (2, 2), (3, 4), (8, 8), (15, 16)])
def test_layers_that_hurt_stay_in_float32(harmed: int, left_out: int, tmp_path: Path) -> None:
    layers = Layers({f"layer{2 * i}": 0.01 for i in range(harmed)})
    chosen = choose(layers, tmp_path / "m", layers.judge, 0.945)  # type: ignore[arg-type]
    assert len(chosen.left_out) == left_out and chosen.layers == 32 - left_out
    assert chosen.accuracy == pytest.approx(0.95) and layers.measured == (harmed > 0)
    assert set(layers.harm) <= set(chosen.left_out) and len(layers.kept) == chosen.layers


def test_too_much_harm_is_refused_with_the_figures(tmp_path: Path) -> None:
    layers = Layers(dict.fromkeys(Layers.layers, 0.01))
    with pytest.raises(
        GateError, match=r"accuracy 79\.0% at best.*half of the 32.*94\.5%"
    ) as caught:
        choose(layers, tmp_path / "m", layers.judge, 0.945)  # type: ignore[arg-type]
    assert "--max-drop" in (caught.value.hint or "")
    assert max(SHARES) == 0.5


@pytest.fixture(scope="module")
def run(
    make_dataset: Callable[..., Dataset], tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Path:
    """A RUN of the smallest network that has convolutions."""
    folder = tmp_path_factory.mktemp("int8run")
    data = make_dataset(folder / "data")
    train(data, folder / "run", TrainConfig(model="cnn", size=32, epochs=1))
    return folder / "run"


@pytest.fixture(scope="module")
def result(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    config = ExportConfig(max_drop=100.0, calibration=8)
    return export(run, tmp_path_factory.mktemp("int8file") / "m.int8.onnx", config)


def test_an_int8_file_is_judged_and_kept(run: Path, result: dict[str, Any]) -> None:
    file = Path(result["file"])
    assert list(result) == [
        "file", "format", "bytes", "parity", "gate", "layers", "latency", "notes"
    ]  # fmt: skip
    assert result["format"] == "onnx-int8" and list(file.parent.iterdir()) == [file]
    assert list(result["gate"]) == [
        "accuracy", "fp32_accuracy", "pictures", "drop", "max_drop", "passed"
    ]  # fmt: skip
    assert result["gate"]["pictures"] == 8 and result["layers"]["fp32"] == 0
    assert weights_in_int8(file) == result["layers"]["int8"] > 0
    card = load_file(file).card
    assert card.with_(notes=()) == load_file(run).card.with_(notes=())
    assert card.notes[-1].startswith("int8: accuracy")
    slower = result["latency"]["int8_ms"] >= result["latency"]["fp32_ms"]
    assert result["notes"] == (
        ["int8 is no faster than float32 on this CPU; the file is smaller"] * slower
    )


def test_the_gate_looks_at_validation_and_the_ranges_at_training_pictures(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    real = int8._load

    def load(dataset: Dataset, split: str, count: int, card: Any) -> Any:
        asked.append((split, count))
        return real(dataset, split, count, card)

    monkeypatch.setattr(int8, "_load", load)
    monkeypatch.setattr(int8, "latency", lambda *_: 1.0)
    export(run, tmp_path / "m.onnx", ExportConfig(int8=True, max_drop=100.0, calibration=8))
    assert asked == [("train", 8), ("validation", int8.MOST_JUDGED)]


def test_a_file_that_loses_too_much_is_not_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.9, 0.5, 0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(int8.Judged, "accuracy", lambda *_: next(figures))
    with pytest.raises(GateError, match=r"accuracy 50\.0% at best.*at least 89\.5% is allowed"):
        export(run, tmp_path / "m.int8.onnx", ExportConfig(calibration=8))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_pictures_is_no_data_set(
    run: Path, tmp_path: Path, tiny_dataset: Dataset
) -> None:
    folder = tiny_dataset.root / "images" / "test"
    with pytest.raises(InputError, match="int8 needs a DATASET"):
        export(run, tmp_path / "m.int8.onnx", sample=folder)


def test_a_data_set_of_other_classes_is_refused(
    run: Path, tmp_path: Path, make_dataset: Callable[..., Dataset]
) -> None:
    other = make_dataset(tmp_path / "data", classes=("a", "b"))
    with pytest.raises(InputError, match="has the classes a, b, the model not_pizza, pizza"):
        export(run, tmp_path / "m.int8.onnx", sample=other.root)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_data_set_without_a_split_is_refused(
    run: Path, tmp_path: Path, make_dataset: Callable[..., Dataset], split: str
) -> None:
    data = make_dataset(tmp_path / "data", **{split: 0})
    with pytest.raises(InputError, match=r"no (validation|train) pictures|no picture to check"):
        export(run, tmp_path / "m.int8.onnx", sample=data.root)


def test_int8_is_for_onnx(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"int8 is for \.onnx"):
        export(run, tmp_path / "m.xml", replace(ExportConfig(), int8=True))


def test_the_command_tells_the_figures(
    run: Path, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "latency", lambda *_: 1.0)
    done = command("export", run, "--out", tmp_path / "m.onnx", "--int8", "--max-drop", 100)
    assert done.code == 0, done.err
    for word in ("Accuracy", "in float32; 100 points may be lost", "Layers", "Speed"):
        assert word in done.out


def test_an_engine_reads_it_like_any_onnx(result: dict[str, Any]) -> None:
    probabilities, _ = OnnxEngine(Path(result["file"]))(pixels(3))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
