"""`pizzaiolo export`: a RUN or `.pt` file becomes one ONNX file, kept only if it agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..config import ExportConfig
from ..console import log
from ..core.bundle import atomic_path, find_model
from ..core.manifest import Dataset
from ..errors import DatasetError, InputError, ModelFileError, UsageError
from ..predict import Predictor, TorchEngine, expand, load_file
from .parity import Parity, check, compare, load_pixels

FORMATS = {".onnx": "onnx"}


def export(
    model: Path | str,
    out: Path | str,
    config: ExportConfig = ExportConfig(),
    *,
    sample: Path | str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    """Write a model file for use without PyTorch, checked on real pictures before it is kept.

    The pictures of the check come from `sample` (a DATASET or a folder), else from the data
    set that the RUN was trained on (its validation split). Returns what `export --json` prints.
    Raises `GateError` when the file disagrees with PyTorch; then no file is left.
    """
    source, target = find_model(Path(model)), Path(out)
    if target.suffix not in FORMATS:
        raise UsageError(
            f"--out is {target.name}, which ends with {target.suffix or 'nothing'!r}",
            hint=f"expected a name that ends with {' or '.join(FORMATS)}",
        )
    if target.is_dir():
        raise UsageError(f"--out is {target}, which is a folder, expected a file to write")
    if source.suffix != ".pt":
        raise ModelFileError(f"{source} is exported already, expected a RUN or a .pt file")
    reference = load_file(source, code)
    files = _pictures(source, sample, config.pictures)
    parity = _export_checked(reference, target, files, config)
    return {
        "file": str(target),
        "format": FORMATS[target.suffix],
        "bytes": target.stat().st_size,
        "parity": parity.to_dict(),
        "gate": {"tolerance": config.tolerance, "passed": True},
    }


def _export_checked(
    reference: Predictor, target: Path, files: list[Path], config: ExportConfig
) -> Parity:
    from .onnx import write_onnx

    assert isinstance(reference.engine, TorchEngine)
    files, pixels = load_pixels(reference, files)
    with atomic_path(target) as temporary:
        draft = temporary.with_name(temporary.name + target.suffix)
        try:
            write_onnx(reference.engine.network, reference.card, draft, config.opset)
            parity = compare(reference, load_file(draft), files, pixels)
            check(parity, config.tolerance)
            draft.replace(temporary)
        finally:
            draft.unlink(missing_ok=True)
    return parity


def _pictures(model: Path, given: Path | str | None, count: int) -> list[Path]:
    """Up to `count` pictures, spread evenly over the data set or folder."""
    if given is not None and not (Path(given) / "dataset.json").is_file():
        return _spread(list(expand([str(given)])), count)
    root = Path(given) if given is not None else _training_data(model)
    dataset = Dataset.open(root)
    return _spread([dataset.picture(row) for row in dataset.split("validation")], count)


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


def _spread(files: list[Path], count: int) -> list[Path]:
    kept = min(count, len(files))
    return [files[i * len(files) // kept] for i in range(kept)]
