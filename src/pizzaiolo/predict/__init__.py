"""Step 7, answers: a model file and pictures become verdicts, one or millions."""

from .answer import Answer
from .engines import Engine, OnnxEngine, Pixels, TorchEngine
from .predictor import BATCH, Embedding, Predictor, Source, load_file
from .sources import expand

__all__ = [
    "BATCH", "Answer", "Embedding", "Engine", "OnnxEngine", "Pixels", "Predictor", "Source",
    "TorchEngine", "expand", "load_file",
]  # fmt: skip
