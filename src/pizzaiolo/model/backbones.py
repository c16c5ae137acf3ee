"""Backbones: timm's architectures with published weights or a random start, alone or joined."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..core.preprocess import FILTERS, Preprocess
from ..errors import UsageError, nearest
from .embedded import LICENCE, embedded_classifier, embedded_layer, embedded_name
from .ensemble import JOIN, Ensemble, Member, members_of
from .hub import fetch
from .torchvision_fix import timm

# How timm makes a picture square, in our words; of `border` the colour of the border differs.
MODES = {"center": "crop", "squash": "squash", "border": "pad"}


def check_name(name: str, pretrained: bool = False) -> None:
    """Raise `UsageError` unless timm knows the architecture, and its weights where asked for.

    Of an ensemble each member is looked at.
    """
    for member in members_of(name):
        _check_one(member, pretrained)


def _check_one(name: str, pretrained: bool) -> None:
    base = name.partition(".")[0]
    if not timm().is_model(base):
        choices = [*timm().list_models(), "cnn"]
        hint = nearest(name, choices, others="pizzaiolo models lists them")
        raise UsageError(f"there is no model {name!r}", hint=hint)
    if name != base and name not in (tagged := timm().list_models(f"{base}.*", pretrained=True)):
        raise UsageError(f"there are no weights called {name!r}", hint=nearest(name, tagged))
    config = timm().get_pretrained_cfg(name)
    if pretrained and (config is None or not config.has_weights):
        raise UsageError(f"nobody published weights of {name!r}", hint="--no-pretrained")


def create_backbone(
    name: str,
    pretrained: bool,
    size: int | None = None,
    drop_path: float = 0.0,
    sides: Sequence[int] | None = None,
) -> nn.Module:
    """A timm architecture without its classification layer: [N, 3, H, W] -> [N, D].

    A name `a+b` gives an `Ensemble`, whose members look at pictures of their own `sides` (pixels;
    `size` for all of them, where it is given alone). `size` is for architectures that are built for
    one input side too, `drop_path` is the rate of their stochastic depth. Raises `UsageError` for
    an unknown name or a rate where the architecture has none, `WorkError` when the weights can't
    be fetched.
    """
    check_name(name, pretrained)
    if JOIN in name:
        return _create_ensemble(name, pretrained, size, drop_path, sides)
    embedded = embedded_name(name)
    if pretrained and embedded:
        network = embedded_classifier(embedded, drop_path)
        network.reset_classifier(0)  # type: ignore[operator]
        return network
    options: dict[str, Any] = {"num_classes": 0}
    if drop_path:
        options["drop_path_rate"] = drop_path
    side = _built_for(name, size)
    if side is not None:
        options["img_size"] = side
    with _options_explained(name, side):
        if pretrained:
            return fetch(name, options)
        made: nn.Module = timm().create_model(name, pretrained=False, **options)
    return made


def own_layers(name: str) -> list[nn.Linear]:
    """The published layers of classes, embedding [N, D] -> logits [N, K], one for each member.

    Empty where one of them has none, or none that is linear. Raises as `create_backbone` does.
    """
    check_name(name, pretrained=True)
    layers = []
    for member in members_of(name):
        embedded = embedded_name(member)
        if embedded:
            layers.append(embedded_layer(embedded))
        else:
            layers.append(fetch(member, {}).get_classifier())  # type: ignore[operator]
    return layers if all(isinstance(layer, nn.Linear) for layer in layers) else []


def _built_for(name: str, size: int | None) -> int | None:
    """The side to build the architecture for, where it has to be told."""
    config = timm().get_pretrained_cfg(name)
    if config is None or not config.fixed_input_size:
        return None
    _, height, width = config.input_size
    return size or (None if height == width else int(height))  # ours are square


@contextmanager
def _options_explained(name: str, side: int | None) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, AssertionError) as error:
        if "drop_path_rate" in str(error):
            raise UsageError(
                f"{name} has no stochastic depth, so there is nothing that drop_path could drop",
                hint="leave --drop-path out, or take --dropout",
            ) from None
        if side is None:
            raise
        raise _wrong_size(side, error) from error


def _create_ensemble(
    name: str, pretrained: bool, size: int | None, drop_path: float, sides: Sequence[int] | None
) -> Ensemble:
    """The members on pictures of the largest member's side, normalised as for that member."""
    names = members_of(name)
    own = [_own_side(member) for member in names]
    leader = own.index(max(own))
    sides = sides or ([size] * len(names) if size else own)
    pairs = list(zip(names, sides, strict=True))
    networks = [create_backbone(member, pretrained, side, drop_path) for member, side in pairs]
    configs = [timm().data.resolve_model_data_config(network) for network in networks]
    statistics = [[config["mean"], config["std"]] for config in configs]
    whole = sides[leader]
    members = [
        Member(network, side, statistic, whole, statistics[leader])
        for network, side, statistic in zip(networks, sides, statistics, strict=True)
    ]
    return Ensemble(members, leader)


def sides_of(backbone: nn.Module) -> list[int]:
    """The sides (pixels) at which an ensemble's members look at a picture; none of another."""
    return backbone.sides if isinstance(backbone, Ensemble) else []


def _own_side(name: str) -> int:
    config = timm().get_pretrained_cfg(name)
    return int(config.input_size[1]) if config else 224


def _wrong_size(size: int | None, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return UsageError(
        f"the model does not take pictures of {size} x {size} pixels: {reason}",
        hint="choose another --size, or leave it out for the model's own",
    )


def preprocess_of(
    name: str, network: nn.Module, size: int | None, mode: str | None = None
) -> Preprocess:
    """The preprocessing that the architecture was trained with (timm's data config).

    `size` (pixels) and `mode` (`crop`, `pad`, `squash`) are its own where they are None. At the
    side that its publisher tested it with, the crop is that of the test.
    """
    if isinstance(network, Ensemble):
        leader = network.leader
        return preprocess_of(members_of(name)[leader], network.networks[leader], size, mode)
    own, test = (
        timm().data.resolve_model_data_config(network, use_test_size=use) for use in (False, True)
    )
    side = size or int(own["input_size"][1])
    config = test if side == test["input_size"][1] != own["input_size"][1] else own
    mode = mode or MODES.get(config["crop_mode"], "crop")
    filter_name = config["interpolation"] if config["interpolation"] in FILTERS else "bicubic"
    margin = math.floor(side / float(config["crop_pct"])) if mode == "crop" else side
    return Preprocess(
        size=side,
        short_side=max(side, margin),
        mode=mode,
        filter=filter_name,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def licence_of(name: str, network: nn.Module, pretrained: bool) -> str:
    """The licence of the weights, as their publisher states it; each one's of an ensemble."""
    if not pretrained:
        return "none (trained from a random start)"
    if isinstance(network, Ensemble):
        pairs = zip(members_of(name), network.networks, strict=True)
        licences = {member: licence_of(member, own, pretrained) for member, own in pairs}
        if len(set(licences.values())) == 1:
            return next(iter(licences.values()))
        return "; ".join(f"{n}: {licence}" for n, licence in licences.items())
    if embedded_name(name):
        return LICENCE
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
