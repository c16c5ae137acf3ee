"""What runs the deployed graph: onnxruntime, OpenVINO or PyTorch, imported where it is asked for.

On the CPU a picture is computed by one thread, and as many pictures at once as there are cores:
170 pictures a second on 2 cores with EfficientNet-Lite0, 100 with both threads on one picture.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..console import log
from ..core.bundle import CARD_KEY
from ..core.card import Card
from ..errors import ModelFileError, UsageError
from .devices import GPUS, PROVIDERS, check_here, cores, devices_here, not_here

if TYPE_CHECKING:
    from ..model.quick import Quick

Pixels = NDArray[np.uint8]
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
GPU_BATCH = 8  # decoding is slower than a GPU: larger batches only make the first answer wait
EXPECTED = "expected what `pizzaiolo export RUN --out model.onnx` wrote"


class Engine(Protocol):
    """Runs the deployed graph: uint8 [N, H, W, 3] -> probabilities [N, C], embedding [N, D].

    It may say how it is fed: `batch`, how many pictures at once (else 1), and `workers`, how many
    threads may call it at the same time (else one for each core).
    """

    def __call__(self, pixels: Pixels) -> Outputs: ...


class OnnxEngine:
    """A session of onnxruntime, which all threads share."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.session = _session(path, device)
        self.workers = cores()
        self.batch = 1 if device == "cpu" else GPU_BATCH
        self.where = "the CPU" if device == "cpu" else device
        # DirectML can't be called by two threads at once, and on a GPU nothing is gained by it.
        self._turn: AbstractContextManager[Any] = nullcontext() if device == "cpu" else Lock()

    def card(self, path: Path) -> Card:
        """The card inside the file."""
        return _card(self.session, path)

    def __call__(self, pixels: Pixels) -> Outputs:
        with self._turn:
            probabilities, embedding = self.session.run(
                ["probabilities", "embedding"], {"image": pixels}
            )
        return probabilities, embedding


def _session(path: Path, device: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = device != "directml"
    providers = list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))
    try:
        with warnings.catch_warnings(action="ignore"):  # of providers: the check below tells
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises many kinds, none of them exported
        raise _not_open(path, error) from None
    if session.get_providers()[0] != providers[0]:
        raise not_here(device, "does not start: see what onnxruntime says above")
    return session


def _not_open(path: Path, error: Exception) -> ModelFileError:
    reason = str(error).splitlines()[0][:200]
    return ModelFileError(
        f"{path} is not an ONNX model that onnxruntime can open: {reason}", hint=EXPECTED
    )


def _card(session: Any, path: Path) -> Card:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ModelFileError(
            f"{path} is an ONNX model without a card, so its classes are unknown", hint=EXPECTED
        )
    return Card.from_json(text)


class OpenVinoEngine:
    """OpenVINO on the CPU, for an ONNX file or OpenVINO's own.

    Unless a `precision` is named, bf16 or f32, it is bfloat16 where the processor computes with it:
    that is faster, and docs/guide/export-and-predict.md has what it changes.
    """

    batch = 1

    def __init__(self, path: Path, side: int, precision: str | None = None) -> None:
        from ..core.openvino import compile_for_cpu, has_bf16

        self.workers = cores()
        precision = precision or ("bf16" if has_bf16() else "f32")
        self.where = f"the CPU by OpenVINO in {precision}"
        try:
            self._run = compile_for_cpu(path, self.workers, precision, (1, side, side, 3))
        except Exception as error:  # OpenVINO raises RuntimeError for all that it can't do
            raise ModelFileError(f"OpenVINO can't run {path}: {str(error)[:300]}") from None

    def __call__(self, pixels: Pixels) -> Outputs:
        rows = [self._run(pixels[i : i + 1]) for i in range(len(pixels))]
        probabilities, embeddings = zip(*rows, strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)


def start_onnx(path: Path, device: str, side: int) -> Engine:
    """What runs an ONNX file, which takes pictures of `side` pixels, on a device.

    `auto` is a GPU that is there, else the CPU. Raises `UsageError` for a device that is not.
    """
    if device == "auto":
        return _start_auto(path, side)
    check_here(device)
    return OpenVinoEngine(path, side) if device == "openvino" else OnnxEngine(path, device)


def _start_auto(path: Path, side: int) -> Engine:
    for device in [name for name in GPUS if name in devices_here()]:
        try:
            return start_onnx(path, device, side)
        except UsageError as error:
            log.warning("%s; the CPU answers", error.message)
    return start_onnx(path, "cpu", side)


class TorchEngine:
    """The deployed graph of a `.pt` model file, run by PyTorch."""

    def __init__(self, network: Any, device: str = "cpu") -> None:
        self.network = network if device == "cpu" else network.to(device)
        self.device = device
        self.workers = cores()
        self.batch = 1 if device == "cpu" else GPU_BATCH
        self.where = f"{'the CPU' if device == 'cpu' else device} by PyTorch"

    def __call__(self, pixels: Pixels) -> Outputs:
        import torch

        from ..model.device import one_thread

        with one_thread(self.device == "cpu"), torch.inference_mode():
            probabilities, embedding = self.network(torch.tensor(pixels, device=self.device))
        return probabilities.cpu().numpy(), embedding.cpu().numpy()

    def quick(self, card: Card) -> Quick | None:
        """The same graph for many pictures; None where it has no parts that are known."""
        from ..model.quick import quick

        return quick(self.network, card.preprocess) if self.device == "cpu" else None


def torch_device(wanted: str) -> str:
    """The device for a `.pt` file: `auto` takes a GPU that PyTorch knows, else the CPU."""
    import torch

    from ..model.device import choose_device

    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"the device {wanted} runs ONNX models, a .pt model runs on cpu or cuda",
            hint="pizzaiolo export RUN --out model.onnx",
        )
    has_cuda = torch.cuda.is_available()
    return choose_device(("cuda" if has_cuda else "cpu") if wanted == "auto" else wanted).type
