"""One linear layer on fixed features: its exact minimum, for each strength of regularisation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn

from ..model.device import one_thread

STRENGTHS = tuple(10 ** (-half / 2) for half in range(-3, 8))  # 32 down to 0.0003
MOST_STEPS = 300  # of L-BFGS for one strength; some 20 to 60 are enough from the last one's minimum
SMALL = 20_000_000  # values; two threads took seven times as long as one for a million of them
WORSE_IN_A_ROW = 2  # less regularisation is not tried after so many
MOST_AXES = 1500  # for more, finding the axes takes longer than solving without them
ROWS_AT_ONCE = 8192
LEAST_BEND = 1e-3  # of the loss where all is answered rightly


@dataclass(frozen=True)
class Features:
    """Features float32 [N, D] with their class indices int64 [N]."""

    values: Tensor
    targets: Tensor

    def split(self, widths: Sequence[int]) -> list[Features]:
        """Columns of so many features each."""
        return [
            Features(part, self.targets) for part in torch.split(self.values, list(widths), dim=1)
        ]

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Features:
        """What `change` makes of the features, without gradients."""
        with torch.no_grad():
            return Features(change(self.values), self.targets)

    def scaled(self, mean: Tensor, spread: Tensor) -> Features:
        """The features less `mean` [D], divided by the one number `spread`."""
        return Features((self.values - mean) / spread, self.targets)


@dataclass(frozen=True)
class Candidate:
    """A layer at the minimum for one strength, on the features as they came.

    Losses are means over pictures, in nats; `logits` are those of the validation pictures, [N, C].
    """

    strength: float
    layer: nn.Linear
    train_loss: float
    validation_loss: float
    logits: Tensor
    seconds: float


@dataclass(frozen=True)
class Axes:
    """Training features along their own axes, as they are solved: all on one scale, centred.

    (values - mean) / spread  =  scores @ directions.T, with `scores` [N, R], `directions` [D, R]
    or None for the features' own, and the mean square of each score in `variances` [R].
    """

    scores: Tensor
    directions: Tensor | None
    variances: Tensor | None
    mean: Tensor
    spread: Tensor


def axes_of(training: Features) -> Axes:
    """The principal axes, on which what the features say of a layer is hardly mixed.

    One scale for all features: a scale for each would blow up those that hardly vary (measured by
    cross-validation on 1190 photos: 96.3 % against 95.9 %).
    """
    mean = training.values.mean(0)
    spread = training.values.std(0, correction=0).mean().clamp_min(1e-6)
    known = training.scaled(mean, spread).values
    if min(known.shape) > MOST_AXES or not bool(known.isfinite().all()):
        return Axes(known, None, None, mean, spread)
    with one_thread(known.numel() <= SMALL):
        scores, directions = _rotated(known)
    return Axes(scores, directions, scores.square().mean(0), mean, spread)


def _rotated(known: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [N, R] and directions [D, R] by the smaller of the two products of `known` [N, D]."""
    few = len(known) <= known.shape[1]
    if few:
        exact = known.double()
        product = exact @ exact.T
    else:
        parts = (part.double() for part in torch.split(known, ROWS_AT_ONCE))
        product = sum((part.T @ part for part in parts), torch.zeros(()))
    squares, vectors = torch.linalg.eigh(product)
    real = squares > 1e-10 * squares[-1]  # the rest is rounding
    real[-1] = True  # of features that never vary too
    squares, vectors = squares[real], vectors[:, real]
    if not few:
        return known @ vectors.float(), vectors.float()
    lengths = squares.clamp_min(1e-12).sqrt()
    return (vectors * lengths).float(), known.T @ (vectors / lengths).float()


def path(
    training: Features,
    validation: Features,
    loss: nn.Module,
    classes: int,
    axes: Axes | None = None,
) -> Iterator[Candidate]:
    """The layers of minimal `loss` + strength / 2 |weights|^2, from strong to weak.

    `axes` are those of the training features, where they are known already. Stops when the
    validation loss has grown twice in a row.
    """
    axes = axes or axes_of(training)
    layer = nn.Linear(axes.scores.shape[1], classes).requires_grad_(False)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    best, worse = math.inf, 0
    for strength in STRENGTHS:
        started = time.monotonic()
        with one_thread(axes.scores.numel() <= SMALL):
            train_loss = _minimise(layer, axes, training.targets, loss, strength)
        whole = _folded(layer, axes)
        with torch.no_grad():
            logits = whole(validation.values)
            found = float(loss(logits, validation.targets))
        seconds = time.monotonic() - started
        yield Candidate(strength, whole, train_loss, found, logits, seconds)
        best, worse = min(best, found), worse + 1 if found > best else 0
        if worse == WORSE_IN_A_ROW:
            return


def _minimise(
    layer: nn.Linear, axes: Axes, targets: Tensor, loss: nn.Module, strength: float
) -> float:
    """Bring the layer to the minimum by L-BFGS (Liu & Nocedal 1989); returns the loss there.

    In units in which the loss bends about as much in every direction, a third of the steps do.
    """
    unit, unit_of_bias = _units(layer, axes, strength)
    size = layer.bias.numel()

    def unpack(flat: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(flat).float()
        return values[:-size].view(size, -1) * unit, values[-size:] * unit_of_bias

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, bias = unpack(flat)
        logits = torch.addmm(bias, axes.scores, weight.T).requires_grad_()
        value: Tensor = loss(logits, targets)
        (pull,) = torch.autograd.grad(value, logits)
        slope = (pull.T @ axes.scores).add_(weight, alpha=strength) * unit
        gradient = torch.cat([slope.flatten(), pull.sum(0) * unit_of_bias])
        total = float(value.detach()) + strength / 2 * float(weight.square().sum())
        return total, gradient.double().numpy()

    start = torch.cat([(layer.weight / unit).flatten(), layer.bias / unit_of_bias])
    found = minimize(
        cost,
        start.double().numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MOST_STEPS, "gtol": 1e-4, "ftol": 1e-7},
    )
    weight, bias = unpack(found.x)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return float(loss(layer(axes.scores), targets))


def _units(layer: nn.Linear, axes: Axes, strength: float) -> tuple[Tensor, float]:
    """What one step means for the weights [R] and for the biases.

    The loss bends by p (1 - p) times the mean square of an axis, about, and its regularisation by
    `strength`: one over the root of both is a unit.
    """
    if axes.variances is None:
        return torch.ones(()), 1.0
    chances = layer(axes.scores).softmax(1)
    bend = float((chances * (1 - chances)).mean()) + LEAST_BEND
    return (bend * axes.variances + strength).rsqrt(), bend**-0.5


def _folded(layer: nn.Linear, axes: Axes) -> nn.Linear:
    """W ((x - mean) / spread) + b  =  (W / spread) x + (b - (W / spread) mean).

    W is that of the features themselves, `mean` is [D], `spread` one number.
    """
    weight = layer.weight if axes.directions is None else layer.weight @ axes.directions.T
    plain = nn.Linear(weight.shape[1], layer.out_features)
    with torch.no_grad():
        plain.weight.copy_(weight / axes.spread)
        plain.bias.copy_(layer.bias - plain.weight @ axes.mean)
    return plain
