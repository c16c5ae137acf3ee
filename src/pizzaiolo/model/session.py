"""A backbone as an ONNX graph, run by ONNX Runtime: what a process without PyTorch can compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Run = Callable[[Pixels], Features]


@dataclass(frozen=True)
class Engine:
    """Runs full batches: uint8 [batch, H, W, 3] -> embeddings float32 [batch, D]."""

    batch: int
    workers: int  # batches at once
    run: Run

    def run_some(self, pixels: Pixels) -> Features:
        """At most a batch [N, H, W, 3] -> [N, D].

        It is filled up first: a picture gets the same bits whatever stands beside it.
        """
        missing = self.batch - len(pixels)
        return self.run(np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)]))[
            : len(pixels)
        ]


def start_onnxruntime(graph: bytes) -> Run:
    """What runs the graph with one thread; several threads may call it at once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # workers run side by side
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> Features:
        features: Features = session.run(None, {"image": pixels})[0]
        return features

    return run
