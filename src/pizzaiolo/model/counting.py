"""How large and how costly an architecture is, counted on networks without memory.

The counts for one version of timm come with the package (`counts.csv`); those of another version
are taken when they are asked for and kept in the cache. To write the file anew:
`python -m pizzaiolo.model.counting`.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..console import track
from ..core.bundle import cache_folder, write_text
from ..errors import StorageError
from .cnn import CNN_SIZE, SmallCNN
from .torchvision_fix import timm

COUNTS = Path(__file__).with_name("counts.csv")


class Count(NamedTuple):
    """Numbers of parameters, and of multiply-adds for one picture (None: it can't be counted)."""

    parameters: int
    multiply_adds: int | None


def counts(names: Sequence[str]) -> dict[str, Count]:
    """The counts of each architecture with its own number of classes, at its own input."""
    path = cache_folder() / f"counts-timm-{timm().__version__}.json"
    kept = _kept(path)
    known = _shipped().get(timm().__version__, {}) | kept
    missing = [name for name in names if name not in known]
    if missing:
        counted = {name: count(name) for name in track(missing, "counting parameters")}
        known |= counted
        with suppress(StorageError):  # then they are counted again next time
            write_text(path, json.dumps(kept | counted))
    return {name: known[name] for name in names}


def _kept(path: Path) -> dict[str, Count]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {name: Count(int(row[0]), _whole(row[1])) for name, row in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return {}  # a damaged cache is no cache


@cache
def _shipped() -> dict[str, dict[str, Count]]:
    """The counts that came with the package, by the version of timm that they were taken with."""
    found: dict[str, dict[str, Count]] = {}
    with COUNTS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            taken = Count(int(row["parameters"]), _whole(row["multiply_adds"]))
            found.setdefault(row["timm"], {})[row["name"]] = taken
    return found


def _whole(value: str | int | None) -> int | None:
    return int(value) if value else None


def count(name: str) -> Count:
    """Parameters and multiply-adds of convolutions, matrix products and attention.

    A multiply-add counts as one, as papers count GFLOPs (ResNet-50: 4.1e9).
    """
    with _quiet(), torch.device("meta"):  # shapes only: no memory is taken, no number drawn
        network = SmallCNN() if name == "cnn" else timm().create_model(name)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        try:
            return Count(parameters, _multiply_adds(network, _input_shape(name)))
        except Exception:  # whatever a network's code raises on tensors without numbers
            return Count(parameters, None)


def _multiply_adds(network: nn.Module, shape: Sequence[int]) -> int:
    network.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, *shape))
    return int(counter.get_total_flops()) // 2  # it counts multiplication and addition


def _input_shape(name: str) -> Sequence[int]:
    config = None if name == "cnn" else timm().get_pretrained_cfg(name)
    side = CNN_SIZE if name == "cnn" else 224
    return tuple(config.input_size) if config else (3, side, side)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():  # of timm's about names that it has retired
        warnings.simplefilter("ignore")
        yield


def write_counts(names: Sequence[str], path: Path = COUNTS) -> None:
    """Count the architectures and write them as the file that comes with the package."""
    rows = [["timm", "name", *Count._fields]]
    for name in track(sorted(names), "counting"):
        found: Mapping[str, int | None] = count(name)._asdict()
        cells = ("" if value is None else str(value) for value in found.values())
        rows.append([timm().__version__, name, *cells])
    write_text(path, "".join(",".join(row) + "\n" for row in rows))


if __name__ == "__main__":
    write_counts(["cnn", *timm().list_models()])
