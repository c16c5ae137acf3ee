"""A person's weights become the start of a network: all of them or none, and what differs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..console import log
from ..errors import InputError
from .custom import OwnRecogniser
from .ensemble import JOIN
from .head import KnowingHead, described_head
from .network import Recogniser
from .torchvision_fix import timm
from .weights import Differences, State, Weights, compare, read_weights, unwrapped

HEAD = "head."  # what our own files put before the names of the last layer
MOST_EXTRA = 4  # tensors: the layers of classes that a file may have beside its backbone
# Looked through where a file does not fit, to name the --model that it does fit.
CANDIDATES = (
    "tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2",
    "resnet18", "resnet34", "resnet50", "resnet101", "vgg16", "densenet121",
    "mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100",
    "efficientnet_b0", "efficientnet_b1", "convnext_tiny", "convnext_small",
    "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224",
    "swin_tiny_patch4_window7_224",
)  # fmt: skip


def load_weights(path: Path, network: Recogniser, name: str, classes: int) -> Weights:
    """Put a file's tensors into the network `name`; the layer of classes only where it fits.

    Raises `InputError` for a file that can't be read or is of another architecture; the network
    is then as it was.
    """
    weights = read_weights(path)
    backbone, expected = network.backbone, network.backbone.state_dict()
    state, layer = _split(weights, expected, name)
    if isinstance(network, OwnRecogniser):
        state = _without_classes(state, expected, classes)
    if differences := compare(state, expected):
        state = _converted({**state, **layer}, backbone, name)
        if not state or compare(state, expected):
            raise _misfit(weights, name, differences)
    backbone.load_state_dict({**expected, **state})
    network.head = _head_of(weights, classes) or network.head
    _load_head(network.head, {name.removeprefix(HEAD): tensor for name, tensor in layer.items()})
    log.info("started from %s: %d tensors", path, len(state))
    return weights


def _split(weights: Weights, expected: Mapping[str, Tensor], name: str) -> tuple[State, State]:
    """The tensors of the backbone, and those of the layer of classes, which a backbone lacks."""
    state = weights.state
    if weights.card is not None and weights.card.architecture.get("kind") != "custom":
        layer = {k: v for k, v in state.items() if k.startswith(HEAD)}
    else:
        state = unwrapped(state, expected)
        extra = [k for k in state if k not in expected]
        names = _layer_of_classes(name) if extra else set()
        layer = {k: state[k] for k in extra if k in names}
    return unwrapped({k: v for k, v in state.items() if k not in layer}, expected), layer


def _layer_of_classes(name: str) -> set[str]:
    """The names of the tensors that our network, or timm's, has beside its backbone."""
    ours = {f"{HEAD}weight", f"{HEAD}bias"}
    if JOIN in name or not timm().is_model(name.partition(".")[0]):
        return ours
    return ours | set(_names_and_shapes(name, classes=2)) - set(_names_and_shapes(name, classes=0))


def _names_and_shapes(name: str, classes: int) -> Mapping[str, Tensor]:
    with torch.device("meta"), warnings.catch_warnings():  # of names that timm has retired
        warnings.simplefilter("ignore")
        network: nn.Module = timm().create_model(name, num_classes=classes)
    return network.state_dict()


def _without_classes(state: State, expected: Mapping[str, Tensor], classes: int) -> State:
    """The tensors but for those that differ from the expected in the number of classes alone."""

    def fits(name: str, tensor: Tensor) -> bool:
        wanted = expected.get(name)
        if wanted is None or wanted.ndim == 0 or wanted.shape == tensor.shape:
            return True
        return wanted.shape[0] != classes or wanted.shape[1:] != tensor.shape[1:]

    left_out = [name for name, tensor in state.items() if not fits(name, tensor)]
    return {**state, **{name: expected[name] for name in left_out}}


def _converted(state: State, backbone: nn.Module, name: str) -> State:
    """The tensors as timm converts files of this architecture's authors, or nothing.

    It renames them, and resizes embeddings of positions to the input side.
    """
    convert = getattr(sys.modules[type(backbone).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return {}
    try:
        made: State = convert(dict(state), backbone)
    except Exception:  # whatever it raises for a file of another architecture
        return {}
    expected, layer = backbone.state_dict(), _layer_of_classes(name)
    return {k: v for k, v in made.items() if k in expected or k not in layer}


def _head_of(weights: Weights, classes: int) -> nn.Module | None:
    """A head for `classes` that keeps the classes which the file's network knew, as the file's."""
    facts = weights.card.architecture if weights.card else {}
    try:
        return described_head(facts, classes) if "own_classes" in facts else None
    except (KeyError, TypeError, ValueError, RuntimeError):
        return None


def _load_head(head: nn.Module, layer: State) -> None:
    """The layer of classes too, where the file's has the same shape."""
    if isinstance(head, KnowingHead):
        known = {k: t for k, t in head.state_dict().items() if k.startswith("own.")}
        fits = all(k in layer and layer[k].shape == t.shape for k, t in head.state_dict().items())
        head.load_state_dict(layer if fits else {k: layer[k] for k in known}, strict=fits)
        if not fits:
            log.info("the file's layer of classes has another shape and is left out")
        return
    if not isinstance(head, nn.Linear) or not layer:
        return
    found = [
        [t for k, t in layer.items() if k.endswith(part) and t.shape == wanted.shape]
        for part, wanted in (("weight", head.weight), ("bias", head.bias))
    ]
    if all(len(tensors) == 1 for tensors in found):
        head.load_state_dict({"weight": found[0][0], "bias": found[1][0]})
    else:
        log.info("the file's layer of classes has another shape and is left out")


def _misfit(weights: Weights, name: str, differences: Differences) -> InputError:
    return InputError(
        f"the weights {weights.path} do not fit the model {name!r}: "
        f"of {len(weights.state)} tensors {differences}",
        hint=_suggestion(weights, name),
    )


def _suggestion(weights: Weights, name: str) -> str:
    if weights.architecture not in (None, name):
        return f"the file says that it is --model {weights.architecture}"
    for candidate in CANDIDATES:
        expected = _names_and_shapes(candidate, classes=0)
        found = compare(unwrapped(weights.state, expected), expected)
        close = not found.missing and not found.reshaped and len(found.unexpected) <= MOST_EXTRA
        if candidate != name and close:
            return f"they fit --model {candidate}"
    return "--model has to name the file's own architecture: pizzaiolo models lists the names"
