"""The graph by the fastest engine: the same answers, and what is known is not computed again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.model import engines
from pizzaiolo.model.custom import OwnRecogniser
from pizzaiolo.model.deployed import Deployed
from pizzaiolo.model.network import Recogniser
from pizzaiolo.model.quick import Quick, quick
from toy_network import Own

PREPROCESS = Preprocess(32, 36, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


class ByValue(nn.Module):
    """Goes another way for noise than for a photo, which no trace knows."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        rough = (pictures[..., 1:] - pictures[..., :-1]).abs().mean() > 0.5
        mean = pictures.mean((2, 3))
        return mean.flip(1) if rough else mean


def deployed(backbone: nn.Module | None = None) -> Deployed:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Recogniser(backbone or nn.Sequential(*layers), nn.Linear(3 if backbone else 6, 4))
    return Deployed(network, PREPROCESS, 0.7, (0.5, 1, 2, 3), (0, 0.1, 0.2, 0.3)).eval()


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)


def both(graph: Deployed, given: np.ndarray) -> tuple[list[np.ndarray], tuple[np.ndarray, ...]]:
    with torch.inference_mode():
        expected = [part.numpy() for part in graph(torch.from_numpy(given))]
    made = quick(graph, PREPROCESS)
    assert made is not None
    return expected, made(given)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("backbone", [None, ByValue()])
def test_the_answers_are_those_of_the_graph(count: int, backbone: nn.Module | None) -> None:
    expected, found = both(deployed(backbone), pixels(count))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == np.float32 and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_a_picture_has_the_same_bits_whatever_stands_beside_it() -> None:
    made, given = Quick(deployed(), PREPROCESS), pixels(5)
    together = made(given)[1]
    np.testing.assert_array_equal(np.concatenate([made(given[i : i + 1])[1] for i in range(5)]),
                                  together)  # fmt: skip


def test_the_threads_of_pytorch_are_put_back() -> None:
    before = torch.get_num_threads()
    Quick(deployed(), PREPROCESS)(pixels(9))
    assert torch.get_num_threads() == before


def test_known_pictures_are_not_computed_again(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((photos / "pizza").glob("pizza_001*.jpg"))[:6]
    first = Quick(deployed(), PREPROCESS).embed(files, "pictures")
    given = np.stack([PREPROCESS.load(file) for file in files])
    np.testing.assert_allclose(first, Quick(deployed(), PREPROCESS)(given)[1], atol=1e-6)

    def fail(*_: object) -> None:
        raise AssertionError("an engine was made again")

    monkeypatch.setattr(engines.Engines, "make", fail)
    np.testing.assert_array_equal(Quick(deployed(), PREPROCESS).embed(files, "pictures"), first)


def test_a_module_of_ones_own_has_no_parts_that_are_known() -> None:
    own = Deployed(OwnRecogniser(Own()), PREPROCESS, 1.0)
    assert quick(own, PREPROCESS) is None
