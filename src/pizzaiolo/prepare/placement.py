"""Which rows go to which split: a person's own word first, then the data set made before."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.cluster.hierarchy import DisjointSet

from ..config import PrepareConfig, to_dict
from ..core.manifest import SPLITS, Row, read_columns, read_facts
from ..errors import DatasetError, SourceError
from .columns import amend, families_by
from .split import assign_splits
from .table import Rows

Pair = tuple[int, int]
Earlier = Mapping[str, str]  # the split of each picture of an earlier data set, by sha256
# With other values of these an earlier data set says nothing about the next one.
DEALT_BY = ("seed", "ratios", "exact_split", "near_distance", "drop_near", "features",
            "burst_seconds")  # fmt: skip


def earlier_splits(out: Path | str, config: PrepareConfig) -> dict[str, str]:
    """The split of each picture (by sha256) of the data set that lies in `out`.

    Empty where there is none, and where it was dealt with other settings.
    """
    try:
        settings = read_facts(Path(out)).get("settings", {})
        wanted = to_dict(config)
        for name in DEALT_BY:
            made_with = settings.get(name)
            made_with = tuple(made_with) if isinstance(made_with, list) else made_with
            if made_with != wanted[name]:
                return {}
        columns = read_columns(Path(out) / "manifest.parquet", ("sha256", "status", "split"))
        return {sha: sys.intern(split) for sha, status, split in columns
                if status == "kept" and sha and split}  # fmt: skip
    except DatasetError:
        return {}


@dataclass(frozen=True)
class _Plan:
    """Which splits are dealt to, and what is known of a row before that."""

    open: tuple[str, ...]
    carved: bool  # every picture has a split; a missing one comes out of train
    earlier: Earlier

    @classmethod
    def of(cls, rows: Iterable[Row], earlier: Earlier | None) -> _Plan:
        given = {row.split for row in rows if row.kept}
        dealt = tuple(s for s in SPLITS if s not in given or s == "train")
        carved = bool(given) and None not in given and dealt != ("train",)
        return cls(dealt, carved, earlier or {})

    def own(self, row: Row) -> str | None:
        """The split that a person gave and that stands."""
        return None if self.carved and row.split == "train" else row.split

    def remembered(self, row: Row) -> str | None:
        """The split of the earlier data set, where a person doesn't fill it now."""
        split = None if self.own(row) else self.earlier.get(row.sha256 or "")
        return split if split in self.open else None


def reject_bridges(
    rows: Rows, near: Callable[[], Iterable[Pair]], earlier: Earlier | None = None
) -> list[str]:
    """Reject new pictures that would tie pictures of two splits together; none has to move.

    `near` gives pairs of places in `rows` that must share a split, as rows of one `group` must;
    it is asked again once some are rejected. To be called before the rows are grouped anew.
    Returns notes.
    """
    plan = _Plan.of(rows, earlier)
    known = [plan.own(row) or plan.remembered(row) if row.kept else None for row in rows]
    sides = {i: side for i, side in enumerate(known) if side}
    if len(set(sides.values())) < 2:
        return []
    count = 0
    while found := _bridges(rows, near(), sides):
        count += len(found)
        for i, tied in found.items():
            splits = " and of ".join(sides[place] for place in tied)
            amend(
                rows, i, status="rejected", reason="near_duplicate", group=None, split=None,
                detail=f"ties pictures of {splits} together", duplicate_of=rows[tied[0]].path,
            )  # fmt: skip
    if not count:
        return []
    return [f"{count} pictures look like some of two splits and are rejected: none moves"]


def _bridges(
    rows: Rows, near: Iterable[Pair], sides: Mapping[int, str]
) -> dict[int, tuple[int, ...]]:
    links = list(_links(rows, near))
    tied = {i for pair in links for i in pair}
    order = {i: rows[i].sha256 or "" for i in tied if i >= 0}
    return bridges(links, {i: sides[i] for i in tied & sides.keys()}, order)


def _links(rows: Sequence[Row], near: Iterable[Pair]) -> Iterator[Pair]:
    """Pairs of kept rows, and of each with its source's group: that has a place below 0."""
    yield from ((a, b) for a, b in near if rows[a].kept and rows[b].kept)
    groups: dict[str, int] = {}
    for i, row in enumerate(rows):
        if row.kept and row.group is not None:
            yield i, groups.setdefault(row.group, -1 - len(groups))


def bridges(
    links: Iterable[Pair], sides: Mapping[int, str], order: Mapping[int, str]
) -> dict[int, tuple[int, ...]]:
    """The places without a side that tie sides together, with a place of each of those sides.

    They come in one by one, sorted by `order`: who ties two sides stays out, the others join.
    Places below 0 have no side either, and come first.
    """
    linked: dict[int, set[int]] = defaultdict(set)
    for a, b in links:
        linked[a].add(b)
        linked[b].add(a)
    tied, inside = DisjointSet(linked), set[int]()
    holds = {i: {sides[i]: i} if i in sides else {} for i in linked}  # by the root of a component
    found: dict[int, tuple[int, ...]] = {}
    first = sorted(i for i in linked if i in sides or i < 0)
    later = sorted((i for i in linked if i not in sides and i >= 0), key=lambda i: order[i])
    for i in (*first, *later):
        friends = sorted(linked[i] & inside)
        parts = {tied[j]: holds[tied[j]] for j in friends if holds[tied[j]]}
        reached = {side: place for part in parts.values() for side, place in part.items()}
        if i not in sides and i >= 0 and len(parts) > 1 and len(reached) > 1:
            found[i] = tuple(reached[side] for side in sorted(reached, key=SPLITS.index))
            continue
        inside.add(i)
        for j in friends:
            tied.merge(i, j)
        holds[tied[i]] = reached | holds[i]
    return found


def survivors(rows: Sequence[Row], roots: Sequence[int], earlier: Earlier | None) -> list[int]:
    """For each row the one that stands for all with its root: the first old one, or the root."""
    chosen: dict[int, int] = {}
    for i, root in enumerate(roots):
        if earlier and rows[i].sha256 in earlier:
            chosen.setdefault(root, i)
    return [chosen.get(root, root) for root in roots]


def place(rows: Rows, config: PrepareConfig, earlier: Earlier | None = None) -> list[str]:
    """Give every kept row a split; the rows are grouped. Returns notes.

    A person's split stands. Pictures without one keep the split they had `earlier`, or fill
    train and the splits that the person did not give; where every picture has one, a missing
    validation or test comes out of train. A picture without a split follows the near-copies
    that have one.
    """
    plan = _Plan.of(rows, earlier)
    kept = [i for i, row in enumerate(rows) if row.kept]
    notes = _about_own_splits(plan, {rows[i].split for i in kept})
    own, old = defaultdict(set), defaultdict(set)
    for i in kept:
        if split := plan.own(rows[i]):
            own[rows[i].group].add(split)
        elif split := plan.remembered(rows[i]):
            old[rows[i].group].add(split)
    free = [i for i in kept if not plan.own(rows[i])]
    chosen = _dealt([i for i in free if rows[i].group not in own], rows, plan, old, config)
    moved = 0
    for i in free:
        row = rows[i]
        split = chosen.get(i) or row.split or min(own[row.group], key=SPLITS.index)
        moved += plan.earlier.get(row.sha256 or "", split) != split
        amend(rows, i, split=split)
    if moved:
        notes.append(f"{moved} pictures left the split that they had in the earlier data set: they "
                     "look like others, or a split lacked their class")  # fmt: skip
    return notes


def _about_own_splits(plan: _Plan, given: set[str | None]) -> list[str]:
    if given and None not in given and "train" not in given:
        raise SourceError("the source's split has no train part", hint="add a folder train/")
    if not plan.carved:
        return []
    missing = " and ".join(split for split in plan.open if split != "train")
    return [f"the source gave no {missing} split; it was taken out of its training part"]


def _dealt(
    places: Sequence[int],
    rows: Sequence[Row],
    plan: _Plan,
    old: Mapping[str | None, set[str]],
    config: PrepareConfig,
) -> dict[int, str]:
    """The split of the rows at `places`; groups in `old` keep theirs, the earliest of several."""
    best: dict[str | None, int] = {}  # of each group the picture that decides where it goes
    for i in places:
        first = best.setdefault(rows[i].group, i)
        if first != i and _size(rows[i]) > _size(rows[first]):
            best[rows[i].group] = i
    keys = {group: rows[i].sha256 or "" for group, i in best.items()}
    fixed = {keys[g]: min(old[g], key=SPLITS.index) for g in keys if g in old}
    splits = assign_splits(
        [keys[rows[i].group] for i in places],
        [rows[i].label for i in places],
        [config.ratios[SPLITS.index(split)] for split in plan.open],
        config.seed,
        plan.open,
        fixed,
        config.exact_split,
    )
    return dict(zip(places, splits, strict=True))


def _size(row: Row) -> tuple[int, int, str]:
    """By this the largest picture of a group is found, which is seldom made of others."""
    return (row.width or 0) * (row.height or 0), row.bytes or 0, row.sha256 or ""


def look_alikes(rows: Sequence[Row]) -> dict[str, list[int]]:
    """The groups of more than one kept row, and the places of those."""
    return families_by(rows, lambda row: row.group or None if row.kept else None)


def leaks(rows: Iterable[Row]) -> list[str]:
    """Groups that lie in two splits, as only a person's own split can have it."""
    given = rows if isinstance(rows, Sequence) else list(rows)
    groups = look_alikes(given)
    return sorted(g for g, places in groups.items() if len({given[i].split for i in places}) > 1)


def leak_notes(rows: Sequence[Row]) -> list[str]:
    """A note on the groups that a person's own split tears apart."""
    count = len(leaks(rows))
    if not count:
        return []
    return [f"the source's own split puts near-copies on two sides: {count} groups leak"]
