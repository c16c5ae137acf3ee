"""What a model costs where it is used."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.labels import Labels
from pizzaiolo.export.run import export
from pizzaiolo.improve import cost
from pizzaiolo.improve.cost import Cost, Costs
from pizzaiolo.model.define import Definition

LABELS = Labels(("not_pizza", "pizza"), positive="pizza")
CNN = TrainConfig(recipe="scratch", model="cnn", size=32)
LITE0, LITE2 = "tf_efficientnet_lite0", "tf_efficientnet_lite2"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the architectures that are measured, by made-up figures: it takes seconds each."""
    names: list[str] = []

    def measure(definition: Definition, labels: Labels) -> Cost:
        name = definition.architecture["name"]
        names.append(name)
        return Cost(10.0 * (1 + name.count("lite2")), 20.0)

    monkeypatch.setattr(cost, "measured", measure)
    return names


def test_the_cost_is_that_of_the_exported_run(run_folder: Path, tmp_path: Path) -> None:
    """`run_folder` is the cnn at 32 pixels: other weights, the same file."""
    found = Costs(tmp_path / "costs.json", LABELS).measure_exact(CNN)
    file = tmp_path / "model.onnx"
    size = export(run_folder, file)["bytes"] / 1e6
    assert found.megabytes == pytest.approx(size, rel=0.02)  # the card says more there
    assert 0 < found.latency_ms < 1000 and not found.estimated


def test_an_architecture_is_measured_once_however_it_is_trained(
    measured: list[str], tmp_path: Path
) -> None:
    costs = Costs(tmp_path / "costs.json", LABELS)
    first = costs.estimate(CNN)
    assert costs.measure_exact(replace(CNN, lr=0.1, epochs=3, loss="focal")) == first
    assert Costs(tmp_path / "costs.json", LABELS).estimate(CNN) == first
    assert measured == ["cnn"]
    costs.estimate(replace(CNN, size=64))
    assert measured == ["cnn", "cnn"]


def test_what_the_head_keeps_is_another_architecture(measured: list[str], tmp_path: Path) -> None:
    costs = Costs(tmp_path / "costs.json", LABELS)
    config = TrainConfig(recipe="head", model=LITE0, size=32)
    for knowledge in (True, False, True):
        costs.estimate(replace(config, knowledge=knowledge))
    assert len(measured) == 2


def test_a_join_is_estimated_by_its_members_until_it_is_measured(
    measured: list[str], tmp_path: Path
) -> None:
    costs = Costs(tmp_path / "costs.json", LABELS)
    join = TrainConfig(recipe="head", model=f"{LITE0}+{LITE2}", size=32)
    assert costs.estimate(join) == Cost(30.0, 40.0, estimated=True)
    assert measured == [LITE0, LITE2]
    exact = costs.measure_exact(join)
    assert exact == Cost(20.0, 20.0) and costs.estimate(join) == exact
    assert len(measured) == 3


def test_a_damaged_file_is_measured_anew(measured: list[str], tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    for text in ("", "[]", '{"a": {"latency_ms": 1}}'):
        file.write_text(text)
        Costs(file, LABELS).estimate(CNN)
    assert len(measured) == 3 and len(json.loads(file.read_text())) == 1
