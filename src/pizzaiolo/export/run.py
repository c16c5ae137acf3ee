"""`pizzaiolo export`: a RUN or `.pt` file becomes a graph for use elsewhere, kept if it agrees."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..config import ExportConfig
from ..console import log
from ..core.bundle import KINDS, atomic_path, either, find_model
from ..core.manifest import Dataset
from ..core.openvino_file import weights_of
from ..errors import DatasetError, GateError, InputError, ModelFileError, UsageError
from ..predict import Predictor, TorchEngine, expand, load_file
from .parity import Parity, check, compare, load_pixels, spread

FORMATS = {suffix: kind for suffix, kind in KINDS.items() if suffix != ".pt"}
INT8 = ".int8.onnx"
NOTES = {"torchscript": "PyTorch has deprecated TorchScript; .pt2 is its successor"}


def export(
    model: Path | str,
    out: Path | str,
    config: ExportConfig = ExportConfig(),
    *,
    sample: Path | str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    """Write a model file for use elsewhere, checked on real pictures before it is kept.

    The suffix of `out` says what is written: `.onnx`, `.int8.onnx`, `.ts`, `.pt2`, or `.xml` with
    its `.bin`. The pictures of the check come from `sample` (a DATASET or a folder), else from the
    data set that the RUN was trained on (its validation split). Returns what `export --json`
    prints. Raises `GateError` when the file disagrees with PyTorch; then no file is left.
    """
    source, target = find_model(Path(model)), Path(out)
    is_int8 = config.int8 or target.name.endswith(INT8)
    _check_target(target, is_int8)
    if source.suffix != ".pt":
        raise ModelFileError(
            f"{source} is exported already, expected a RUN or a .pt file",
            hint="every format is made from the RUN: pizzaiolo export RUN --out FILE",
        )
    reference = load_file(source, code)
    files = _pictures(source, sample, config.pictures)
    dataset = _dataset(source, sample) if is_int8 else None
    with _drafted(target) as draft:
        told = _write(reference, draft, files, dataset, config)
    kind = FORMATS[target.suffix]
    size = sum(part.stat().st_size for part in _parts(target))
    notes = [*([NOTES[kind]] if kind in NOTES else []), *told.pop("notes", [])]
    name = f"{kind}-int8" if is_int8 else kind
    return {"file": str(target), "format": name, "bytes": size, **told, "notes": notes}


def _check_target(target: Path, is_int8: bool) -> None:
    if target.suffix not in FORMATS:
        raise UsageError(
            f"--out is {target.name}, which ends with {target.suffix or 'nothing'!r}",
            hint=f"expected a name that ends with {either([*FORMATS, INT8])}",
        )
    if is_int8 and target.suffix != ".onnx":
        raise UsageError(f"int8 is for .onnx files, --out is {target.name}")
    for part in _parts(target):
        if part.is_dir():
            raise UsageError(f"--out is {part}, which is a folder, expected a file to write")


def _parts(target: Path) -> list[Path]:
    """The files that an export writes."""
    return [target, weights_of(target)] if target.suffix == ".xml" else [target]


@contextmanager
def _drafted(target: Path) -> Iterator[Path]:
    """A path for a draft, whose files take their places when the block succeeds, the last first."""
    with ExitStack() as stack:
        places = [stack.enter_context(atomic_path(part)) for part in _parts(target)]
        folder = stack.enter_context(TemporaryDirectory(prefix=".export.", dir=target.parent))
        draft = Path(folder) / target.name
        yield draft
        for part, place in zip(_parts(draft), places, strict=True):
            part.replace(place)


def _write(
    reference: Predictor,
    draft: Path,
    files: list[Path],
    dataset: Dataset | None,
    config: ExportConfig,
) -> dict[str, Any]:
    """Write the draft and compare it; returns parity and gate."""
    from .formats import write

    assert isinstance(reference.engine, TorchEngine)
    files, pixels = load_pixels(reference, files)
    if dataset is not None:
        from .int8 import write_int8

        told = write_int8(reference, draft, dataset, config)
        parity = compare(reference, load_file(draft), files, pixels)
        _check_int8(parity)
        return {"parity": parity.to_dict(), **told, "notes": _speed(told["latency"])}
    write(reference.engine.network, reference.card, draft, config)
    parity = compare(reference, load_file(draft), files, pixels)
    check(parity, config.tolerance)
    return {
        "parity": parity.to_dict(),
        "gate": {"tolerance": config.tolerance, "passed": True},
    }


def _check_int8(parity: Parity) -> None:
    if not math.isfinite(parity.max_abs_difference):
        raise GateError("the int8 model gives probabilities that are no numbers")


def _speed(latency: dict[str, float]) -> list[str]:
    if latency["int8_ms"] < latency["fp32_ms"]:
        return []
    return ["int8 is no faster than float32 on this CPU; the file is smaller"]


def _pictures(model: Path, given: Path | str | None, count: int) -> list[Path]:
    """Up to `count` pictures, spread evenly over the data set or folder."""
    if given is not None and not _is_dataset(given):
        return spread([p for p in expand([str(given)]) if isinstance(p, Path)], count)
    dataset = _dataset(model, given)
    return spread([dataset.picture(row) for row in dataset.split("validation")], count)


def _is_dataset(folder: Path | str) -> bool:
    return (Path(folder) / "dataset.json").is_file()


def _dataset(model: Path, given: Path | str | None) -> Dataset:
    """The data set that is named, else the one that the RUN was trained on."""
    if given is not None and not _is_dataset(given):
        raise InputError(
            f"--sample is {given}, int8 needs a DATASET: training pictures for the ranges and "
            "validation pictures with labels for the gate",
            hint="leave --sample out, or name the DATASET",
        )
    return Dataset.open(Path(given) if given is not None else _training_data(model))


def _training_data(model: Path) -> Path:
    run = model.parent / "run.json"
    hint = "name a folder of pictures with --sample, the check needs some"
    try:
        root = Path(json.loads(run.read_text(encoding="utf-8"))["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{model} stands without the run.json of its RUN", hint=hint) from None
    if not root.is_dir():
        raise DatasetError(f"the training data {root} are gone", hint=hint)
    log.debug("checking on the validation pictures of %s", root)
    return root
