"""What runs a frozen backbone: ONNX Runtime on the CPU, or OpenVINO in bf16, else PyTorch.

Pictures a second on 2 quiet cores (AMD, AVX-512 with bf16), EfficientNet-Lite0 at 224 pixels,
decoding included: 95 by PyTorch, 185 by ONNX Runtime and by OpenVINO, their embeddings within 4e-6
of each other's norm; 300 by OpenVINO in bf16, up to 7e-2 off (median 4e-2), which therefore runs
only where it is asked for. The conversion takes 0.7 seconds, what 120 pictures save.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import nn

from ..console import log
from ..core.openvino import compile_for_cpu, has_bf16
from ..core.preprocess import Preprocess
from .network import Normalise
from .session import Engine, Features, Pixels, Run, start_onnxruntime

# Small batches keep the early feature maps inside the processor's cache. Measured on 2 cores with
# EfficientNet-Lite0: 95 pictures a second as two workers with batches of 2, 62 as one worker with
# two threads and batches of 4, 50 with batches of 16.
CPU_BATCH = 2
GPU_BATCH, GPU_DECODERS = 64, 4
OPSET = 17
EXACT, ROUGH = "onnxruntime fp32", "openvino bf16"
MOST_BYTES = 400_000_000  # of weights that are converted; a conversion holds them several times
# Relative to the norm: what an engine gives for test pictures lies no further from PyTorch's. That
# the trace is right shows in fp32; far from photos, one colour say, bf16 is up to 0.25 off.
TOLERANCE = {"onnxruntime": 1e-3, "openvino": 0.5}


class Engines:
    """The engines for one backbone, best first; each is made when it is asked for."""

    def __init__(
        self, backbone: nn.Module, preprocess: Preprocess, device: torch.device, precision: str
    ) -> None:
        self.backbone, self.preprocess, self.device = backbone, preprocess, device
        self.precision = precision
        self._made: dict[str, Engine | None] = {}

    def names(self) -> Iterator[str]:
        """What may run it here, best first: a name stands for the numbers that come out.

        It does not depend on the pictures or their number, so a picture keeps its bits.
        """
        if self.device.type == "cpu" and self._bytes() <= MOST_BYTES:
            if self.precision == "bf16" and has_bf16():
                yield ROUGH
            yield EXACT
        yield f"torch {self.device.type}"

    def make(self, name: str) -> Engine | None:
        """The engine, or None where the backbone can't be converted for it."""
        if name not in self._made:
            self._made[name] = self._make(name.split()[0])
        return self._made[name]

    def graph_of(self, engine: Engine) -> bytes | None:
        """The graph by which other processes compute the same (`session`); None for others."""
        return self._graph if self._made.get(EXACT) is engine else None

    def _make(self, library: str) -> Engine | None:
        self.backbone.eval().to(self.device)
        if library == "torch":
            return self._torch()
        if library == "openvino" and self.make(EXACT) is None:
            return None
        workers = torch.get_num_threads()
        try:
            run = (
                _start_openvino(self._graph, workers)
                if library == "openvino"
                else start_onnxruntime(self._graph)
            )
            self._check(run, TOLERANCE[library])
        except Exception as error:  # the exporter and the engines wrap whatever goes wrong
            log.debug("the backbone runs without %s: %s", library, _first_line(error))
            return None
        return Engine(CPU_BATCH, workers, run)

    def _torch(self) -> Engine:
        on_cpu = self.device.type == "cpu"
        size, workers = (
            (CPU_BATCH, torch.get_num_threads()) if on_cpu else (GPU_BATCH, GPU_DECODERS)
        )
        self.backbone.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return Engine(size, workers, self._run_torch)

    def _run_torch(self, pixels: Pixels) -> Features:
        pictures = torch.from_numpy(self.preprocess.normalise(pixels))
        with torch.inference_mode():
            moved = pictures.to(self.device, memory_format=torch.channels_last)
            features: Features = self.backbone(moved).float().cpu().numpy()
        return features

    @cached_property
    def _graph(self) -> bytes:
        """Normalisation and backbone as ONNX, for one batch size.

        By the exporter that traces: it takes 0.7 seconds here, the one by torch.export 4.6.
        """
        network = nn.Sequential(Normalise(self.preprocess), self.backbone).eval()
        data = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, (torch.from_numpy(self._noise()),), data,  # type: ignore[arg-type]
                dynamo=False, opset_version=OPSET, input_names=["image"],
            )  # fmt: skip
        return data.getvalue()

    def _check(self, run: Run, tolerance: float) -> None:
        """A trace knows one way through the code: what comes out is compared, on other pictures."""
        for pixels in (self._noise(), self._shades()):
            got, wanted = run(pixels), self._run_torch(pixels)
            if got.shape != wanted.shape:
                raise ValueError(f"it gives {got.shape}, not {wanted.shape}")
            gap = float(np.linalg.norm(got - wanted) / max(float(np.linalg.norm(wanted)), 1e-12))
            if not gap <= tolerance:
                raise ValueError(f"it is {gap:.1e} off")

    def _noise(self) -> Pixels:
        side = self.preprocess.size
        return np.random.default_rng(0).integers(0, 256, (CPU_BATCH, side, side, 3), np.uint8)

    def _shades(self) -> Pixels:
        """Orange, and black that turns slowly into it."""
        side = self.preprocess.size
        ramp = np.linspace(0, 1, side)[:, None, None] * np.ones((side, side, 1)) * (230, 150, 60)
        return np.stack([np.full_like(ramp, (230, 150, 60)), ramp]).astype(np.uint8)

    def _bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.backbone.state_dict().values())


def _start_openvino(graph: bytes, workers: int) -> Run:
    run = compile_for_cpu(graph, workers, "bf16")
    return lambda pixels: run(pixels)[0]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
