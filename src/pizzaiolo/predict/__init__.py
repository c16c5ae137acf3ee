"""Step 7, answers: a model file and pictures become verdicts, one or millions."""

from .answer import Answer
from .devices import DEVICES, check_device
from .engines import Engine, OnnxEngine, OpenVinoEngine, Pixels, TorchEngine
from .given import Source
from .predictor import BATCH, Embedding, Predictor, load_file
from .sources import expand

__all__ = [
    "BATCH", "DEVICES", "Answer", "Embedding", "Engine", "OnnxEngine", "OpenVinoEngine", "Pixels",
    "Predictor", "Source", "TorchEngine", "check_device", "expand", "load_file",
]  # fmt: skip
