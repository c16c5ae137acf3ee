"""The starter: pizza or not pizza with no training at all.

EfficientNet-Lite0 was trained on ImageNet, whose class 963 is "pizza, pizza pie". The model file
is built once into the user's cache; every command that takes `--model` uses it when none is given.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from .console import log, note
from .core.bundle import cache_folder, find_model
from .errors import MissingExtraError, ModelFileError, UsageError, extras_explained
from .predict import Predictor, check_device, load_file

VERSION = 3


def load(
    model: Path | str | None = None,
    code: str | None = None,
    device: str = "auto",
    labels: Sequence[str] | None = None,
) -> Predictor:
    """A Predictor from a RUN folder or a model file, or the starter where none is named.

    `code` ("path/to/file.py:Class") names the source of a `.pt` model of a person's own module.
    `device` is `cpu`, `cuda`, `openvino`, `coreml`, `directml`, or `auto`: a GPU that is there,
    else the CPU. `labels` are the classes of an ONNX model that has no card, in the order of its
    outputs. Raises `ModelFileError` for another kind or version of file, and `UsageError` for a
    device that is not there.

    Example:
        >>> answer = pizzaiolo.load().predict("dinner.jpg")     # doctest: +SKIP
        >>> answer.verdict, round(answer.confidence, 2)         # doctest: +SKIP
        ('Pizza', 0.98)
    """
    if model is None and labels:
        raise UsageError("labels are for a model file without a card, and no model is named")
    if model is None:
        predictor = _starter(device)
    else:
        with extras_explained():
            predictor = load_file(find_model(Path(model)), code, device, labels)
    expected = device == "auto" and predictor.where.startswith("the CPU")
    log.log(logging.DEBUG if expected else logging.INFO, "answering on %s", predictor.where)
    return predictor


def starter_file() -> Path:
    """The starter's model file in the user's cache, built on first use (about half a minute)."""
    _starter("cpu")
    return _path()


def _path() -> Path:
    return cache_folder() / f"starter-v{VERSION}.onnx"


def _starter(device: str) -> Predictor:
    check_device(device)
    if _path().is_file():
        try:
            return load_file(_path(), device=device)
        except ModelFileError:
            note(f"the starter at {_path()} is damaged, building it again")
    _build(_path())
    return load_file(_path(), device=device)


def _build(path: Path) -> None:
    try:
        from .export.starter import build_starter
    except ImportError as error:
        raise MissingExtraError(
            f"the starter is built by PyTorch, and {error.name!r} is not installed",
            hint="pip install 'pizzaiolo[train]', or name a model file with --model",
        ) from None
    note("building the starter model once (EfficientNet-Lite0, ImageNet weights) ...")
    build_starter(path)
