"""From findings to rows: which pictures stay, why the others go, and which belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..config import PrepareConfig
from ..core.manifest import SPLITS, Row
from ..errors import SourceError
from .duplicates import (
    SAME_BITS,
    Pairs,
    alike,
    correlations,
    groups_of,
    hash_bits,
    near_pairs,
    same_photo,
)
from .inspect import Finding
from .split import assign_splits

Pair = tuple[int, int]


def decide(findings: Sequence[Finding], config: PrepareConfig) -> tuple[list[Row], list[str]]:
    """One row per finding, in order: rejected with a reason, or kept with a group and a split.

    Also notes on what a person should know.
    """
    rows = [_row(finding) for finding in findings]
    near, same = _pairs(findings, config.near_distance)
    same += _equal_bytes(rows)
    _reject_conflicts(rows, same)
    notes = _reject_exact(rows)
    _group(rows, near, config.drop_near)
    notes += _split(rows, config)
    return rows, notes + _leak_notes(rows)


def _row(finding: Finding) -> Row:
    width, height = finding.size or (None, None)
    return Row(
        path=finding.candidate.path,
        label=finding.candidate.label,
        status="rejected" if finding.reason else "kept",
        reason=finding.reason,
        detail=finding.detail,
        sha256=finding.sha256,
        bytes=finding.bytes,
        format=finding.format,
        width=width,
        height=height,
        mode=finding.mode,
        group=None if finding.reason else finding.candidate.group,
        split=None if finding.reason else finding.candidate.split,
        phash=None if finding.phash is None else f"{finding.phash:016x}",
        brightness=finding.brightness,
        contrast=finding.contrast,
        sharpness=finding.sharpness,
    )


def _pairs(findings: Sequence[Finding], distance: int) -> tuple[list[Pair], list[Pair]]:
    """Near-duplicates, and pairs that are one photo; both signals must agree."""
    good = [i for i, f in enumerate(findings) if f.reason is None and f.grey is not None]
    if len(good) < 2:
        return [], []
    hashes = np.array([findings[i].phash or 0 for i in good], np.uint64)
    greys = np.stack([g for i in good if (g := findings[i].grey) is not None])
    pairs = near_pairs(hashes, max(distance, SAME_BITS))
    bits, likeness = hash_bits(hashes, pairs), correlations(greys, pairs)
    places = np.asarray(good)
    near = pairs[(bits <= distance) & alike(bits, likeness)]
    return _tuples(places, near), _tuples(places, pairs[same_photo(bits, likeness)])


def _tuples(places: Pairs, pairs: Pairs) -> list[Pair]:
    return [(int(places[a]), int(places[b])) for a, b in pairs]


def _equal_bytes(rows: Sequence[Row]) -> list[Pair]:
    first: dict[str, int] = {}
    kept = [(i, row.sha256) for i, row in enumerate(rows) if row.kept and row.sha256]
    return [(first[sha], i) for i, sha in kept if first.setdefault(sha, i) != i]


def _reject_conflicts(rows: list[Row], same: Iterable[Pair]) -> None:
    """The same photo under two labels: nobody knows which is right, so all its copies go."""
    members = defaultdict(list)
    for index, root in enumerate(groups_of(len(rows), same)):
        members[root].append(index)
    for group in members.values():
        labels = sorted({rows[i].label for i in group})
        if len(labels) < 2:
            continue
        paths = {i: next(rows[j].path for j in group if rows[j].label != rows[i].label)
                 for i in group}  # fmt: skip
        for i in group:
            detail = f"the same photo is filed under {' and '.join(labels)}"
            rows[i] = _rejected(rows[i], "conflict", detail, paths[i])


def _reject_exact(rows: list[Row]) -> list[str]:
    """Of the same bytes one stays: the one that a person put into test, then validation."""
    first: dict[str, Row] = {}
    crossing = 0
    for i in sorted(range(len(rows)), key=lambda i: -SPLITS.index(rows[i].split or "train")):
        row = rows[i]
        if not row.kept or row.sha256 is None:
            continue
        original = first.setdefault(row.sha256, row)
        if original is not row:
            crossing += row.split is not None and row.split != original.split
            rows[i] = _rejected(row, "exact_duplicate", "the same bytes", original.path)
    if not crossing:
        return []
    return [f"the source's own split leaks: {crossing} copies of its validation or test pictures "
            "lay in another part and are rejected"]  # fmt: skip


def _group(rows: list[Row], near: Sequence[Pair], drop_near: bool) -> None:
    """Give every kept row a group: its own, its source's, or the one of its near-duplicates."""
    near = [(a, b) for a, b in near if rows[a].kept and rows[b].kept]
    if drop_near:
        for i, root in enumerate(groups_of(len(rows), near)):
            if root != i:
                rows[i] = _rejected(rows[i], "near_duplicate", "looks the same", rows[root].path)
        near = []
    named: dict[str, int] = {}
    links = list(near)
    for i, row in enumerate(rows):
        if row.kept and row.group is not None:
            links.append((named.setdefault(row.group, i), i))
    members = defaultdict(list)
    for i, root in enumerate(groups_of(len(rows), links)):
        if rows[i].kept:
            members[root].append(i)
    original = {i: root for i, root in enumerate(groups_of(len(rows), near)) if root != i}
    for group in members.values():
        # The smallest hash names the group: a renamed or added file doesn't move it.
        name = "g" + min(rows[i].sha256 or "" for i in group)[:16]
        for i in group:
            copy_of = rows[original[i]].path if i in original else None
            rows[i] = replace(rows[i], group=name, duplicate_of=copy_of)


def _split(rows: list[Row], config: PrepareConfig) -> list[str]:
    """Deal out the pictures that no person has placed.

    A person's split stands. Pictures without one fill train and the splits that the person did
    not give; where every picture has one, a missing validation or test comes out of train.
    """
    kept = [i for i, row in enumerate(rows) if row.kept]
    own = defaultdict(set)
    for i in kept:
        if rows[i].split:
            own[rows[i].group].add(rows[i].split)
    given = {rows[i].split for i in kept} - {None}
    open_splits = [s for s in SPLITS if s not in given or s == "train"]
    pool = [i for i in kept if rows[i].split is None]
    notes = []
    if kept and not pool and open_splits != ["train"]:
        pool = [i for i in kept if own[rows[i].group] == {"train"}]
        missing = " and ".join(s for s in open_splits if s in {"validation", "test"} - given)
        notes.append(f"the source gave no {missing} split; it was taken out of its training part")
        own = defaultdict(set, {g: s for g, s in own.items() if s != {"train"}})
    if kept and not pool and "train" not in given:
        raise SourceError("the source's split has no train part", hint="add a folder train/")
    # A picture without a split follows the near-copies that have one.
    followed = {g: min(s, key=SPLITS.index) for g, s in own.items()}
    dealt = [i for i in pool if rows[i].group not in followed]
    splits = assign_splits(
        [rows[i].group or "" for i in dealt],
        [rows[i].label for i in dealt],
        [config.ratios[SPLITS.index(s)] for s in open_splits],
        config.seed,
        open_splits,
    )
    chosen = dict(zip(dealt, splits, strict=True))
    for i in pool:
        split = chosen[i] if i in chosen else followed[rows[i].group]
        rows[i] = replace(rows[i], split=split)
    return notes


def _rejected(row: Row, reason: str, detail: str, duplicate_of: str) -> Row:
    return replace(
        row, status="rejected", reason=reason, detail=detail, duplicate_of=duplicate_of,
        group=None, split=None,
    )  # fmt: skip


def leaks(rows: Iterable[Row]) -> list[str]:
    """Groups that a person's own split puts on two sides."""
    splits = defaultdict(set)
    for row in rows:
        if row.kept and row.group:
            splits[row.group].add(row.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


def _leak_notes(rows: Sequence[Row]) -> list[str]:
    count = len(leaks(rows))
    if not count:
        return []
    return [f"the source's own split puts near-copies on two sides: {count} groups leak"]
