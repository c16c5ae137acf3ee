"""From settings to a network that can be trained, and from a card to the same network again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..config import BACKBONE, TrainConfig
from ..core.card import Card
from ..core.preprocess import Preprocess
from ..errors import ModelFileError, UsageError
from .backbones import (
    create_backbone,
    embedding_width,
    licence_of,
    own_layers,
    preprocess_of,
    sides_of,
)
from .cnn import CNN_SIZE, SmallCNN
from .custom import OwnRecogniser, check_custom, create_custom, is_code, make
from .ensemble import JOIN, members_of
from .head import KnowingHead, described_head, knowing_head
from .network import Recogniser
from .transfer import load_weights

CUSTOM_SIZE = 224
OWN_WEIGHTS = "none (trained from a random start)"
MOST_OWN_CLASSES = 2000  # that a network may know for its head to keep them


@dataclass(frozen=True)
class Definition:
    """A network with all that the card must say to build and feed it again."""

    network: Recogniser
    preprocess: Preprocess
    architecture: dict[str, Any]
    weights_licence: str
    pretrained: bool


def define(
    config: TrainConfig, classes: int, network: nn.Module | type[nn.Module] | None = None
) -> Definition:
    """The model of the settings with a new layer for `classes`, or a person's own `network`.

    `network` is an `nn.Module`, or its class, which is then made with `num_classes`. The weights
    are those of the file `config.weights`, where there is one. Raises `UsageError` for an unknown
    name, a setting that the model can't follow or a wrong output, `InputError` for code that can't
    be run or weights that don't fit, `WorkError` for weights that can't be fetched.
    """
    if config.weights is not None and config.recipe == "scratch":
        raise UsageError(
            f"recipe scratch starts at random, and weights is {config.weights!r}",
            hint="--recipe finetune, or no --weights",
        )
    model = config.model or BACKBONE
    own = network is not None or is_code(model)
    if config.drop_path and (own or model == "cnn"):
        raise UsageError(
            f"drop_path is {config.drop_path}, and {'your module' if own else 'cnn'} takes none",
            hint="leave --drop-path out",
        )
    if own:
        made = _define_custom(config, classes, network)
    else:
        made = _define_cnn(config, classes) if model == "cnn" else _define_timm(config, classes)
    if config.weights is None:
        return made
    name = str(made.architecture["name"])
    weights = load_weights(Path(config.weights), made.network, name, classes)
    head = made.network.head
    facts = made.architecture | (head.facts() if isinstance(head, KnowingHead) else {})
    return replace(made, architecture=facts, weights_licence=weights.licence, pretrained=True)


def _define_timm(config: TrainConfig, classes: int) -> Definition:
    pretrained = config.pretrained and config.recipe != "scratch" and config.weights is None
    name = config.model or BACKBONE
    backbone = create_backbone(name, pretrained, config.size, config.drop_path)
    preprocess = preprocess_of(name, backbone, config.size, config.resize_mode)
    width = embedding_width(backbone, preprocess.size)
    facts = {"kind": "timm", "name": JOIN.join(members_of(name)), "embedding": width}
    if sides := sides_of(backbone):
        facts["sides"] = sides
    head: nn.Module = nn.Linear(width, classes)
    if pretrained and config.knowledge and (layers := _kept_layers(name, width)):
        head = knowing_head(layers, classes)
        facts |= head.facts()
    network = Recogniser(backbone, head, config.dropout)
    licence = licence_of(name, backbone, pretrained)
    return Definition(network, preprocess, facts, licence, pretrained)


def _kept_layers(name: str, width: int) -> list[nn.Linear]:
    """The members' own layers of classes, where they fit the embedding and are not too large."""
    layers = own_layers(name)
    fits = sum(layer.in_features for layer in layers) == width
    small = sum(layer.out_features for layer in layers) <= MOST_OWN_CLASSES * len(layers)
    return layers if fits and small else []


def _define_cnn(config: TrainConfig, classes: int) -> Definition:
    backbone = SmallCNN(config.dropout) if config.dropout else SmallCNN()
    preprocess = _plain_preprocess(config, CNN_SIZE)
    width = embedding_width(backbone, preprocess.size)
    network = Recogniser(backbone, nn.Linear(width, classes))
    facts = {"kind": "cnn", "name": "cnn", "embedding": width}
    return Definition(network, preprocess, facts, OWN_WEIGHTS, pretrained=False)


def _define_custom(
    config: TrainConfig, classes: int, network: nn.Module | type[nn.Module] | None
) -> Definition:
    if config.dropout:
        raise UsageError(
            f"dropout is {config.dropout}, and your module has its own last layer",
            hint="leave --dropout out, and put nn.Dropout into your module",
        )
    code = config.model or ""
    own = create_custom(code, classes) if network is None else make(network, classes)
    preprocess = _plain_preprocess(config, CUSTOM_SIZE)
    recogniser = OwnRecogniser(own)
    check_custom(recogniser, preprocess.size, classes)
    architecture = {"kind": "custom", "name": type(own).__name__}
    return Definition(recogniser, preprocess, architecture, OWN_WEIGHTS, pretrained=False)


def _plain_preprocess(config: TrainConfig, size: int) -> Preprocess:
    side, mode = config.size or size, config.resize_mode or "crop"
    return Preprocess(side, round(side / 0.875) if mode == "crop" else side, mode)


def rebuild(card: Card, code: str | None = None) -> Recogniser:
    """The network that a card describes, with random weights.

    `code` ("path/to/file.py:Class") is needed for a person's own module: a model file names no
    code that would be run.
    """
    kind, classes = card.architecture.get("kind"), len(card.labels.names)
    name = str(card.architecture.get("name"))
    if kind == "custom":
        if code is None:
            raise ModelFileError(
                f"the model is your own module {name!r}, its code is needed",
                hint=f"--code path/to/file.py:{name}, or export it to ONNX",
            )
        return OwnRecogniser(create_custom(code, classes))
    if kind == "cnn":
        backbone: nn.Module = SmallCNN()
    elif kind == "timm":
        backbone = _known_backbone(name, card)
    else:
        raise ModelFileError(f"the card names an architecture of kind {kind!r}, which is unknown")
    try:
        head = described_head(card.architecture, classes)
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise ModelFileError("the card does not say how wide the embedding is") from None
    return Recogniser(backbone, head)


def _known_backbone(name: str, card: Card) -> nn.Module:
    sides = card.architecture.get("sides")
    try:
        return create_backbone(name, pretrained=False, size=card.preprocess.size, sides=sides)
    except UsageError as error:
        raise ModelFileError(
            f"the card names the architecture {name!r}, which this timm lacks: {error.message}",
            hint="pip install --upgrade timm",
        ) from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"the card describes no network: {error}") from None
