"""The shape of every model here: a backbone that embeds, a head that classifies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.preprocess import Preprocess


class Recogniser(nn.Module):
    """Float pictures [N, 3, H, W] -> logits [N, C], by way of the embedding [N, D].

    `dropout` is the share of the embedding's features that the head misses in training.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.head = head

    def embed(self, pictures: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> embedding [N, D]."""
        embedding: Tensor = self.backbone(pictures)
        return embedding

    def outputs(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Float pictures [N, 3, H, W] -> logits [N, C] and embedding [N, D] in one pass."""
        embedding = self.embed(pictures)
        return self.head(self.dropout(embedding)), embedding

    def forward(self, pictures: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> logits [N, C]."""
        return self.outputs(pictures)[0]


class Normalise(nn.Module):
    """uint8 pictures [N, H, W, 3] -> float [N, 3, H, W], (x / 255 - mean) / std per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        # [1, 3, 1, 1], in units of bytes (0 to 255): one subtraction and one division
        self.register_buffer("mean", 255 * torch.tensor(preprocess.mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(preprocess.std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        pictures: Tensor = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return pictures
