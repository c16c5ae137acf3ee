"""Confidence that means what it says: probabilities are made more or less sure on validation data.

`truth` are class indices [N], `probabilities` [N, C] those that the model gives now. Their
logarithms are its logits less a number for each picture, so no logits are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from . import metrics
from .influence import group_codes, of_mean, standard_error
from .metrics import Ints, Reals

FEWEST, FOLDS = 20, 5
BOUNDS = (0.05, 20.0)  # of the temperature, for perfect answers have no best one
SPREAD = 2.0  # of the logarithm of the temperature, as expected before any picture is seen
TETHER = 1.0  # what a class's own scale or offset costs, squared, in nats
HALVINGS = 60  # of an interval, to find where it ends in a float
FIT = ("temperature", "scales", "offsets")
LEAST = 1e-30  # a probability of zero has no logarithm


@dataclass(frozen=True)
class Fit:
    """A change of probabilities: softmax(scales * log p / temperature + offsets).

    One scale and one offset per class (Kull et al. 2019, with a diagonal matrix), or none.
    """

    temperature: float = 1.0
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def apply(self, probabilities: Reals) -> Reals:
        """The changed probabilities [N, C]."""
        if self == Fit():
            return probabilities
        logits = logits_of(probabilities) / self.temperature
        if self.scales:
            logits = np.asarray(self.scales) * log_softmax(logits, axis=1) + self.offsets
        changed: Reals = softmax(logits, axis=1)
        return changed

    def undo(self, changed: Reals) -> Reals | None:
        """The probabilities [N, C] that `apply` has changed; None where a scale of 0 lost them."""
        logits = logits_of(changed)
        if self.scales:
            scales = np.asarray(self.scales)
            if not (scales > 0).all():
                return None
            logits = _unscaled(logits - self.offsets, scales)
        before: Reals = softmax(self.temperature * logits, axis=1)
        return before


def _unscaled(scaled: Reals, scales: Reals) -> Reals:
    """The log-probabilities l [N, C] of which scales * l is known up to a number for each picture.

    That number is the one by which their exponentials add up to 1: they fall as it rises.
    """
    low = scaled.max(axis=1, keepdims=True)  # there one of them is 1 already
    high = (scaled + scales * log(len(scales))).max(axis=1, keepdims=True)  # none over 1 / C
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = np.exp((scaled - middle) / scales).sum(axis=1, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    found: Reals = (scaled - high) / scales
    return found


@dataclass(frozen=True)
class Calibration:
    """What was found on `pictures` validation pictures, and what it changed there.

    `method` is none, temperature or vector. Log loss and ECE `after` are those of pictures that
    the fit had not seen (cross-validation). `note` says why nothing is changed.
    """

    method: str
    fit: Fit
    pictures: int
    log_loss_before: float | None = None
    log_loss_after: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    note: str | None = None

    def apply(self, probabilities: Reals) -> Reals:
        """Calibrated probabilities [N, C]."""
        return self.fit.apply(probabilities)

    def to_dict(self) -> dict[str, Any]:
        """The calibration as JSON-ready values."""
        values = {**vars(self), **vars(self.fit)}
        del values["fit"]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: Any) -> Calibration | None:
        """The calibration that a card tells of; None where it tells of none."""
        try:
            rest = {k: v for k, v in values.items() if k not in FIT}
            fit = Fit(float(values["temperature"]), *(tuple(values[k]) for k in FIT[1:]))
            return cls(**rest, fit=fit)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


def calibrate(
    truth: Ints, probabilities: Reals, groups: Sequence[str] | None = None, seed: int = 0
) -> Calibration:
    """The calibration of least log loss that cross-validation approves of.

    A temperature where it helps at all; with several classes a scale and an offset for each, where
    that is better than a temperature by more than the standard error. `groups` [N] name
    near-duplicates, which are never on both sides of a fold.
    """
    none = Calibration("none", Fit(), len(truth), note=_hopeless(truth, probabilities))
    if none.note is not None:
        return none
    codes = np.arange(len(truth)) if groups is None else group_codes(list(groups))
    methods: dict[str, Callable[[Ints, Reals], Fit]] = {"temperature": fit_temperature}
    if probabilities.shape[1] > 2:
        methods["vector"] = fit_vector
    unseen = {"none": probabilities} | {
        name: _unseen(fit, truth, probabilities, codes, seed) for name, fit in methods.items()
    }
    losses = {name: metrics.losses(truth, changed) for name, changed in unseen.items()}
    chosen = "temperature" if losses["temperature"].mean() < losses["none"].mean() else "none"
    if "vector" in methods and _clearly_less(losses["vector"], losses[chosen], codes):
        chosen = "vector"
    fit = methods[chosen](truth, probabilities) if chosen != "none" else Fit()
    kept = replace(none, method=chosen, fit=fit)
    note = None if chosen != "none" else "no temperature is better on pictures it was not fitted to"
    return _described(replace(kept, note=note), truth, probabilities, unseen[chosen])


def _hopeless(truth: Ints, probabilities: Reals) -> str | None:
    """Why nothing can be learnt from these pictures."""
    if not metrics.known(probabilities):
        return "some probabilities are no numbers"
    if len(truth) < FEWEST:
        return f"{len(truth)} pictures are too few, {FEWEST} are the least"
    if len(np.unique(truth)) < 2:
        return "the pictures are all of one class"
    return None


def _described(found: Calibration, truth: Ints, before: Reals, after: Reals) -> Calibration:
    return replace(
        found,
        log_loss_before=metrics.log_loss(truth, before),
        log_loss_after=metrics.log_loss(truth, after),
        ece_before=confidence_gap(truth, before),
        ece_after=confidence_gap(truth, after),
    )


def confidence_gap(truth: Ints, probabilities: Reals) -> float | None:
    """ECE of the likeliest class's probability, whatever the threshold."""
    return metrics.ece(probabilities.argmax(axis=1) == truth, probabilities.max(axis=1))


def _clearly_less(losses: Reals, than: Reals, codes: Ints) -> bool:
    less = than - losses
    return bool(less.mean() > standard_error(of_mean(less), codes))


def _unseen(
    fit: Callable[[Ints, Reals], Fit], truth: Ints, probabilities: Reals, codes: Ints, seed: int
) -> Reals:
    """Each picture's probabilities [N, C], changed by a fit to the other folds."""
    changed = np.empty(probabilities.shape)
    for fold in folds(codes, seed):
        changed[fold] = fit(truth[~fold], probabilities[~fold]).apply(probabilities[fold])
    return changed


def folds(codes: Ints, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Masks [N] of up to five parts that share no group."""
    count = int(codes.max()) + 1
    place = np.random.default_rng(seed).permutation(count) % FOLDS
    for part in range(min(FOLDS, count)):
        yield place[codes] == part


def logits_of(probabilities: Reals) -> Reals:
    """Logits [N, C] of probabilities, up to a number for each picture."""
    found: Reals = np.log(np.maximum(probabilities, LEAST))
    return found


def fit_temperature(truth: Ints, probabilities: Reals) -> Fit:
    """The temperature of least log loss (Guo et al. 2017), drawn a little towards 1.

    The draw, a normal prior on its logarithm, matters where there are few pictures. One more that
    is answered rightly and one wrongly are counted (Laplace's rule of succession), as training
    does: few answers that are all right don't make the next one certain.
    """
    logits, (count, classes) = logits_of(probabilities), probabilities.shape
    wrong, right = 1 / (count + 2), np.eye(classes)[truth]
    wanted = (1 - wrong) * right + wrong * (1 - right) / max(1, classes - 1)

    def loss(log_temperature: float) -> float:
        chances = log_softmax(logits / exp(log_temperature), axis=1)
        return float(-(wanted * chances).sum() + (log_temperature / SPREAD) ** 2 / 2)

    found = minimize_scalar(loss, bounds=(log(BOUNDS[0]), log(BOUNDS[1])), method="bounded")
    return Fit(float(exp(found.x)))


def fit_vector(truth: Ints, probabilities: Reals) -> Fit:
    """A scale and an offset for each class on top of the best temperature, tethered to 1 and 0."""
    base = fit_temperature(truth, probabilities)
    logits = log_softmax(logits_of(probabilities) / base.temperature, axis=1)
    classes = logits.shape[1]
    wanted = np.eye(classes)[truth]

    def loss(values: Reals) -> tuple[float, Reals]:
        scales, offsets = values[:classes], values[classes:]
        chances = log_softmax(scales * logits + offsets, axis=1)
        surplus = np.exp(chances) - wanted  # the derivative by the logits [N, C]
        pulled = np.concatenate([scales - 1, offsets])
        slope = np.concatenate([(surplus * logits).sum(axis=0), surplus.sum(axis=0)])
        cost = -(chances * wanted).sum() + TETHER / 2 * pulled @ pulled
        return float(cost), slope + TETHER * pulled

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    limits = [(0.0, BOUNDS[1])] * classes + [(-BOUNDS[1], BOUNDS[1])] * classes
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits).x
    return replace(
        base, scales=tuple(found[:classes].tolist()), offsets=tuple(found[classes:].tolist())
    )
