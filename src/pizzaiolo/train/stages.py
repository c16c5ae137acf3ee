"""Cuts a backbone in two: a frozen prefix, computed once for each picture, and a trainable tail."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

SHARE = 1 / 3  # of a picture's multiply-adds: what the tail may cost
TRIED = 4  # places that are tried, the earliest first
TOLERANCE = 1e-4  # between the two parts and the whole, of the largest value


@dataclass(frozen=True)
class Cut:
    """Two networks that are the backbone when one follows the other.

    `prefix` takes pictures [N, 3, H, W] to activations [N, *shape], `tail` takes these to
    embeddings [N, D]. Their tensors are the backbone's own: to train the tail is to train it.
    `share` is what the tail costs of all multiply-adds.
    """

    prefix: nn.Module
    tail: nn.Module
    shape: tuple[int, ...]
    share: float
    after: str  # the name of the prefix's last module


@dataclass
class Place:
    """A place to cut: after the module `name`, with all modules up to it in `before`."""

    name: str
    before: tuple[str, ...]
    shape: tuple[int, ...]
    share: float


def cut(backbone: nn.Module, side: int, most_values: int) -> Cut | None:
    """The largest tail that costs at most a third of the multiply-adds; None if there is none.

    A picture (`side` pixels) may have at most `most_values` activations. That the two parts are
    the whole is verified by numbers, so a backbone that can't be taken apart in this way gets no
    cut: one whose parts don't follow each other in a row, or are too few.
    """
    was_training = backbone.training
    backbone.eval()
    try:
        places = (
            place
            for place in _places(backbone, _noise(backbone, 1, side))
            if 0 < place.share <= SHARE and math.prod(place.shape) <= most_values
        )
        pictures = _noise(backbone, 2, side)
        for place in islice(places, TRIED):
            if (made := _cut_at(backbone, place, pictures)) is not None:
                return made
    finally:
        backbone.train(was_training)
    return None


def _noise(backbone: nn.Module, count: int, side: int) -> Tensor:
    """Random pictures that leave the generators where they stand."""
    first = next(backbone.parameters())
    drawn = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return drawn.to(first.device, first.dtype)


def _parts(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules in a row that the network is made of; containers are opened."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _parts(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _places(backbone: nn.Module, picture: Tensor) -> list[Place]:
    """Where the network may be cut, in the order in which its parts run."""
    ran: list[tuple[str, Any]] = []

    def listen(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: ran.append((name, output))

    hooks = [part.register_forward_hook(listen(name)) for name, part in _parts(backbone)]
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.no_grad():
            backbone(picture)
    finally:
        for hook in hooks:
            hook.remove()
    counts, total = counter.get_flop_counts(), max(1, counter.get_total_flops())
    places, done, names = [], 0, [name for name, _ in ran]
    for number, (name, output) in enumerate(ran, 1):
        done += sum(counts.get(f"{type(backbone).__name__}.{name}", {}).values())
        if names.count(name) > 1 or not isinstance(output, Tensor):
            break
        share = (total - done) / total
        places.append(Place(name, tuple(names[:number]), tuple(output.shape[1:]), share))
    return places


def _cut_at(backbone: nn.Module, place: Place, pictures: Tensor) -> Cut | None:
    """The two parts, if one after the other is the whole."""
    try:
        prefix, tail = Prefix(_twin(backbone), place.name), _twin(backbone)
        for name in place.before:
            tail.set_submodule(name, Skipped())
        _keep_tokens(tail)
        with torch.no_grad():
            expected, found = backbone(pictures), tail(prefix(pictures))
    except Exception:  # whatever a network's code raises on what is not a picture
        return None
    limit = TOLERANCE * float(expected.abs().max())
    if found.shape != expected.shape or not torch.allclose(found, expected, TOLERANCE, limit):
        return None
    return Cut(prefix, tail, place.shape, place.share, place.name)


def _twin(network: nn.Module) -> nn.Module:
    """The same network in other modules: its tensors are the very same objects."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _keep_tokens(tail: nn.Module) -> None:
    """A vision transformer of timm adds its positions outside of its modules: no second time."""
    if not hasattr(tail, "_pos_embed"):
        return
    tail._pos_embed = _unchanged  # type: ignore[assignment]
    for name in ("cls_token", "reg_token", "dist_token", "pos_embed"):
        if name in dict(tail.named_parameters(recurse=False)):
            tail.register_parameter(name, None)


def _unchanged(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x


class Skipped(nn.Module):
    """Stands for a part that has run already, whatever it was given beside its input."""

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        return x


class Prefix(nn.Module):
    """A network up to one of its modules: what that gives, and nothing behind it runs."""

    def __init__(self, network: nn.Module, last: str) -> None:
        super().__init__()
        self.network = network
        network.get_submodule(last).register_forward_hook(_stop)

    def forward(self, x: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> activations."""
        try:
            self.network(x)
        except _Reached as reached:
            return reached.output
        raise RuntimeError("the last module of the prefix did not run")


class _Reached(Exception):
    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


def _stop(module: nn.Module, inputs: Any, output: Tensor) -> None:
    raise _Reached(output)
