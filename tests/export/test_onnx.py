"""The ONNX file: its inputs and outputs, the card inside, and networks it can't hold."""

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.core.bundle import CARD_KEY
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import WorkError
from pizzaiolo.export.onnx import write_onnx
from pizzaiolo.model.custom import OwnRecogniser
from pizzaiolo.model.deployed import Deployed
from pizzaiolo.predict import OnnxEngine

pytestmark = pytest.mark.usefixtures("one_thread")
PREPROCESS = Preprocess(32, 36)
CARD = Card(
    Labels(("naan", "pizza"), positive="pizza"), PREPROCESS, {"name": "Größe"}, notes=("é",)
)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.dropout(x.mean((2, 3))))
        return logits


def deployed(network: nn.Module) -> Deployed:
    return Deployed(OwnRecogniser(network), PREPROCESS, 1.0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    write_onnx(deployed(Own()).train(), CARD, path, opset=18)
    return path


def test_the_graph_is_the_one_of_the_design(file: Path) -> None:
    graph = onnx.load(file).graph

    def told(value: onnx.ValueInfoProto) -> tuple[str, int, list[int | str]]:
        kind = value.type.tensor_type
        sides = [d.dim_param or d.dim_value for d in kind.shape.dim]
        return value.name, kind.elem_type, sides

    ((image, uint8, sides),) = map(told, graph.input)
    assert (image, uint8, sides[1:]) == ("image", onnx.TensorProto.UINT8, [32, 32, 3])
    assert isinstance(sides[0], str), "the batch is free"
    outputs = [told(value) for value in graph.output]
    assert [(n, t) for n, t, _ in outputs] == [
        ("probabilities", onnx.TensorProto.FLOAT), ("embedding", onnx.TensorProto.FLOAT)
    ]  # fmt: skip
    assert all(s[0] == sides[0] for _, _, s in outputs)


def test_the_file_is_whole_and_valid(file: Path) -> None:
    """Pain: weights that lie outside the file."""
    model = onnx.load(file, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not any(t.external_data for t in model.graph.initializer)
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_the_card_is_inside(file: Path) -> None:
    assert OnnxEngine(file).card(file) == CARD
    assert CARD_KEY in {p.key for p in onnx.load(file).metadata_props}


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_it_answers_any_batch_as_pytorch_does(file: Path, batch: int) -> None:
    """Pain: a model exported in training mode, where dropout is on."""
    pixels = np.random.default_rng(batch).integers(0, 256, (batch, 32, 32, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = deployed(Own()).eval()(torch.from_numpy(pixels))
    for ours, theirs in zip(OnnxEngine(file)(pixels), expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("opset", [18, 20])
def test_the_operator_set_is_the_one_asked_for(tmp_path: Path, opset: int) -> None:
    write_onnx(deployed(Own()), CARD, tmp_path / "m.onnx", opset)
    found = {o.domain: o.version for o in onnx.load(tmp_path / "m.onnx").opset_import}
    assert found[""] == opset


class Branches(Own):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits if logits.sum() > 0 else -logits


class Eigen(Own):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(torch.linalg.eigvals(x[:, :, :3, :3].mean(1)).real)
        return logits


class Raises(Own):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("the oven is cold\nvery cold")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Branches, "data-dependent"),
        (Eigen, "linalg_eig"),
        (Raises, "ValueError: the oven is cold"),
    ],
)
def test_a_network_that_onnx_cannot_hold_is_one_clear_line(
    kind: type[Own], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkError, match="can't be exported to ONNX") as caught:
        write_onnx(deployed(kind()), CARD, tmp_path / "m.onnx", opset=18)
    assert words in caught.value.message and "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message and caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_an_export_is_quiet_and_leaves_the_streams_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    streams, disabled = (sys.stdout, sys.stderr), logging.root.manager.disable
    write_onnx(deployed(Own()), CARD, tmp_path / "m.onnx", opset=18)
    assert capfd.readouterr() == ("", "")
    assert (sys.stdout, sys.stderr) == streams and logging.root.manager.disable == disabled
