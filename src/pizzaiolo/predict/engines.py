"""What runs the deployed graph: onnxruntime, or PyTorch, imported only where it is asked for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.bundle import CARD_KEY
from ..core.card import Card
from ..errors import ModelFileError

if TYPE_CHECKING:
    from ..model.quick import Quick

Pixels = NDArray[np.uint8]


class Engine(Protocol):
    """Runs the deployed graph: uint8 [N, H, W, 3] -> probabilities [N, C], embedding [N, D]."""

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


class OnnxEngine:
    """A session of onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that spin between calls slow down everything else on a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.intra_op_num_threads = _threads()
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many kinds, none of them exported
            reason = str(error).splitlines()[0][:200]
            raise ModelFileError(
                f"{path} is not an ONNX model that onnxruntime can open: {reason}",
                hint="expected what `pizzaiolo export RUN --out model.onnx` wrote",
            ) from None

    def card(self, path: Path) -> Card:
        """The card inside the file."""
        text = self.session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise ModelFileError(
                f"{path} is an ONNX model without a card, so its classes are unknown",
                hint="expected what `pizzaiolo export RUN --out model.onnx` wrote",
            )
        return Card.from_json(text)

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        probabilities, embedding = self.session.run(
            ["probabilities", "embedding"], {"image": pixels}
        )
        return probabilities, embedding


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class TorchEngine:
    """The deployed graph of a `.pt` model file, run by PyTorch.

    Several pictures are shared out to threads that compute on one core each: that is faster than
    all cores on one layer after the other (95 pictures a second against 62 on 2 quiet cores), and
    on a busy machine no layer waits for the core that is taken away.
    """

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if len(pixels) < 2:
            return self._run(pixels)
        from ..model.device import one_thread

        with one_thread():
            parts = np.array_split(pixels, min(_threads(), len(pixels)))
            probabilities, embeddings = zip(*self._workers.map(self._run, parts), strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_threads())

    def _run(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            probabilities, embedding = self.network(torch.tensor(pixels))
        return probabilities.numpy(), embedding.numpy()

    def quick(self, card: Card) -> Quick | None:
        """The same graph for many pictures; None where it has no parts that are known."""
        from ..model.quick import quick

        return quick(self.network, card.preprocess)
