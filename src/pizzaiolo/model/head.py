"""The head of a pretrained network: a new layer, and what the network's own classes say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class KnowingHead(nn.Module):
    """Embedding [N, D] -> logits [N, C], of a new layer and of the network's own classes.

    A network that was trained to tell K classes apart (ImageNet's 1000) forgets most of that when
    a layer for few classes takes the place of its own. Here its own layer stays, frozen, and a
    second new layer reads the square roots of the probabilities that it gives: the distance between
    two such vectors is Hellinger's. Each member of an ensemble has an own layer for its part of the
    embedding.
    """

    def __init__(self, widths: Sequence[int], own_classes: Sequence[int], classes: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.linear = nn.Linear(sum(widths), classes)
        pairs = zip(widths, own_classes, strict=True)
        self.own = nn.ModuleList(nn.Linear(width, count) for width, count in pairs)
        self.own.requires_grad_(False)
        self.knowing = nn.Linear(sum(own_classes), classes, bias=False)
        nn.init.zeros_(self.knowing.weight)

    @property
    def out_features(self) -> int:
        """The number of classes C."""
        return self.linear.out_features

    def facts(self) -> dict[str, Any]:
        """What a card says of the head, for `described_head`."""
        own = [layer.out_features for layer in self.own if isinstance(layer, nn.Linear)]
        return {"widths": self.widths, "own_classes": own}

    def readers(self) -> list[Callable[[Tensor], Tensor]]:
        """For each member: its part of the embedding -> square roots of probabilities [N, K]."""
        return [partial(_known, own) for own in self.own]

    def forward(self, embedding: Tensor) -> Tensor:
        """Embedding [N, D] -> logits [N, C]."""
        parts = zip(self.readers(), torch.split(embedding, self.widths, dim=1), strict=True)
        known = torch.cat([read(part) for read, part in parts], dim=1)
        logits: Tensor = self.linear(embedding) + self.knowing(known)
        return logits


def _known(own: nn.Module, embedding: Tensor) -> Tensor:
    known: Tensor = (own(embedding).log_softmax(1) / 2).exp()
    return known


def described_head(facts: Mapping[str, Any], classes: int) -> nn.Module:
    """The head, with random weights, that a card's `architecture` describes.

    Raises `KeyError`, `TypeError`, `ValueError` or `RuntimeError` where it describes none.
    """
    if "own_classes" in facts:
        return KnowingHead(facts["widths"], facts["own_classes"], classes)
    return nn.Linear(int(facts["embedding"]), classes)


def knowing_head(own: Sequence[nn.Linear], classes: int) -> KnowingHead:
    """A head with the pretrained classification layers of the members, in the embedding's order."""
    head = KnowingHead(
        [layer.in_features for layer in own], [layer.out_features for layer in own], classes
    )
    for mine, layer in zip(head.own, own, strict=True):
        mine.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    return head
