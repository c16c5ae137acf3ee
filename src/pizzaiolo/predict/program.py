"""Exported programs (.pt2): the graph is read as data and its operators are called one by one.

`torch.export.load` unpickles parts of a file, and evaluates and compiles texts in it. Here nothing
of a file is evaluated: the graph is JSON, its operators are looked up in a list, the weights are
plain numbers.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.archive import Records
from ..errors import ModelFileError
from .arguments import TYPES, Argument, Values, bind, mentioned, reader, result_names
from .operators import ON_SIZES, is_known, unknown

SCHEMA = 8  # of PyTorch's format
_KEYWORD = 2  # how an argument is given
GRAPH, EXAMPLE = "models/model.json", "data/sample_inputs/model.pt"


@dataclass(frozen=True)
class Step:
    """One call of an operator: its arguments, the names of its results, and what nothing needs
    after it."""

    call: Callable[..., Any]
    given: tuple[Argument, ...]
    named: dict[str, Argument]
    results: tuple[Any, ...]
    spent: tuple[str, ...] = ()

    def run(self, values: Values) -> None:
        """Call the operator on what was computed before, and keep its results."""
        found = self.call(
            *[read(values) for read in self.given],
            **{name: read(values) for name, read in self.named.items()},
        )
        bind(values, self.results, found)
        for name in self.spent:
            values.pop(name, None)


class Program:
    """A graph: uint8 [N, H, W, 3] -> probabilities [N, C], embedding [N, D]."""

    def __init__(
        self, constants: Values, image: str, steps: Sequence[Step], outputs: Sequence[str]
    ) -> None:
        self._constants, self._image = constants, image
        self.steps, self._outputs = steps, outputs

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        values = {**self._constants, self._image: image}
        for step in self.steps:
            step.run(values)
        return tuple(values[name] for name in self._outputs)


def load_program(records: Records) -> Program:
    """The graph of a .pt2 archive; raises `ModelFileError` for one that does more than compute."""
    if records.get(EXAMPLE):
        raise ModelFileError("it holds an example that would have to be unpickled")
    try:
        facts = json.loads(records[GRAPH])
        if facts["schema_version"]["major"] != SCHEMA:
            raise ModelFileError(
                f"its graph has version {facts['schema_version']['major']}, expected {SCHEMA}",
                hint="export it again",
            )
        return _program(facts["graph_module"], records)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, RuntimeError) as error:
        raise ModelFileError(
            f"its graph is damaged: {' '.join(str(error).split())[:200]}"
        ) from None


def _program(module: Mapping[str, Any], records: Records) -> Program:
    graph, signature = module["graph"], module["signature"]
    tensors = {
        **_tensors(records, "data/weights/", "model_weights_config.json"),
        **_tensors(records, "data/constants/", "model_constants_config.json"),
    }
    constants, image = _inputs(signature["input_specs"], tensors)
    found = [spec["user_output"]["arg"]["as_tensor"] for spec in signature["output_specs"]]
    outputs = [output["name"] for output in found]
    if len(outputs) != 2:
        raise ModelFileError(f"its graph has {len(outputs)} outputs, expected two")
    nodes = [node for node in graph["nodes"] if node["outputs"]]  # the others only check shapes
    return Program(constants, image, _steps(nodes, {*outputs, *constants}), outputs)


def _inputs(specs: Iterable[Mapping[str, Any]], tensors: Values) -> tuple[Values, str]:
    """The weights by the names that the graph calls them, and the name of the picture."""
    found: Values = {}
    images = []
    for spec in specs:
        (kind,) = spec
        name = (spec[kind]["arg"].get("as_tensor") or spec[kind]["arg"])["name"]
        if kind == "user_input":
            images.append(name)
        else:
            key = {"parameter": "parameter_name", "buffer": "buffer_name",
                   "tensor_constant": "tensor_constant_name"}[kind]  # fmt: skip
            found[name] = tensors[spec[kind][key]]
    if len(images) != 1:
        raise ModelFileError(f"its graph has {len(images)} inputs, expected one")
    return found, images[0]


def _tensors(records: Records, folder: str, config: str) -> Values:
    """Tensors of a folder by their names."""
    found = {}
    for name, facts in json.loads(records[folder + config])["config"].items():
        if facts["use_pickle"]:
            raise ModelFileError(f"{name[:100]} would have to be unpickled")
        found[name] = _tensor(records[folder + facts["path_name"]], facts["tensor_meta"])
    return found


def _tensor(data: bytes, facts: Mapping[str, Any]) -> Tensor:
    kind = TYPES[facts["dtype"]]
    sizes, strides = ([size["as_int"] for size in facts[key]] for key in ("sizes", "strides"))
    if not data:
        return torch.zeros(sizes, dtype=kind)
    flat = torch.frombuffer(bytearray(data), dtype=kind)
    return flat.as_strided(sizes, strides, facts["storage_offset"]["as_int"])  # within `data`


def _steps(nodes: Sequence[Mapping[str, Any]], kept: set[str]) -> list[Step]:
    """The calls in order; a value goes after its last use, or memory would hold all of them."""
    steps: list[Step] = []
    later = set(kept)
    for node in reversed(nodes):
        spent = set(mentioned(node["inputs"] + node["outputs"])) - later
        later |= spent
        steps.append(_step(node, tuple(spent)))
    return steps[::-1]


def _step(node: Mapping[str, Any], spent: tuple[str, ...]) -> Step:
    given = tuple(reader(i["arg"]) for i in node["inputs"] if i["kind"] != _KEYWORD)
    named = {i["name"]: reader(i["arg"]) for i in node["inputs"] if i["kind"] == _KEYWORD}
    results = tuple(result_names(output) for output in node["outputs"])
    return Step(_call(node["target"]), given, named, results, spent)


def _call(target: str) -> Callable[..., Any]:
    """The operator of a name on the list; `unknown` for all others."""
    space, _, rest = target.partition(".")
    if space == "_operator" and rest in ON_SIZES:
        found: Callable[..., Any] = getattr(operator, rest)
        return found
    head, _, overload = target.rpartition(".")
    head, _, name = head.rpartition(".")
    if head != "torch.ops.aten" or not is_known(name) or overload.startswith("_"):
        raise unknown(target)
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or overload not in packet.overloads():
        raise unknown(target)
    call: Callable[..., Any] = getattr(packet, overload)
    return call
