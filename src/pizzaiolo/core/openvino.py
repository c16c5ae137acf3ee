"""OpenVINO on the CPU: what trains on frozen features and what answers pictures both run on it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Outputs = list[NDArray[np.float32]]


def has_bf16() -> bool:
    """Whether OpenVINO is installed and the processor computes with bfloat16."""
    if not find_spec("openvino"):
        return False
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_for_cpu(
    graph: Path | bytes, workers: int, precision: str, shape: Sequence[int] | None = None
) -> Callable[[Pixels], Outputs]:
    """A function from pixels to the graph's outputs in their order, for `workers` threads at once.

    `graph` is an ONNX file or its bytes, `precision` bf16 or f32; `shape` is that of the pixels,
    where the graph leaves it open.
    """
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": workers,
        "INFERENCE_NUM_THREADS": workers,
        "ENABLE_CPU_PINNING": False,
    }
    network = core.read_model(graph)
    if shape is not None:
        network.reshape(list(shape))
    model = core.compile_model(network, "CPU", settings)
    # Made and used here, once: two threads that are the first to give it pixels wait for each other
    # for ever, and requests made and dropped by the workers themselves have hung.
    blank = np.zeros(tuple(model.input(0).shape), np.uint8)
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(workers):
        request = model.create_infer_request()
        request.infer([blank], share_inputs=True)
        requests.put(request)

    def run(pixels: Pixels) -> Outputs:
        request = requests.get()
        try:
            results = request.infer([pixels], share_inputs=True)
            return [results[i].copy() for i in range(len(results))]
        finally:
            requests.put(request)

    return run
