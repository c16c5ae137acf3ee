"""Which part of the space is searched: what the time and the limits allow."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

from ..config import BACKBONE, ImproveConfig, TrainConfig
from ..console import log
from ..errors import UsageError
from ..model.device import choose_device
from ..model.features import pretrained_embedder
from ..train.job import EPOCHS
from .cost import Cost
from .leaderboard import Limits
from .pricing import Pricer
from .search import Search
from .space import Space

NOMINAL = 600.0  # seconds of a search without a timeout, to tell what is too slow for it
SHARE = 0.1  # of the time for the search that a training by steps may take
STEP_COST = 5.0  # of looking at a picture: learning from it, forward and backward in PyTorch
EVEN = 1.25  # classes whose sizes differ by less need no balance


def searched_part(search: Search, config: ImproveConfig, usual: bool) -> Space:
    """The part of the space that this search keeps to; of the `usual` one only what is quick.

    Raises `UsageError` where the limits leave nothing.
    """
    part = search.journal.space
    if usual:
        part = _quick(part, search, config)
    limits = Limits(config.max_latency_ms, config.max_mb)
    return _within(part, limits, Pricer(search.costs)) if limits != Limits() else part


def _within(space: Space, limits: Limits, pricer: Pricer) -> Space:
    """The models that keep to the limits, by estimate; what can't be told is searched."""
    least: Cost | None = None

    def allowed(config: TrainConfig) -> bool:
        nonlocal least
        heads = space.domains.get("knowledge", (config.knowledge,))
        assert isinstance(heads, tuple)
        costs = [pricer.cost(replace(config, knowledge=knowledge)) for knowledge in heads]
        for cost in filter(None, costs):
            least = min(least or cost, cost, key=lambda c: (c.latency_ms, c.megabytes))
        return any(c is None or limits.allow_cost(c.latency_ms, c.megabytes) for c in costs)

    part = space.only(allowed)
    if part is None:
        assert least is not None
        raise UsageError(
            f"no model of the space keeps to {limits}: the fastest takes {least.latency_ms:.1f} ms "
            f"and {least.megabytes:.1f} MB",
            hint="a larger --max-latency-ms or --max-mb, or --space with smaller models",
        )
    return part


def _quick(space: Space, search: Search, config: ImproveConfig) -> Space:
    """Without trainings by steps where one takes too long; classes of like size aren't balanced."""
    left = NOMINAL if search.deadline is None else search.deadline - monotonic()
    if left > 0 and (needed := steps_seconds(search, config)) > SHARE * left:
        log.info(
            "recipe finetune is not searched: one setting would take about %.0f of %.0f s; "
            "--space FILE or a longer --timeout includes it", needed, left,
        )  # fmt: skip
        space = space.only(lambda config: config.recipe == "head") or space
    counts = [search.folds.truth.tolist().count(c) for c in set(search.folds.truth.tolist())]
    if max(counts) < EVEN * min(counts):
        space = space.narrowed({"balance": ("none",)})
    return space


def steps_seconds(search: Search, config: ImproveConfig) -> float:
    """About how long a training of all layers takes, by the speed of the default backbone here."""
    each = pretrained_embedder(BACKBONE, choose_device(config.device)).seconds_each()
    epochs = EPOCHS["finetune"]["quick"] + EPOCHS["stages"]["quick"] / 3
    return each * len(search.folds) * STEP_COST * epochs
