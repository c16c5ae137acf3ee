"""TorchScript (.ts): its code is read and checked before PyTorch compiles it.

A .ts file holds code in a language like Python, and pickles that PyTorch reads by a reader of its
own. Allowed is what `pizzaiolo export` writes: one class with one method `forward`, which calls
operators of the list, and pickles of tensors.
"""

from __future__ import annotations

import ast
import io
import pickletools
import re
import warnings
from typing import Any

from ..core.archive import Records, pack
from ..errors import ModelFileError
from .operators import is_known, unknown

# Two readers of the same text agree on what is plain: no comment, continuation or long string.
_PLAIN = re.compile(r"(?:(?!\"\"\"|''')[ -\"$-:<-\[\]-~\n])*")
_NODES = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AnnAssign,
    ast.Return, ast.Name, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, ast.Constant, ast.Call,
    ast.keyword, ast.UnaryOp, ast.USub, ast.Load, ast.Store,
)  # fmt: skip
_CASTS = ("int", "float", "bool", "annotate", "unchecked_cast")
_GLOBALS = re.compile(
    r"torch\._utils _rebuild_tensor_v2|torch \w+Storage|collections OrderedDict|__torch__\S* \w+"
)
# Opcodes that build something else
_OTHERS = (
    "INST", "OBJ", "STACK_GLOBAL", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER",
)  # fmt: skip


def load_script(records: Records) -> Any:
    """The graph of a .ts archive, ready to be called; raises `ModelFileError` for unsafe ones."""
    import torch

    check_script(records)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; the export has said so
        try:
            return torch.jit.load(io.BytesIO(pack(records)), map_location="cpu")  # type: ignore[no-untyped-call]
        except Exception as error:  # torch raises many kinds for what it can't compile
            raise ModelFileError(
                f"PyTorch can't read its TorchScript: {str(error).splitlines()[0][:200]}"
            ) from None


def check_script(records: Records) -> None:
    """Raise `ModelFileError` where an archive holds more than a graph of known operators."""
    codes = [name for name in records if name.startswith("code/")]
    if len(codes) != 1:
        raise ModelFileError(f"it holds {len(codes)} files of code, expected one")
    check_code(records[codes[0]].decode("utf-8", "replace"))
    for name in ("data.pkl", "constants.pkl"):
        _check_pickle(name, records.get(name, b""))


def check_code(text: str) -> None:
    """Raise `ModelFileError` for code that is more than a method `forward` of known operators."""
    if not _PLAIN.fullmatch(text):
        raise ModelFileError("its code has characters that TorchScript's own code has not")
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ModelFileError("its code can't be read") from None
    for node in nodes:
        if not isinstance(node, _NODES):
            raise ModelFileError(f"its code has a {type(node).__name__}, which no graph needs")
        if getattr(node, "decorator_list", None):
            raise ModelFileError("its code has a decorator, which no graph needs")
        if isinstance(node, ast.Call):
            _check_call(node.func)
    methods = [n.name for n in nodes if isinstance(n, ast.FunctionDef)]
    if methods != ["forward"] or sum(isinstance(n, ast.ClassDef) for n in nodes) != 1:
        raise ModelFileError(f"its code has the methods {methods}, expected one forward")


def _check_call(called: ast.expr) -> None:
    name = ast.unparse(called)
    space, _, operator = name.rpartition(".")
    if space in ("torch", "ops.aten") and is_known(operator):
        return
    if name in _CASTS or name in ("ops.prim.NumToTensor", "torch.device"):
        return
    raise unknown(name)


def _check_pickle(name: str, content: bytes) -> None:
    """Only tensors and the one object that holds them; nothing is built here."""
    try:
        steps = [(code.name, str(argument)) for code, argument, _ in pickletools.genops(content)]
    except (ValueError, IndexError):
        raise ModelFileError(f"{name} is damaged") from None
    for code, argument in steps:
        if code in _OTHERS or (code == "GLOBAL" and not _GLOBALS.fullmatch(argument)):
            raise ModelFileError(f"{name} builds {argument[:100]}, which no graph needs")
