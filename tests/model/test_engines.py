"""Engines for a frozen backbone: the same numbers as PyTorch, the same bits every time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.model import engines
from pizzaiolo.model.backbones import create_backbone
from pizzaiolo.model.engines import Engines

PREPROCESS = Preprocess(size=32, short_side=36, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
CPU = torch.device("cpu")
ROUGH = "openvino bf16"
ALL = ("onnxruntime fp32", ROUGH, "torch cpu")


def pixels(count: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), np.uint8)


def small() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def engine(name: str, network: nn.Module, preprocess: Preprocess = PREPROCESS) -> engines.Engine:
    made = Engines(network, preprocess, CPU, "bf16")
    if name == ROUGH and name not in made.names():
        pytest.skip("needs openvino and a processor with bf16")
    found = made.make(name)
    assert found is not None
    return found


def by_pytorch(network: nn.Module, given: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    with torch.inference_mode():
        return network.eval()(torch.from_numpy(preprocess.normalise(given))).numpy()


def gap(found: np.ndarray, wanted: np.ndarray) -> float:
    rows = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    return float(rows.max())


@pytest.mark.parametrize(
    ("name", "most"), [("onnxruntime fp32", 1e-5), ("torch cpu", 1e-5), (ROUGH, 0.25)]
)
def test_embeddings_are_pytorchs(name: str, most: float) -> None:
    network, preprocess = create_backbone("tf_efficientnet_lite0", True), Preprocess(64, 64)
    given = pixels(2, side=64)
    wanted = by_pytorch(network, given, preprocess)
    assert gap(engine(name, network, preprocess).run(given), wanted) < most


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100", "vit_tiny_patch16_224"])
def test_families_of_networks_convert(name: str) -> None:
    torch.manual_seed(0)
    network = create_backbone(name, False, size=32)
    given = pixels(2)
    found = engine("onnxruntime fp32", network).run(given)
    assert gap(found, by_pytorch(network, given, PREPROCESS)) < 1e-4


@pytest.mark.parametrize("name", ALL)
def test_the_same_bits_by_any_worker_at_any_time(name: str) -> None:
    runner, given = engine(name, small()), pixels(2)
    first = runner.run(given)
    with ThreadPoolExecutor(runner.workers + 2) as pool:
        for found in pool.map(runner.run, [given] * 40):
            np.testing.assert_array_equal(found, first)


@pytest.mark.parametrize("name", ALL)
def test_a_picture_keeps_its_bits_beside_another(name: str) -> None:
    runner, given = engine(name, small()), pixels(3)
    beside = (runner.run(given[:2])[0], runner.run(given[[0, 2]])[0])
    np.testing.assert_array_equal(*beside)
    np.testing.assert_array_equal(runner.run(given[[2, 0]])[1], beside[0])


class ByValue(nn.Module):
    """Takes another way for noise than for a picture, which no trace knows."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        rough = (pictures[..., 1:] - pictures[..., :-1]).abs().mean() > 0.5
        mean = pictures.mean((2, 3))
        return mean.flip(1) if rough else mean


class ByTrace(nn.Module):
    """Gives other numbers while it is traced."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean((2, 3)) * (2 if torch.jit.is_tracing() else 1)


class Broken(nn.Module):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("not to be traced")
        return pictures.mean((2, 3))


@pytest.mark.parametrize("network", [ByTrace(), ByValue(), Broken()])
def test_what_does_not_convert_truly_is_left_to_pytorch(network: nn.Module) -> None:
    found = Engines(network, PREPROCESS, CPU, "bf16")
    names = list(found.names())
    assert [name for name in names if found.make(name)] == ["torch cpu"] == names[-1:]


def test_rough_numbers_come_only_when_asked_for() -> None:
    assert ROUGH not in Engines(small(), PREPROCESS, CPU, "fp32").names()


def test_a_large_network_is_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MOST_BYTES", 100)
    assert list(Engines(small(), PREPROCESS, CPU, "fp32").names()) == ["torch cpu"]


def test_another_device_is_pytorchs() -> None:
    names = Engines(small(), PREPROCESS, torch.device("cuda"), "fp32").names()
    assert list(names) == ["torch cuda"]


def test_without_the_extra_bf16_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pizzaiolo.core.openvino.find_spec", lambda name: None)
    names = list(Engines(small(), PREPROCESS, CPU, "bf16").names())
    assert names == ["onnxruntime fp32", "torch cpu"]
