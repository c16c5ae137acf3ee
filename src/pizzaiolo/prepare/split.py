"""The split: grouped, stratified by class, seeded, and nearly the same when pictures are added."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from ..core.manifest import SPLITS


def assign_splits(
    groups: Sequence[str],
    labels: Sequence[str],
    ratios: Sequence[float],
    seed: int,
    splits: Sequence[str] = SPLITS,
) -> list[str]:
    """A split for every picture; all of a group get the same one.

    The groups of a class (of mixed groups: the commonest label) are ordered by a hash of seed
    and name and cut at the ratios, so a new picture moves few others. Each split gets a group
    of every class that has as many groups as there are splits.
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        members[group][label] += 1
    strata: dict[str, dict[str, int]] = defaultdict(dict)
    for group, found in members.items():
        label = min(found, key=lambda name: (-found[name], name))
        strata[label][group] = found.total()
    chosen: dict[str, str] = {}
    for label in sorted(strata):
        chosen |= _cut(strata[label], ratios, seed, splits)
    return [chosen[group] for group in groups]


def _cut(
    sizes: dict[str, int], ratios: Sequence[float], seed: int, splits: Sequence[str]
) -> dict[str, str]:
    order = sorted(sizes, key=lambda group: _hash(seed, group))
    total, done, cuts = sum(sizes.values()), 0, [0]
    bounds = [sum(ratios[: n + 1]) / sum(ratios) * total for n in range(len(splits) - 1)]
    for place, group in enumerate(order):
        while len(cuts) <= len(bounds) and done + sizes[group] / 2 > bounds[len(cuts) - 1]:
            cuts.append(place)
        done += sizes[group]
    cuts += [len(order)] * (len(splits) + 1 - len(cuts))
    if len(order) >= len(splits):
        _leave_none_empty(cuts)
    return {
        group: split
        for n, split in enumerate(splits)
        for group in order[cuts[n] : cuts[n + 1]]
    }  # fmt: skip


def _leave_none_empty(cuts: list[int]) -> None:
    """Move the cuts as little as needed for each part to hold something."""
    for n in range(1, len(cuts) - 1):
        cuts[n] = max(cuts[n], cuts[n - 1] + 1)
    for n in range(len(cuts) - 2, 0, -1):
        cuts[n] = min(cuts[n], cuts[n + 1] - 1)


def _hash(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()
