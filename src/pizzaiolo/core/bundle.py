"""Files that are whole or absent: atomic writes, and reading the card of any model file."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import ModelFileError, StorageError, explain_os_error
from .card import Card

KINDS = {
    ".pt": "pytorch",
    ".onnx": "onnx",
    ".ts": "torchscript",
    ".pt2": "exported_program",
    ".xml": "openvino",
}
CARD_KEY = "pizzaiolo_card"
DAMAGE = (  # what a damaged archive raises when it is read
    zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError,
)  # fmt: skip
UNFINISHED = ".unfinished"  # stands in a result's folder until the result is whole


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to it when the block succeeds, removed when not.

    Raises `StorageError` for a full disk or a folder that can't be written.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder, expected a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise explain_os_error(error) from None
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise explain_os_error(error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or none."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file or none."""
    write_bytes(path, text.encode())


def new_folder(path: Path, what: str, own_file: str) -> Path:
    """Make the folder of a result, or take one that is empty or holds an earlier such result.

    `own_file` is the file by which an earlier result is known, `UNFINISHED` tells of one that
    was cut off; any other content is left alone and is an error, so that a mistyped `--out`
    harms nothing.
    """
    if path.exists() and not path.is_dir():
        raise StorageError(f"{path} is a file, expected a folder for the {what}")
    try:
        path.mkdir(parents=True, exist_ok=True)
        known = any((path / name).exists() for name in (own_file, UNFINISHED))
        strangers = any(path.iterdir()) and not known
    except OSError as error:
        raise explain_os_error(error) from None
    if strangers:
        raise StorageError(
            f"{path} holds other files and no earlier {what}",
            hint="choose an empty or a new folder with --out",
        )
    if not os.access(path, os.W_OK):
        raise StorageError(f"no permission to write to {path}", hint="choose another --out")
    return path


@contextmanager
def result_folder(
    path: Path,
    what: str,
    own_file: str,
    resumed: str | None = None,
    kept_after: type[BaseException] = KeyboardInterrupt,
) -> Iterator[Path]:
    """A folder for a result's files, which move into `path` together when the block succeeds.

    Until then an earlier result in `path` stays as it is; when the block fails nothing is left
    of the new one, but that a killed block, or one that ends by `kept_after`, leaves the file or
    folder `resumed` inside the draft to the next. Raises `StorageError` as `new_folder` does,
    and for a full disk.
    """
    is_new = not path.exists()
    draft = new_folder(path, what, own_file) / UNFINISHED
    try:
        _clear(draft, resumed)
        draft.mkdir(exist_ok=True)
        yield draft
    except BaseException as error:
        with suppress(OSError):
            _clear(draft, resumed if isinstance(error, kept_after) else None)
            if is_new:
                path.rmdir()
        if isinstance(error, OSError):
            raise explain_os_error(error) from None
        raise
    _publish(draft, path, own_file)


def _publish(draft: Path, path: Path, own_file: str) -> None:
    """Old files go before new ones come: those of two results never stand side by side."""
    names = sorted((file.name for file in draft.iterdir()), key=lambda name: name != own_file)
    try:
        for name in names:
            _remove(path / name)
        for name in reversed(names):
            (draft / name).replace(path / name)
        draft.rmdir()
    except OSError as error:
        raise explain_os_error(error) from None


def _clear(draft: Path, kept: str | None) -> None:
    """Remove a draft, but for its file or folder `kept`."""
    inside = draft / kept if kept else draft
    if not kept or not (inside.is_file() or (inside.is_dir() and any(inside.iterdir()))):
        _remove(draft)
        return
    for parent in (inside, *inside.parents):
        if parent == draft:
            return
        for other in parent.parent.iterdir():
            if other != parent:
                _remove(other)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where pizzaiolo keeps what it can make again (`PIZZAIOLO_CACHE`, else the user's cache)."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("PIZZAIOLO_CACHE")
    return Path(chosen) if chosen else user_cache_path("pizzaiolo")


def find_model(path: Path) -> Path:
    """The model file behind a MODEL argument: a RUN folder's `model.pt`, or the file itself."""
    if path.is_dir():
        inside = path / "model.pt"
        if inside.is_file():
            return inside
        raise ModelFileError(
            f"{path} is a folder without model.pt, expected a RUN or a model file",
            hint="pizzaiolo train DATASET --out RUN makes one",
        )
    if not path.is_file():
        raise ModelFileError(
            f"there is no model at {path}",
            hint="give a RUN folder or a model file, or leave --model out to use the starter",
        )
    if path.suffix not in KINDS:
        raise ModelFileError(
            f"{path.name} ends with {path.suffix or 'nothing'!r}, expected {either(KINDS)}",
            hint="pizzaiolo export RUN --out model.onnx",
        )
    return path


def either(words: Iterable[str]) -> str:
    """`.pt, .onnx or .ts`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def save_pt(path: Path, card: Card, state: dict[str, Any]) -> None:
    """Write a `.pt` model file: card and tensors only, readable with `weights_only=True`."""
    save_tensors(path, {CARD_KEY: card.to_json(), "state": state})


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all; `StorageError` for a full disk."""
    import torch

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch's archive hides the fault of the disk behind its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_pt(path: Path) -> tuple[Card, dict[str, Any]]:
    """The card and the tensors of a `.pt` model file; nothing in it is ever executed."""
    import torch

    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise not_ours(path, str(error).splitlines()[0][:200]) from None
    if not isinstance(content, dict) or CARD_KEY not in content:
        raise not_ours(path, "it holds no card")
    if not isinstance(content.get("state"), dict):
        raise not_ours(path, "it holds no tensors")
    return Card.from_json(content[CARD_KEY]), content["state"]


def _check_archive(path: Path) -> None:
    """PyTorch itself doesn't look at the sums that an archive holds over its parts."""
    if not zipfile.is_zipfile(path):
        raise not_ours(path, "it is no archive of tensors")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except DAMAGE:
        damaged = "its list of parts"
    if damaged is not None:
        raise broken(path, f"{damaged} is damaged")


def broken(path: Path, why: str) -> ModelFileError:
    """The error for a model file that is not as it was written."""
    return ModelFileError(
        f"{path} is not as it was written: {why}", hint="copy it or export it again"
    )


def not_ours(path: Path, why: str) -> ModelFileError:
    """The error for a file that is no model file, or no whole one."""
    return ModelFileError(
        f"{path} is not a model file of pizzaiolo: {why}",
        hint="expected what `pizzaiolo train` or `pizzaiolo export` wrote",
    )
