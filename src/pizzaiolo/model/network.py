"""The shape of every model here: a backbone that embeds, a head that classifies."""

from __future__ import annotations

from torch import Tensor, nn


class Recogniser(nn.Module):
    """Float pictures [N, 3, H, W] -> logits [N, C], by way of the embedding [N, D]."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def embed(self, pictures: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> embedding [N, D]."""
        embedding: Tensor = self.backbone(pictures)
        return embedding

    def forward(self, pictures: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> logits [N, C]."""
        logits: Tensor = self.head(self.embed(pictures))
        return logits
