"""From findings to rows: which pictures stay, why the others go, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..config import PrepareConfig
from ..core.manifest import SPLITS, Row
from .bursts import burst_pairs
from .columns import Records, Some, families_by
from .decisions import (
    Chosen,
    Decision,
    apply_decisions,
    kept_by_hand,
    reviewed,
    right_ones,
    unheeded,
)
from .duplicates import Copies, NearPairs, families_of, find_near, groups_of
from .hamming import Pairs, near_pairs
from .placement import Earlier, leak_notes, place, reject_bridges, survivors
from .sight import Sight
from .table import Seen
from .vectors import Features

Places = NDArray[np.int64]
NONE: Pairs = np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Help:
    """What a decision may draw on beside the findings.

    `decisions` are a person's, `earlier` holds the splits of the data set that was made before,
    `sight` shows the pictures, without which only equal bytes are found, and `near` compares
    their hashes.
    """

    decisions: Sequence[Decision] = ()
    earlier: Earlier | None = None
    sight: Sight | None = None
    near: NearPairs = near_pairs


def decide(
    seen: Seen, config: PrepareConfig, help: Help = Help()
) -> tuple[Records[Row], list[str]]:
    """The rows of what was seen, each rejected with a reason, or kept with a group, a split and
    flags for a person to look at. Also notes on what a person should know.

    A person's decisions come before anything is judged.
    """
    rows = seen.rows
    chosen, notes = apply_decisions(rows, help.decisions)
    for i, row in enumerate(rows):
        if not row.kept:
            rows.change(i, group=None, split=None)
    good = np.array([i for i, row in enumerate(rows) if row.kept and row.phash], np.int64)
    features = help.sight.features(Some(rows, good)) if help.sight else None
    near, same = _pairs(seen, good, features, config.near_distance, help)
    equal = families_by(rows, lambda row: row.sha256 if row.kept else None).values()
    _reject_conflicts(rows, np.concatenate([same, _links(equal)]), chosen)
    notes += _reject_exact(rows, equal)
    notes += reject_bridges(rows, lambda: [*near.tolist(), *_bursts(rows, config)], help.earlier)
    _group(rows, near, config, chosen, help.earlier)
    notes += place(rows, config, help.earlier)
    if features is not None:
        _flag(seen, good, features, help.decisions, config.seed)
    return rows, notes + unheeded(rows, chosen) + leak_notes(rows)


def _flag(
    seen: Seen, good: Places, features: Features, decisions: Sequence[Decision], seed: int
) -> None:
    from .flagging import flag  # cleanlab and scikit-learn, which take seconds to import

    kept = np.array([seen.rows[i].kept for i in good.tolist()], np.bool_)
    places = good[kept]
    features = features if kept.all() else features[kept]
    flag(
        seen.rows,
        places.tolist(),
        features,
        seen.lines[places],
        reviewed(seen.rows, decisions),
        seed,
    )


def _pairs(
    seen: Seen, good: Places, features: Features | None, distance: int, help: Help
) -> Copies:
    """Near-duplicates among the `good`, and pairs that are one photo."""
    if len(good) < 2 or help.sight is None:
        return Copies(NONE, NONE)
    hashes, mirrored = seen.hashes[good], seen.mirrored[good]
    with help.sight.greys(Some(seen.rows, good)) as greys:
        copies = find_near(hashes, mirrored, greys, features, distance, help.near)
    return Copies(good[copies.near], good[copies.same])


def _links(families: Iterable[Sequence[int]]) -> Pairs:
    links = [(family[0], i) for family in families for i in family[1:]]
    return np.array(links, np.int64).reshape(-1, 2)


def _reject_conflicts(rows: Records[Row], same: Pairs, chosen: Chosen) -> None:
    """The same photo under two labels: unless a person said which is right, all its copies go."""
    for group in families_of(len(rows), same):
        labels = sorted({rows[i].label for i in group})
        if len(labels) < 2:
            continue
        paths = {i: next(rows[j].path for j in group if rows[j].label != rows[i].label)
                 for i in group}  # fmt: skip
        for i in set(group) - right_ones(rows, group, chosen):
            detail = f"the same photo is filed under {' and '.join(labels)}"
            _reject(rows, i, "conflict", detail, paths[i])


def _reject_exact(rows: Records[Row], equal: Iterable[Sequence[int]]) -> list[str]:
    """Of the same bytes one stays: the one that a person put into test, then validation."""
    crossing = 0
    for family in equal:
        left = [i for i in family if rows[i].kept]
        left.sort(key=lambda i: -SPLITS.index(rows[i].split or "train"))
        for i in left[1:]:
            crossing += rows[i].split is not None and rows[i].split != rows[left[0]].split
            _reject(rows, i, "exact_duplicate", "the same bytes", rows[left[0]].path)
    if not crossing:
        return []
    return [f"the source's own split leaks: {crossing} copies of its validation or test pictures "
            "lay in another part and are rejected"]  # fmt: skip


def _group(
    rows: Records[Row], near: Pairs, config: PrepareConfig, chosen: Chosen, earlier: Earlier | None
) -> None:
    """Give every kept row a group: its own, its source's, or the one of its near-duplicates."""
    near = near[[rows[a].kept and rows[b].kept for a, b in near.tolist()]]
    if config.drop_near:
        near = _drop_near(rows, near, chosen, earlier)
    named: dict[str, int] = {}
    links = [*near.tolist(), *_bursts(rows, config)]
    for i, row in enumerate(rows):
        if row.kept and row.group is not None:
            links.append((named.setdefault(row.group, i), i))
    original = {i: family[0] for family in families_of(len(rows), near) for i in family[1:]}
    families = families_of(len(rows), links)
    tied = {i for family in families for i in family}
    for family in chain(families, ([i] for i, r in enumerate(rows) if r.kept and i not in tied)):
        # The smallest hash names the group: a renamed or added file doesn't move it.
        name = "g" + min(rows[i].sha256 or "" for i in family)[:16]
        for i in family:
            rows.change(i, group=name)
    for i, root in original.items():
        rows.change(i, duplicate_of=rows[root].path)


def _drop_near(rows: Records[Row], near: Pairs, chosen: Chosen, earlier: Earlier | None) -> Pairs:
    """Reject all but one of each family of near-duplicates; returns the links of what a person
    keeps."""
    roots = survivors(rows, groups_of(len(rows), near), earlier)
    copies = [(root, i) for i, root in enumerate(roots) if root != i]
    kept = [(root, i) for root, i in copies if kept_by_hand(chosen, i)]
    for root, i in set(copies) - set(kept):
        _reject(rows, i, "near_duplicate", "looks the same", rows[root].path)
    return np.array(kept, np.int64).reshape(-1, 2)


def _bursts(rows: Sequence[Row], config: PrepareConfig) -> Iterator[tuple[int, int]]:
    shots = ((row.camera, row.captured) if row.kept else (None, None) for row in rows)
    return burst_pairs(shots, config.burst_seconds)


def _reject(rows: Records[Row], place: int, reason: str, detail: str, duplicate_of: str) -> None:
    rows.change(
        place, status="rejected", reason=reason, detail=detail, duplicate_of=duplicate_of,
        group=None, split=None,
    )  # fmt: skip
