"""The graph that leaves this package: pixels in, calibrated probabilities and embedding out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.bundle import load_pt
from ..core.card import Card
from ..core.preprocess import Preprocess
from ..errors import ModelFileError
from .define import rebuild
from .network import Normalise, Recogniser


class Deployed(nn.Module):
    """uint8 [N, H, W, 3] -> probabilities [N, C] and embedding [N, D], both float32.

    Normalisation, calibration and softmax are inside, so no client can get them wrong: logits are
    divided by the temperature; with `scales` and `offsets` [C] the logarithms of the probabilities
    are changed by them.
    """

    vectors: Tensor | None

    def __init__(
        self,
        network: Recogniser,
        preprocess: Preprocess,
        temperature: float,
        scales: Sequence[float] = (),
        offsets: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.normalise = Normalise(preprocess)
        self.network = network
        self.temperature = temperature
        # [2, C] and no part of the state, which is the network's
        vectors = torch.tensor([list(scales), list(offsets)]) if scales else None
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3] -> (probabilities [N, C], embedding [N, D])."""
        logits, embedding = self.network.outputs(self.normalise(image))
        return self.calibrated(logits), embedding

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits [N, C] -> probabilities [N, C]."""
        logits = logits / self.temperature
        if self.vectors is not None:
            logits = self.vectors[0] * torch.log_softmax(logits, dim=1) + self.vectors[1]
        return torch.softmax(logits, dim=1)


def load_deployed(path: Path, code: str | None = None) -> tuple[Card, Deployed]:
    """The card and the graph of a `.pt` model file, in eval mode.

    `code` ("path/to/file.py:Class") is needed for a model of a person's own module. Raises
    `ModelFileError` where the tensors are not those of the card's architecture.
    """
    card, state = load_pt(path)
    network = rebuild(card, code)
    try:
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()[:200]
        raise ModelFileError(
            f"{path} does not fit its own card: {reason}",
            hint=f"is {code} the code it was trained with?" if code else "train it again",
        ) from None
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    graph = Deployed(network, card.preprocess, card.temperature, card.scales, card.offsets)
    return card, graph.eval()
