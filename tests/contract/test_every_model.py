"""What holds for every kind of model: it learns, is saved, comes back and leaves PyTorch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.bundle import save_pt
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.export.onnx import write_onnx
from pizzaiolo.model.define import Definition, define
from pizzaiolo.model.deployed import load_deployed
from pizzaiolo.predict import OnnxEngine, TorchEngine, load_file
from pizzaiolo.train.loop import set_train_mode
from toy_graph import WRITERS

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = ("bread", "naan", "pizza")
CODE = """
from torch import nn

class Own(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )
        self.head = nn.Linear(8, num_classes)

    def embed(self, x):
        return self.layers(x)

    def forward(self, x):
        return self.head(self.embed(x))
"""


@dataclass(frozen=True)
class Case:
    """A model by its name, the smallest input it takes, and whether it starts from weights.

    Members of an ensemble without a `size` look at their own.
    """

    model: str
    size: int | None = 32
    pretrained: bool = False
    dropout: float = 0.0
    drop_path: float = 0.0


CASES = [
    Case("cnn"),
    Case("net.py:Own"),
    Case("tf_efficientnet_lite0", pretrained=True),
    Case("resnet18", dropout=0.3, drop_path=0.2),
    Case("mobilenetv3_small_050"),
    Case("convnext_atto"),
    Case("vit_tiny_patch16_224"),
    Case("test_byobnet+test_vit"),  # of two normalisations
    *(
        pytest.param(case, marks=pytest.mark.slow)
        for case in (
            Case("tf_efficientnet_lite1", pretrained=True),
            Case("tf_efficientnet_lite2", pretrained=True),
            Case("tf_efficientnet_lite0+tf_efficientnet_lite2", size=None, pretrained=True),
            Case("efficientnet_b0"),
            Case("vgg11"),
            Case("densenet121"),
            Case("regnety_002"),
            Case("swin_tiny_patch4_window7_224", size=64),
            Case("mixer_s32_224", size=64),
        )
    ),
]


@dataclass
class Trained:
    """A model after one step, its file, and the code that it needs."""

    definition: Definition
    before: dict[str, Tensor]
    card: Card
    file: Path
    code: str | None


def step(network: nn.Module, size: int) -> None:
    """One step of training on noise."""
    set_train_mode(network, keep_statistics=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    pictures, targets = torch.randn(4, 3, size, size), torch.tensor([0, 1, 2, 0])
    nn.functional.cross_entropy(network(pictures), targets).backward()
    optimizer.step()


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.model)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Trained:
    case, folder = request.param, tmp_path_factory.mktemp("every")
    (folder / "net.py").write_text(CODE)
    code = f"{folder / case.model}" if ".py:" in case.model else None
    torch.manual_seed(0)
    config = TrainConfig(
        model=code or case.model, size=case.size, pretrained=case.pretrained, recipe="finetune",
        dropout=case.dropout, drop_path=case.drop_path,
    )  # fmt: skip
    made = define(config, len(CLASSES), None)
    before = {name: tensor.clone() for name, tensor in made.network.state_dict().items()}
    step(made.network, made.preprocess.size)
    card = Card(Labels(CLASSES), made.preprocess, made.architecture, temperature=1.5)
    save_pt(folder / "model.pt", card, made.network.state_dict())
    return Trained(made, before, card, folder / "model.pt", code)


@pytest.fixture(scope="module")
def pixels(trained: Trained) -> np.ndarray:
    size = trained.card.preprocess.size
    return np.random.default_rng(0).integers(0, 256, (7, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def by_torch(trained: Trained) -> TorchEngine:
    return TorchEngine(load_deployed(trained.file, trained.code)[1])


@pytest.fixture(scope="module")
def by_onnx(trained: Trained) -> OnnxEngine:
    _, network = load_deployed(trained.file, trained.code)
    path = trained.file.with_suffix(".onnx")
    write_onnx(network, trained.card, path, opset=18)
    return OnnxEngine(path)


def test_one_step_changes_the_backbone_and_the_head(trained: Trained) -> None:
    after = trained.definition.network.state_dict()
    weights = [name for name, _ in trained.definition.network.named_parameters()]
    changed = [name for name in weights if not torch.equal(after[name], trained.before[name])]
    assert weights[0] in changed, "the gradient reaches the first layer"
    assert any("head" in name for name in changed)


def test_the_definition_says_what_the_network_does(trained: Trained) -> None:
    made, size = trained.definition, trained.card.preprocess.size
    with torch.inference_mode():
        logits, embedding = made.network.eval().outputs(torch.randn(2, 3, size, size))
        alone = made.network(torch.zeros(2, 3, size, size))
    assert logits.shape == alone.shape == (2, len(CLASSES)) and embedding.ndim == 2
    assert made.architecture.get("embedding", embedding.shape[1]) == embedding.shape[1]
    assert made.preprocess.size <= made.preprocess.short_side


def test_it_comes_back_bit_for_bit_without_running_code(trained: Trained) -> None:
    content = torch.load(trained.file, weights_only=True)
    state = trained.definition.network.state_dict()
    assert content["state"].keys() == state.keys()
    assert all(torch.equal(content["state"][name], state[name]) for name in state)
    card, _ = load_deployed(trained.file, trained.code)
    assert card == trained.card


def test_the_file_answers_as_the_network_did(
    trained: Trained, by_torch: TorchEngine, pixels: np.ndarray
) -> None:
    pictures = torch.from_numpy(trained.card.preprocess.normalise(pixels))
    with torch.inference_mode():
        logits, embedding = trained.definition.network.eval().outputs(pictures)
    probabilities, features = by_torch(pixels)
    np.testing.assert_allclose(probabilities, (logits / 1.5).softmax(1), atol=1e-5)
    np.testing.assert_allclose(features, embedding, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_onnx_agrees_with_pytorch(
    by_torch: TorchEngine, by_onnx: OnnxEngine, pixels: np.ndarray, batch: int
) -> None:
    expected, received = by_torch(pixels[:batch]), by_onnx(pixels[:batch])
    for ours, theirs in zip(received, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(received[0], expected[0], atol=1e-4)
    scale = max(1.0, float(np.abs(expected[1]).max()))
    np.testing.assert_allclose(received[1] / scale, expected[1] / scale, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".ts", ".pt2"])
def test_the_other_formats_agree_with_pytorch(
    trained: Trained, by_torch: TorchEngine, pixels: np.ndarray, suffix: str
) -> None:
    path = trained.file.with_suffix(suffix)
    WRITERS[suffix](load_deployed(trained.file, trained.code)[1], trained.card, path)
    found = load_file(path)
    assert found.card == trained.card
    for batch in (1, 2, 7):
        for ours, theirs in zip(found.run(pixels[:batch]), by_torch(pixels[:batch]), strict=True):
            assert ours.shape == theirs.shape and ours.dtype == np.float32
            scale = max(1.0, float(np.abs(theirs).max()))
            np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


def test_each_picture_is_answered_alone(by_onnx: OnnxEngine, pixels: np.ndarray) -> None:
    """The neighbours in a batch change nothing."""
    together = by_onnx(pixels)[0]
    single = np.concatenate([by_onnx(pixels[i : i + 1])[0] for i in range(len(pixels))])
    np.testing.assert_allclose(together, single, atol=1e-5)


def test_the_card_is_inside_the_onnx_file(trained: Trained, by_onnx: OnnxEngine) -> None:
    assert by_onnx.card(trained.file.with_suffix(".onnx")) == trained.card
