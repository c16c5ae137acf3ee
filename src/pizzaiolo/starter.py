"""The starter: pizza or not pizza with no training at all.

EfficientNet-Lite0 was trained on ImageNet, whose class 963 is "pizza, pizza pie". The model file
is built once into the user's cache; every command that takes `--model` uses it when none is given.
"""

from __future__ import annotations

from pathlib import Path

from .console import note
from .core.bundle import cache_folder, find_model
from .errors import MissingExtraError, ModelFileError, extras_explained
from .predict import Predictor, load_file

VERSION = 2


def load(model: Path | str | None = None, code: str | None = None) -> Predictor:
    """A Predictor from a RUN folder or a model file, or the starter where none is named.

    `code` ("path/to/file.py:Class") names the source of a `.pt` model of a person's own module.
    Raises `ModelFileError` for another kind or version of file.

    Example:
        >>> answer = pizzaiolo.load().predict("dinner.jpg")     # doctest: +SKIP
        >>> answer.verdict, round(answer.confidence, 2)         # doctest: +SKIP
        ('Pizza', 0.98)
    """
    if model is not None:
        with extras_explained():
            return load_file(find_model(Path(model)), code)
    return load_file(starter_file())


def starter_file() -> Path:
    """The starter's model file in the user's cache, built on first use (about half a minute)."""
    path = cache_folder() / f"starter-v{VERSION}.onnx"
    if path.is_file():
        try:
            load_file(path)
            return path
        except ModelFileError:
            note(f"the starter at {path} is damaged, building it again")
    try:
        from .export.starter import build_starter
    except ImportError as error:
        raise MissingExtraError(
            f"the starter is built by PyTorch, and {error.name!r} is not installed",
            hint="pip install 'pizzaiolo[train]', or name a model file with --model",
        ) from None
    note("building the starter model once (EfficientNet-Lite0, ImageNet weights) ...")
    build_starter(path)
    return path
