"""pizzaiolo: from a folder of photos to a picture recogniser that can be trusted and served.

The public names are loaded on first use, so that `import pizzaiolo` costs nothing. The steps
are folders and verbs at once: `pizzaiolo.prepare(...)` runs what `pizzaiolo.prepare` holds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_STEPS = ("prepare", "train", "evaluate", "improve", "export")
_NAMES = {
    "load": "pizzaiolo.starter",
    "Predictor": "pizzaiolo.predict",
    "Answer": "pizzaiolo.predict",
    "Dataset": "pizzaiolo.core.manifest",
    "Card": "pizzaiolo.core.card",
    "Labels": "pizzaiolo.core.labels",
    "Preprocess": "pizzaiolo.core.preprocess",
    "PrepareConfig": "pizzaiolo.config",
    "TrainConfig": "pizzaiolo.config",
    "EvaluateConfig": "pizzaiolo.config",
    "ImproveConfig": "pizzaiolo.config",
    "ExportConfig": "pizzaiolo.config",
    "ServeConfig": "pizzaiolo.config",
    "PizzaioloError": "pizzaiolo.errors",
}

__all__ = [
    "Answer",
    "Card",
    "Dataset",
    "EvaluateConfig",
    "ExportConfig",
    "ImproveConfig",
    "Labels",
    "PizzaioloError",
    "Predictor",
    "PrepareConfig",
    "Preprocess",
    "ServeConfig",
    "TrainConfig",
    "__version__",
    "evaluate",
    "export",
    "improve",
    "load",
    "prepare",
    "train",
]

if TYPE_CHECKING:
    from .config import (
        EvaluateConfig,
        ExportConfig,
        ImproveConfig,
        PrepareConfig,
        ServeConfig,
        TrainConfig,
    )
    from .core.card import Card
    from .core.labels import Labels
    from .core.manifest import Dataset
    from .core.preprocess import Preprocess
    from .errors import PizzaioloError
    from .evaluate.run import evaluate
    from .export.run import export
    from .improve.run import improve
    from .predict import Answer, Predictor
    from .prepare.run import prepare
    from .starter import load
    from .train.run import train


def __getattr__(name: str) -> Any:
    if name in _STEPS:
        return import_module(f"pizzaiolo.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'pizzaiolo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
