"""Arguments and results of an exported program's calls, as its JSON describes them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..errors import ModelFileError

Values = dict[str, Any]  # what the graph has computed, by name
Argument = Callable[[Values], Any]

# The numbers that PyTorch's format gives to types and orders of memory
TYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_FORMATS = {
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d,
    4: torch.preserve_format,
}  # fmt: skip
_STRIDED = 7
_ONE = ("as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor")
_SEVERAL = ("as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools")
_PLAIN = {
    "as_int": int, "as_float": float, "as_bool": bool, "as_string": str, "as_ints": list,
    "as_floats": list, "as_bools": list, "as_strings": list, "as_int_lists": list,
}  # fmt: skip


def reader(arg: Mapping[str, Any]) -> Argument:
    """How an argument is had from what was computed before."""
    ((kind, value),) = arg.items()
    if kind == "as_name":
        return operator.itemgetter(value)
    if kind == "as_tensor":
        return operator.itemgetter(value["name"])
    if kind in _ONE:
        return reader(value)
    if kind in _SEVERAL:
        parts = [reader(_whole(part)) for part in value]
        return lambda values: [part(values) for part in parts]
    fixed = _fixed(kind, value)
    return lambda _: fixed


def _whole(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A member of a list as it would stand alone: tensors are written shorter there."""
    return {"as_tensor": part} if "name" in part else part


def _fixed(kind: str, value: Any) -> Any:
    if kind == "as_none":
        return None
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    if kind == "as_scalar_type":
        return TYPES[value]
    if kind == "as_memory_format":
        return _FORMATS[value]
    if kind == "as_layout" and value == _STRIDED:
        return torch.strided
    if kind == "as_device" and value["type"] == "cpu":
        return torch.device("cpu")
    raise ModelFileError(f"its graph has an argument of the kind {kind}, which is not known")


def result_names(output: Mapping[str, Any]) -> Any:
    """The name of a result, None where it has none, or the names of a list of results."""
    ((kind, value),) = output.items()
    if kind == "as_none":
        return None
    if kind in ("as_tensor", "as_name"):
        return value["name"] if kind == "as_tensor" else value
    if kind in _ONE:
        return result_names(value)
    if kind in _SEVERAL:
        return [result_names(_whole(part)) for part in value]
    raise ModelFileError(f"its graph has a result of the kind {kind}, which is not known")


def bind(values: Values, results: Sequence[Any], found: Any) -> None:
    """Keep what a call has given by the names of its results."""
    for name, value in zip(results, [found] if len(results) == 1 else found, strict=True):
        if isinstance(name, list):
            values.update(zip(name, value, strict=True))
        else:
            values[name] = value


def mentioned(facts: Any) -> Iterable[str]:
    """The names of all values that a call reads or gives."""
    if isinstance(facts, list):
        for item in facts:
            yield from mentioned(item)
    elif isinstance(facts, dict):
        for key, item in facts.items():
            if key == "as_name":
                yield item
            elif key == "as_tensor":
                yield item["name"]
            else:
                yield from mentioned([_whole(i) for i in item] if key in _SEVERAL else item)
