"""Why the model says so: which parts of a picture speak for a class.

HiResCAM (Draelos and Carin 2020) around the mean: at the last feature map that still has places,
(activation - its mean over the places) times gradient. That is, to first order, what the answer
would lose if the place looked like the average of the picture. On pictures composed of a pizza and
another dish 94 % of the map lies on the pizza, 90 % without the mean. What is explained are the
log-odds of the class, so that a sure answer, whose probability no longer moves, is explained too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.heat import Heat, unit
from ..predict import Predictor

if TYPE_CHECKING:
    from torch import Tensor, nn

Pixels = NDArray[np.uint8]

FEWEST_CELLS = 4  # along a side of a feature map; fewer tell no place
PREFIXES = (0, 1, 2, 5)  # tokens before those of the places: class, distillation, registers
ROUNDING = 1e-5  # of what a place says: places that differ by less are the same


@dataclass(frozen=True)
class Explanation:
    """Where a picture speaks for a class: `heat` [H, W], 0 to 1, or None and the `reason`.

    The heat is 1 at the strongest place, and 0 where a place says no more than the average; all
    over where every place says the same.
    """

    heat: Heat | None
    reason: str | None = None


class Explainer:
    """Explains the answers of one model; `reason` says why not, where it can't.

    Example:
        >>> explain = Explainer(pizzaiolo.load("run"))             # doctest: +SKIP
        >>> explain(pixels, place=1).heat.shape                    # doctest: +SKIP
        (224, 224)
    """

    def __init__(self, predictor: Predictor) -> None:
        self.reason: str | None = None
        self.maps: list[_Map] = []
        self.deployed: Any = getattr(predictor.engine, "network", None)
        if self.deployed is None:
            self.reason = "an exported model gives no gradients: evaluate the RUN it was made from"
            return
        for trunk in _trunks(self.deployed.network.backbone):
            found = _last_map(self.deployed, trunk, predictor.card.preprocess.size)
            if found is None:
                self.reason = "the model has no feature map: none of its values has a place"
                return
            self.maps.append(found)

    def __call__(self, pixels: Pixels, place: int) -> Explanation:
        """What speaks for the class at `place` in a preprocessed picture uint8 [H, W, 3]."""
        if self.reason is not None:
            return Explanation(None, self.reason)
        import torch

        layers = [found.layer for found in self.maps]
        finished, odds = _watch(self.deployed, layers, torch.tensor(pixels[None]), place)
        values = {id(layer): output for layer, output in finished}
        outputs = [values[id(layer)] for layer in layers]
        gradients = torch.autograd.grad(odds.sum(), outputs)
        parts = zip(self.maps, outputs, gradients, strict=True)
        added = [_added(*part, len(pixels)) for part in parts]  # each in log-odds
        return Explanation(unit(np.sum(added, axis=0)))


def explain(predictor: Predictor, pixels: Pixels, place: int) -> Explanation:
    """What speaks for the class at `place` in one preprocessed picture uint8 [H, W, 3].

    For many pictures make one `Explainer`.
    """
    return Explainer(predictor)(pixels, place)


@dataclass(frozen=True)
class _Map:
    """A layer whose output has places, and how its axes are to be read."""

    layer: nn.Module
    layout: str  # NCHW, NHWC or NTC
    cells: int  # along a side
    channels: int
    prefix: int = 0

    def grid(self, values: Tensor) -> Tensor:
        """The layer's output as [N, C, cells, cells]."""
        if self.layout == "NCHW":
            return values
        if self.layout == "NHWC":
            return values.permute(0, 3, 1, 2)
        places = values[:, self.prefix :].transpose(1, 2)
        return places.reshape(*places.shape[:2], self.cells, self.cells)


def _added(found: _Map, output: Tensor, gradient: Tensor, side: int) -> Heat:
    """What each pixel [side, side] adds to the log-odds, compared with an average place."""
    from torch.nn.functional import interpolate

    values, slopes = found.grid(output.detach()), found.grid(gradient)
    beyond = values - values.mean((2, 3), keepdim=True)
    cells = (beyond * slopes).sum(1, keepdim=True).float()
    cells[cells.abs() < ROUNDING * (values * slopes).abs().sum(1, keepdim=True)] = 0
    smooth = interpolate(cells, (side, side), mode="bilinear", align_corners=False)
    heat: Heat = smooth[0, 0].numpy() * found.cells**2  # finer cells are smaller, not weaker
    return heat


def _trunks(backbone: nn.Module) -> list[nn.Module]:
    """The members of an ensemble, or the one network that there is."""
    return list(getattr(backbone, "networks", [])) or [backbone]


def _last_map(deployed: Any, trunk: nn.Module, size: int) -> _Map | None:
    """The last layer whose output has places that the answer depends on.

    Of a transformer that reads its class token alone, that is not the last layer of all.
    """
    import torch

    ramp = torch.arange(2 * size * size * 3).view(2, size, size, 3).remainder(251).to(torch.uint8)
    finished, odds = _watch(deployed, list(trunk.modules()), ramp, place=0)
    calls = Counter(id(layer) for layer, _ in finished)
    maps = [
        (found, output)
        for layer, output in finished
        if calls[id(layer)] == 1 and (found := _read(layer, output, trunk)) is not None
    ]
    if not maps:
        return None
    gradients = torch.autograd.grad(odds.sum(), [output for _, output in maps], allow_unused=True)
    kind = (maps[-1][0].layout, maps[-1][0].channels)
    for (found, _), gradient in zip(reversed(maps), reversed(gradients), strict=True):
        same = (found.layout, found.channels) == kind
        if same and gradient is not None and found.grid(gradient).any():
            return found
    return None


def _watch(
    deployed: Any, layers: Sequence[nn.Module], image: Tensor, place: int
) -> tuple[list[tuple[nn.Module, Tensor]], Tensor]:
    """The layers with their outputs in the order in which they finish, and the log-odds [N].

    ln p / (1 - p) of the class at `place`, for pictures uint8 [N, H, W, 3].
    """
    import torch

    finished: list[tuple[nn.Module, Tensor]] = []

    def note(layer: nn.Module, given: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.requires_grad:
            finished.append((layer, output))

    with ExitStack() as stack, torch.enable_grad():
        for layer in layers:
            stack.callback(layer.register_forward_hook(note).remove)
        pictures = deployed.normalise(image).requires_grad_()  # the weights may be frozen
        logits = deployed.network(pictures) / deployed.temperature
        others = [i for i in range(logits.shape[1]) if i != place]
        return finished, logits[:, place] - logits[:, others].logsumexp(1)


def _read(layer: nn.Module, output: Tensor, trunk: nn.Module) -> _Map | None:
    """How to read the output of a layer for two pictures, or None where it has no places."""
    if len(output) != 2 or output.ndim not in (3, 4):
        return None
    if output.ndim == 4:
        _, a, b, c = output.shape
        if b == c >= FEWEST_CELLS:
            return _Map(layer, "NCHW", b, a)
        return _Map(layer, "NHWC", a, c) if a == b >= FEWEST_CELLS else None
    tokens = output.shape[1]
    for prefix in (getattr(trunk, "num_prefix_tokens", 0), *PREFIXES):
        cells = isqrt(max(0, tokens - prefix))
        if cells >= FEWEST_CELLS and cells * cells == tokens - prefix:
            return _Map(layer, "NTC", cells, output.shape[2], prefix)
    return None
