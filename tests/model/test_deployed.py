"""The graph that leaves the package, and its way back from a `.pt` file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pizzaiolo.core.bundle import save_pt
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError
from pizzaiolo.model.custom import OwnRecogniser
from pizzaiolo.model.deployed import Deployed, load_deployed
from pizzaiolo.model.network import Normalise, Recogniser

pytestmark = pytest.mark.usefixtures("one_thread")
PREPROCESS = Preprocess(32, 36, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
CODE = """
from torch import nn
class Own(nn.Module):
    def __init__(self, num_classes, width=3):
        super().__init__()
        self.layer = nn.Linear(width, num_classes)
    def forward(self, x):
        return self.layer(x.mean((2, 3)))
class Wider(Own):
    def __init__(self, num_classes):
        super().__init__(num_classes, 4)
"""


def pixels(count: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8)


def network(classes: int = 2) -> Recogniser:
    torch.manual_seed(1)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return Recogniser(pool, nn.Linear(12, classes))


def test_the_graph_normalises_as_the_image_path_does() -> None:
    """Pain: a model that is served with the wrong normalisation."""
    expected = PREPROCESS.normalise(pixels().numpy())
    np.testing.assert_allclose(Normalise(PREPROCESS)(pixels()), expected, atol=1e-5)


def test_it_gives_probabilities_and_the_embedding() -> None:
    probabilities, embedding = Deployed(network(4), PREPROCESS, 1.0).eval()(pixels())
    assert probabilities.dtype == embedding.dtype == torch.float32
    assert probabilities.shape == (3, 4) and embedding.shape == (3, 12)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))


def test_the_temperature_is_inside() -> None:
    cold, hot = (Deployed(network(), PREPROCESS, t).eval()(pixels())[0] for t in (0.01, 100.0))
    assert (cold.max(1).values > hot.max(1).values).all()
    assert torch.equal(cold.argmax(1), hot.argmax(1))
    torch.testing.assert_close(hot, torch.full((3, 2), 0.5), atol=0.05, rtol=0)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path / "net.py"


@pytest.fixture
def saved(tmp_path: Path, own_file: Path) -> Path:
    from pizzaiolo.model.custom import create_custom

    card = Card(Labels(("a", "b")), PREPROCESS, {"kind": "custom", "name": "Own"}, temperature=2.0)
    network = OwnRecogniser(create_custom(f"{own_file}:Own", 2))
    save_pt(tmp_path / "model.pt", card, network.state_dict())
    return tmp_path / "model.pt"


def test_a_persons_module_comes_back_with_its_code(saved: Path, own_file: Path) -> None:
    card, deployed = load_deployed(saved, f"{own_file}:Own")
    state = torch.load(saved, weights_only=True)["state"]
    assert torch.equal(deployed.network.backbone.layer.weight, state["backbone.layer.weight"])
    assert deployed.temperature == card.temperature == 2.0 and not deployed.training


def test_without_its_code_it_stays_closed(saved: Path) -> None:
    with pytest.raises(ModelFileError, match="its code is needed"):
        load_deployed(saved)


def test_other_code_is_told_from_the_right_one(saved: Path, own_file: Path) -> None:
    with pytest.raises(ModelFileError, match="does not fit its own card") as caught:
        load_deployed(saved, f"{own_file}:Wider")
    assert f"{own_file}:Wider" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "state", [{}, {"backbone.layer.weight": torch.zeros(9)}, {"more": torch.zeros(1)}, {"a": 3}]
)
def test_tensors_of_another_network_are_refused(
    tmp_path: Path, own_file: Path, state: dict[str, Any]
) -> None:
    card = Card(Labels(("a", "b")), PREPROCESS, {"kind": "custom", "name": "Own"})
    save_pt(tmp_path / "other.pt", card, state)
    with pytest.raises(ModelFileError, match="does not fit its own card"):
        load_deployed(tmp_path / "other.pt", f"{own_file}:Own")


def test_scales_and_offsets_change_the_logarithms_of_the_probabilities() -> None:
    own, scales, offsets = network(), [0.5, 2.0], [0.3, -1.0]
    plain, _ = Deployed(own, PREPROCESS, 1.5).eval()(pixels())
    changed, _ = Deployed(own, PREPROCESS, 1.5, scales, offsets).eval()(pixels())
    expected = (torch.tensor(scales) * plain.log() + torch.tensor(offsets)).softmax(1)
    torch.testing.assert_close(changed, expected)
    assert Deployed(own, PREPROCESS, 1.5, scales, offsets).state_dict().keys() == (
        Deployed(own, PREPROCESS, 1.5).state_dict().keys()
    )
