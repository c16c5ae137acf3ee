"""Which part of the space is searched: what the device and the limits allow."""

from __future__ import annotations

from dataclasses import replace

from ..config import ImproveConfig, TrainConfig
from ..console import log
from ..errors import UsageError
from ..model.device import choose_device
from ..train.sampling import class_counts
from .cost import Cost
from .leaderboard import Limits
from .pricing import Pricer
from .search import Search
from .space import Space

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
    """On a CPU without trainings by steps; classes of like size aren't balanced."""
    by_steps = any(recipe != "head" for recipe in space.recipes())
    if by_steps and choose_device(config.device).type == "cpu":
        log.info(
            "recipe finetune takes minutes a setting on a CPU and is not searched; "
            "--space recipes/search_finetune.toml does it"
        )
        space = space.only(lambda config: config.recipe == "head") or space
    folds = search.folds
    counts = class_counts(folds.pictures.targets, len(folds.labels.names))
    if max(counts) < EVEN * min(counts):
        space = space.narrowed({"balance": ("none",)})
    return space
