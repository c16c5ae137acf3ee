"""Curves to look at: how the losses and the accuracy went, and why this learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.plot import Line, Panel, Point, axis, log_axis, short, svg

if TYPE_CHECKING:
    from .plan import Epoch


def learning_curves(history: Sequence[Epoch], best: int | None = None, step: str = "epoch") -> str:
    """Both losses and the validation accuracy by epoch, as SVG.

    The epoch `best` is marked; without it, the one with the lowest validation loss. `step` is what
    a line of the history is called.
    """
    chosen = _chosen(history, best)
    training, validation, accuracy = (
        _finite([(epoch.epoch, getattr(epoch, name)) for epoch in history])
        for name in ("train_loss", "validation_loss", "validation_accuracy")
    )
    numbers = [epoch.epoch for epoch in history] or [0]
    epochs = axis(step, (min(numbers), max(*numbers, min(numbers) + 1)), whole=True)
    losses = (Line("training", training, "first"), Line("validation", validation))
    loss = Panel(
        "Loss",
        epochs,
        axis("per picture", (y for line in losses for _, y in line.points)),
        losses,
        (chosen.epoch, chosen.validation_loss) if chosen else None,
        f"best: {step} {chosen.epoch}" if chosen else f"no {step} yet",
    )
    right = Panel(
        "Validation accuracy",
        epochs,
        axis("share of right answers", (y for _, y in accuracy), unit=0.01),
        (Line("validation", accuracy),),
        (chosen.epoch, chosen.validation_accuracy) if chosen else None,
        f"best: {100 * chosen.validation_accuracy:.1f} %" if chosen else "",
    )
    return svg("Learning curves", (loss, right))


def _chosen(history: Sequence[Epoch], best: int | None) -> Epoch | None:
    found = [epoch for epoch in history if epoch.epoch == best]
    usable = [epoch for epoch in history if math.isfinite(epoch.validation_loss)]
    return min(found or usable, key=lambda epoch: epoch.validation_loss, default=None)


def _finite(points: Sequence[tuple[float, float | None]]) -> list[Point]:
    return [(x, y) for x, y in points if y is not None and math.isfinite(y)]


def rate_curve(rates: Sequence[float], losses: Sequence[float], chosen: float | None) -> str:
    """The loss at each learning rate that was tried, and the rate that was chosen, as SVG."""
    points = [p for p in _finite(list(zip(rates, losses, strict=True))) if p[0] > 0]
    mark, said = None, "no rate chosen"
    if chosen and points:
        mark = min(points, key=lambda point: abs(math.log(point[0] / chosen)))
        said = f"chosen: {short(chosen)}"
    x = log_axis("learning rate", (rate for rate, _ in points))
    y = axis("per picture", _before_it_blows_up([loss for _, loss in points]))
    return svg(
        "Learning rate finder",
        (Panel("Loss by learning rate", x, y, (Line("loss", points),), mark, said),),
    )


def _before_it_blows_up(losses: list[float]) -> list[float]:
    """The losses up to half as far over the first as the lowest lies under it."""
    if not losses:
        return losses
    low, first = min(losses), losses[0]
    return [loss for loss in losses if loss <= first + 0.5 * (first - low)]
