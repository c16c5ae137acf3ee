"""`pizzaiolo export MODEL --web DIR`: a page that runs the model in the browser.

The page is a folder of plain files that asks nothing of a server and nothing of the network: it
can be copied to any web host, or opened from a disk. The model and its runtime are scripts that
hold gzip in base64, since a page from a disk may load scripts only.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from .. import __version__
from ..config import ExportConfig
from ..console import note
from ..core.bundle import find_model, result_folder
from ..core.card import Card
from ..core.labels import Labels, human
from ..core.shell import TEMPLATES
from ..errors import ModelFileError, UsageError
from ..predict import load_file
from .run import export
from .web_runtime import NAME, VERSION, Runtime, load_runtime

PAGE = Path(__file__).parent / "page"
OWN_FILE = "pizzaiolo.json"  # by which an earlier page is known
COPIED = (TEMPLATES / "answers.js", TEMPLATES / "answers.css", TEMPLATES / "camera.js",
          PAGE / "page.css", PAGE / "parts.js", PAGE / "app.js")  # fmt: skip
# Behind the runtime's script:
WORKER = ("image.js", "jpeg.js", "colour.js", "jpeg_pixels.js", "decide.js", "worker.js")
PER_FILE = 3_000_000  # packed bytes; a multiple of 3, so that only the last file is padded


@dataclass(frozen=True)
class Source:
    """The model of a page: its ONNX file's bytes, its card, and how it agreed with PyTorch."""

    network: bytes
    card: Card
    checked: dict[str, Any]


def export_web(
    model: Path | str,
    folder: Path | str,
    config: ExportConfig = ExportConfig(),
    *,
    sample: Path | str | None = None,
    code: str | None = None,
    runtime: Path | None = None,
) -> dict[str, Any]:
    """Write a page into `folder` that answers photos in the browser, with no server behind it.

    A RUN or `.pt` file is exported to ONNX first, checked as `export` does it (`sample`,
    `config`); an `.onnx` file is taken as it is. `runtime` is the archive of onnxruntime-web,
    which is fetched once otherwise. Returns what `export --json` prints. Raises `GateError` for
    a model that disagrees with PyTorch, `StorageError` for a folder that holds something else.
    """
    path, target = find_model(Path(model)), Path(folder)
    if target.is_file():
        raise UsageError(f"--web is {target}, which is a file, expected a folder to write")
    if path.suffix not in (".pt", ".onnx"):
        raise ModelFileError(
            f"{path} can't run in a browser, expected a RUN, a .pt or an .onnx file",
            hint="pizzaiolo export RUN --web DIR",
        )
    engine = load_runtime(runtime)
    source = _source(path, config, sample, code)
    with result_folder(target, "web page", OWN_FILE) as draft:
        _write(draft, source, engine)
    return {
        "file": str(target / "index.html"),
        "format": "web",
        "bytes": sum(file.stat().st_size for file in _files(target)),
        **source.checked,
    }


def _source(
    path: Path, config: ExportConfig, sample: Path | str | None, code: str | None
) -> Source:
    if path.suffix == ".onnx":
        checked: dict[str, Any] = {"parity": None, "gate": None}  # when it was exported
        return Source(path.read_bytes(), load_file(path).card, checked)
    with tempfile.TemporaryDirectory(prefix="pizzaiolo-") as folder:
        file = Path(folder) / "model.onnx"
        result = export(path, file, config, sample=sample, code=code)
        checked = {key: result[key] for key in ("parity", "gate")}
        return Source(file.read_bytes(), load_file(file).card, checked)


def _write(folder: Path, source: Source, engine: Runtime) -> None:
    note("packing the model and its runtime into the page ...")
    worker = [engine.script, *((PAGE / name).read_bytes() for name in WORKER)]
    contents = {
        "worker": b"\n;\n".join(worker),
        "glue": engine.glue,
        "wasm": engine.wasm,
        "model": source.network,
    }
    (folder / "parts").mkdir()
    parts = {name: _pack(folder, name, data) for name, data in contents.items()}
    facts = {
        "card": source.card.to_dict(),
        "parts": parts,
        "bytes": {name: len(data) for name, data in contents.items()},
        "versions": {"pizzaiolo": __version__, NAME: VERSION},
    }
    _text(folder / "card.js", f"const CARD = {json.dumps(facts)};\n")
    for file in COPIED:
        _text(folder / file.name, file.read_text(encoding="utf-8"))
    _text(folder / "index.html", _index(source.card.labels))
    licences = _template("LICENCES.txt")
    weights = source.card.weights_licence
    _text(folder / "LICENCES.txt", licences.substitute(version=VERSION, weights=weights))
    about = {**facts, "card": source.card.summary()}
    _text(folder / OWN_FILE, json.dumps(about, ensure_ascii=False, indent=2) + "\n")


def _pack(folder: Path, name: str, data: bytes) -> list[dict[str, Any]]:
    """Write `data` as scripts; their paths in the page and their bytes."""
    packed = gzip.compress(data, compresslevel=9, mtime=0)
    written = []
    for place, chunk in enumerate(_chunks(packed)):
        path = f"parts/{name}-{place}.js"
        text = f'part("{name}", {place}, "{base64.b64encode(chunk).decode()}");\n'
        _text(folder / path, text)
        written.append({"path": path, "bytes": len(text)})
    return written


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PER_FILE):
        yield data[start : start + PER_FILE]


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _index(labels: Labels) -> str:
    title = f"{human(labels.positive)}, or not?" if labels.positive else "What is it?"
    return _template("index.html").substitute(title=html.escape(title))


def _template(name: str) -> Template:
    return Template((PAGE / name).read_text(encoding="utf-8"))


def _files(folder: Path) -> list[Path]:
    """The page's files; others that lie in the folder are not counted."""
    names = ("index.html", "card.js", "LICENCES.txt", OWN_FILE, *(file.name for file in COPIED))
    return [*(folder / name for name in names), *(folder / "parts").iterdir()]
