"""The split: grouped, stratified by class, seeded, and the same for the same pictures."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from ..core.manifest import SPLITS


def assign_splits(
    groups: Sequence[str], labels: Sequence[str], ratios: Sequence[float], seed: int
) -> list[str]:
    """A split for every picture; all of a group get the same one.

    Within each class the groups are ordered by a hash of seed and name, and dealt out so that
    every split comes as near to its ratio as the groups allow; each split gets at least one
    group of each class that has three.
    """
    strata: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group, label in zip(groups, labels, strict=True):
        strata[label][group] += 1
    chosen: dict[str, str] = {}
    for label in sorted(strata):
        chosen |= _deal(strata[label], ratios, seed)
    return [chosen[group] for group in groups]


def _deal(sizes: dict[str, int], ratios: Sequence[float], seed: int) -> dict[str, str]:
    order = sorted(sizes, key=lambda group: _hash(seed, group))
    wanted = {
        split: ratio * sum(sizes.values()) for split, ratio in zip(SPLITS, ratios, strict=True)
    }
    chosen: dict[str, str] = {}
    # Large groups first: they are the hardest to place. The sort is stable, so hash order rules.
    for group in sorted(order, key=lambda g: -sizes[g]):
        empty = [s for s in SPLITS if s not in chosen.values()]
        left = len(sizes) - len(chosen)
        open_splits = empty if empty and left <= len(empty) else SPLITS
        split = max(open_splits, key=lambda s: wanted[s])
        chosen[group] = split
        wanted[split] -= sizes[group]
    return chosen


def _hash(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()
