"""The split: grouped, stratified by class, seeded, and stable when pictures are added.

Seed and key give every group its place on a line from 0 to 1, and the ratios cut the line at
fixed points. So a group's split hangs on the group alone, and the counts are as near to the
ratios as chance brings them. No rule that never moves a group can bring them nearer: where one
goes may hang on no other. The exact cut moves the points to where the counts fit.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from ..core.manifest import SPLITS

LINE = ("validation", "train", "test")  # the small splits border on train, which fills them
Places = Mapping[str, float]
Spans = Mapping[str, tuple[float, float]]  # from where to where each split reaches on the line


def assign_splits(
    groups: Sequence[str],
    labels: Sequence[str],
    ratios: Sequence[float],
    seed: int,
    splits: Sequence[str] = SPLITS,
    fixed: Mapping[str, str] | None = None,
    exact: bool = False,
) -> list[str]:
    """A split for every picture; all of a group get the same one.

    `fixed` groups go where it says. A group counts for the commonest of its labels, and one that
    holds half of its class or more goes to the largest split. A split without pictures of a class
    gets the nearest group that leaves no other split without; a fixed or huge one only if need
    be. With `exact` each class is cut at the ratios, counted in pictures; adding some may then
    move others.
    """
    members = _members(groups, labels)
    strata: dict[str, dict[str, int]] = defaultdict(dict)
    for group, found in members.items():
        label = min(found, key=lambda name: (-found[name], name))
        strata[label][group] = found.total()
    places = {group: _place(seed, group) for group in members}
    shares = {s: ratios[splits.index(s)] / sum(ratios) for s in LINE if s in splits}
    fixed = {group: split for group, split in (fixed or {}).items() if group in members}
    given = {g: _largest(shares) for sizes in strata.values() for g in _huge(sizes)} | fixed
    chosen, spans = dict(given), {}
    for label, sizes in strata.items():
        spans[label] = _spans(sizes, places, shares, given if exact else None)
        for group in sizes.keys() - given.keys():
            chosen[group] = _split_at(places[group], spans[label])
    counts = Counter((label, chosen[group]) for group in members for label in members[group])
    for label in sorted(strata):
        if not all(counts[label, split] for split in spans[label]):
            near = {g: ((g in given) + (g in fixed), places[g]) for g in strata[label]}
            _fill(label, near, spans[label], members, chosen, counts)
    return [chosen[group] for group in groups]


def _members(groups: Sequence[str], labels: Sequence[str]) -> dict[str, Counter[str]]:
    """How often each label stands in each group; groups of one picture share their count."""
    alone = {label: Counter([label]) for label in set(labels)}
    found: dict[str, Counter[str]] = {}
    for group, label in zip(groups, labels, strict=True):
        before = found.get(group)
        found[group] = alone[label] if before is None else before + alone[label]
    return found


def _place(seed: int, group: str) -> float:
    """Where a group lies on the line, 0 <= place < 1."""
    digest = hashlib.sha256(f"{seed} {group}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _largest(shares: Mapping[str, float]) -> str:
    return max(shares, key=lambda split: shares[split])


def _huge(sizes: Mapping[str, int]) -> list[str]:
    total = sum(sizes.values())
    return [group for group, size in sizes.items() if 2 * size >= total > 2]


def _spans(
    sizes: Mapping[str, int],
    places: Places,
    shares: Mapping[str, float],
    given: Mapping[str, str] | None,
) -> Spans:
    """The line cut at the shares; or, where some groups are `given`, so that all fit exactly."""
    points = list(accumulate(shares.values()))[:-1]
    if given is not None:
        total, taken = sum(sizes.values()), Counter[str]()
        for group in sizes.keys() & given.keys():
            taken[given[group]] += sizes[group]
        wanted = [max(0.0, share * total - taken[split]) for split, share in shares.items()]
        free = {group: size for group, size in sizes.items() if group not in given}
        points = _exact_points(free, places, wanted)
    return dict(zip(shares, pairwise([0.0, *points, 1.0]), strict=True))


def _exact_points(sizes: Mapping[str, int], places: Places, wanted: Sequence[float]) -> list[float]:
    """Where the line has to be cut for the parts to hold pictures as `wanted`, in proportion."""
    order = sorted(sizes, key=lambda group: (places[group], group))
    ends = list(accumulate(sizes[group] for group in order))
    middles = [end - sizes[group] / 2 for group, end in zip(order, ends, strict=True)]
    factor = ends[-1] / sum(wanted) if ends else 0.0
    firsts = [bisect_right(middles, bound * factor) for bound in list(accumulate(wanted))[:-1]]
    return [places[order[first]] if first < len(order) else 1.0 for first in firsts]


def _split_at(place: float, spans: Spans) -> str:
    return next(split for split, (_, end) in spans.items() if place < end)


def _fill(
    label: str,
    near: Mapping[str, tuple[int, float]],
    spans: Spans,
    members: Mapping[str, Counter[str]],
    chosen: dict[str, str],
    counts: Counter[tuple[str, str]],
) -> None:
    """Give each split pictures of a class, with as few groups moved as that takes.

    `near` holds rank and place of the groups that may move, the lower ranks first; `counts` the
    groups of each label in each split.
    """
    while empty := [split for split in spans if not counts[label, split]]:
        moves = [
            (rank, _distance(place, spans[split]), group, split)
            for group, (rank, place) in near.items()
            if all(counts[name, chosen[group]] > 1 for name in members[group])
            for split in empty
        ]
        if not moves:
            break
        *_, group, split = min(moves)
        for name in members[group]:
            counts[name, chosen[group]] -= 1
            counts[name, split] += 1
        chosen[group] = split


def _distance(place: float, span: tuple[float, float]) -> float:
    return max(span[0] - place, place - span[1], 0.0)
