"""Builds the starter: EfficientNet-Lite0's own ImageNet head as a pizza / not pizza model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..config import BACKBONE
from ..core.bundle import atomic_path
from ..core.card import Card
from ..core.labels import Labels
from ..core.preprocess import Preprocess
from .onnx import write_onnx

PIZZA = 963  # "pizza, pizza pie" of the 1000 ImageNet classes

# Calibration, confidence = sigmoid(SLOPE * logit(p) + OFFSET) for p = P(class 963): a logistic
# regression on the training part (980 photos) of a Food-101 subset, pizza against other dishes.
SLOPE, OFFSET = 1.374, 3.778
# The confidence with the best balanced accuracy on the same photos (p = 0.08: 96.8 %); between
# BAND and it a picture is called pizza by the odds and not by the threshold: "Not sure".
THRESHOLD, BAND = 0.6, 0.4
CHOSEN_ON = "the training part (980 photos) of a Food-101 subset: 700 pizzas, 700 other dishes"


class PizzaOfImageNet(nn.Module):
    """uint8 [N, 224, 224, 3] -> probabilities [N, 2] (not pizza, pizza), embedding [N, 1280]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        pixels = (image.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        embedding = self.network.forward_head(  # type: ignore[operator]
            self.network.forward_features(pixels),  # type: ignore[operator]
            pre_logits=True,
        )
        logits = self.network.get_classifier()(embedding)  # type: ignore[operator]
        others = torch.cat([logits[:, :PIZZA], logits[:, PIZZA + 1 :]], dim=1)
        odds = logits[:, PIZZA] - torch.logsumexp(others, dim=1)  # logit of P(class 963)
        pizza = torch.sigmoid(SLOPE * odds + OFFSET)
        return torch.stack([1 - pizza, pizza], dim=1), embedding


def starter_card() -> Card:
    """What the starter says of itself."""
    return Card(
        labels=Labels(
            ("not_pizza", "pizza"),
            positive="pizza",
            threshold=THRESHOLD,
            reject_band=(BAND, THRESHOLD),
        ),
        preprocess=Preprocess(),
        architecture={"kind": "starter", "name": BACKBONE, "imagenet_class": PIZZA},
        data={"chosen_on": CHOSEN_ON},
        training={"slope": SLOPE, "offset": OFFSET},
        versions={"torch": str(torch.__version__)},
        weights_licence="Apache-2.0",
        notes=(
            "No training: the ImageNet head of EfficientNet-Lite0 and its class 963, pizza.",
            f"Confidence and threshold were chosen on {CHOSEN_ON}.",
        ),
    )


def starter_network() -> nn.Module:
    """The starter's graph in PyTorch, in eval mode."""
    from ..model.embedded import embedded_classifier

    return PizzaOfImageNet(embedded_classifier(BACKBONE)).eval()


def build_starter(path: Path) -> None:
    """Write the starter's ONNX model file, whole or not at all."""
    with atomic_path(path) as temporary:
        write_onnx(starter_network(), starter_card(), temporary, opset=18)
