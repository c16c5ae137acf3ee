"""From findings to rows: which pictures stay, why the others go, and which belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..config import PrepareConfig
from ..core.manifest import SPLITS, Row
from .bursts import burst_pairs
from .decisions import (
    Chosen,
    Decision,
    apply_decisions,
    kept_by_hand,
    reviewed,
    right_ones,
    unheeded,
)
from .duplicates import find_near, groups_of
from .hamming import Pairs
from .inspect import Finding
from .placement import Earlier, leak_notes, place, reject_bridges, survivors
from .sight import Sight
from .vectors import Features

Pair = tuple[int, int]


@dataclass(frozen=True)
class Help:
    """What a decision may draw on beside the findings.

    `decisions` are a person's, `earlier` holds the splits of the data set that was made before,
    and `sight` shows the pictures: without it only equal bytes are found.
    """

    decisions: Sequence[Decision] = ()
    earlier: Earlier | None = None
    sight: Sight | None = None


def decide(
    findings: Sequence[Finding], config: PrepareConfig, help: Help = Help()
) -> tuple[list[Row], list[str]]:
    """One row per finding, in order: rejected with a reason, or kept with a group, a split and
    flags for a person to look at. Also notes on what a person should know.

    A person's decisions come before anything is judged.
    """
    findings, chosen, notes = apply_decisions(findings, help.decisions)
    rows = [_row(finding, config) for finding in findings]
    good = [i for i, f in enumerate(findings) if f.reason is None and f.phash is not None]
    features = help.sight.features([rows[i] for i in good]) if help.sight else None
    near, same = _pairs(findings, rows, good, features, config.near_distance, help.sight)
    _reject_conflicts(rows, [*same, *_equal_bytes(rows)], chosen)
    notes += _reject_exact(rows)
    notes += reject_bridges(rows, lambda: [*near, *_bursts(rows, config)], help.earlier)
    _group(rows, near, config, chosen, help.earlier)
    notes += place(rows, config, help.earlier)
    if features is not None:
        _flag(rows, good, features, findings, help.decisions, config.seed)
    return rows, notes + unheeded(rows, chosen) + leak_notes(rows)


def _flag(
    rows: list[Row],
    kept: Sequence[int],
    features: Features,
    findings: Sequence[Finding],
    decisions: Sequence[Decision],
    seed: int,
) -> None:
    from .flagging import flag  # cleanlab and scikit-learn, which take seconds to import

    seen = [n for n, i in enumerate(kept) if rows[i].kept]
    places = [kept[n] for n in seen]
    lines = [q.lines if (q := findings[i].quality) else 0.0 for i in places]
    flag(rows, places, features[seen], lines, reviewed(rows, decisions), seed)


def _row(finding: Finding, config: PrepareConfig) -> Row:
    width, height = finding.size or (None, None)
    quality = finding.quality
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
        brightness=quality.brightness if quality else None,
        contrast=quality.contrast if quality else None,
        sharpness=quality.sharpness if quality else None,
        captured=finding.captured,
        camera=finding.camera,
        quality=", ".join(quality.flags(config)) or None if quality else None,
        copy_sha256=finding.copy_sha256,
    )


def _pairs(
    findings: Sequence[Finding],
    rows: Sequence[Row],
    good: Sequence[int],
    features: Features | None,
    distance: int,
    sight: Sight | None,
) -> tuple[list[Pair], list[Pair]]:
    """Near-duplicates among the `good`, and pairs that are one photo."""
    if len(good) < 2 or sight is None:
        return [], []
    hashes = np.array([findings[i].phash or 0 for i in good], np.uint64)
    mirrored = np.array([findings[i].mirror or 0 for i in good], np.uint64)
    with sight.greys([rows[i] for i in good]) as greys:
        copies = find_near(hashes, mirrored, greys, features, distance)
    return _tuples(good, copies.near), _tuples(good, copies.same)


def _tuples(good: Sequence[int], pairs: Pairs) -> list[Pair]:
    return [(good[a], good[b]) for a, b in pairs.tolist()]


def _equal_bytes(rows: Sequence[Row]) -> list[Pair]:
    first: dict[str, int] = {}
    kept = [(i, row.sha256) for i, row in enumerate(rows) if row.kept and row.sha256]
    return [(first[sha], i) for i, sha in kept if first.setdefault(sha, i) != i]


def _reject_conflicts(rows: list[Row], same: Iterable[Pair], chosen: Chosen) -> None:
    """The same photo under two labels: unless a person said which is right, all its copies go."""
    members = defaultdict(list)
    for index, root in enumerate(groups_of(len(rows), same)):
        members[root].append(index)
    for group in members.values():
        labels = sorted({rows[i].label for i in group})
        if len(labels) < 2:
            continue
        paths = {i: next(rows[j].path for j in group if rows[j].label != rows[i].label)
                 for i in group}  # fmt: skip
        for i in set(group) - right_ones(rows, group, chosen):
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


def _group(
    rows: list[Row],
    near: Sequence[Pair],
    config: PrepareConfig,
    chosen: Chosen,
    earlier: Earlier | None,
) -> None:
    """Give every kept row a group: its own, its source's, or the one of its near-duplicates."""
    near = [(a, b) for a, b in near if rows[a].kept and rows[b].kept]
    if config.drop_near:
        roots = survivors(rows, groups_of(len(rows), near), earlier)
        copies = [(root, i) for i, root in enumerate(roots) if root != i]
        near = [(root, i) for root, i in copies if kept_by_hand(chosen, i)]
        for root, i in set(copies) - set(near):
            rows[i] = _rejected(rows[i], "near_duplicate", "looks the same", rows[root].path)
    named: dict[str, int] = {}
    links = [*near, *_bursts(rows, config)]
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


def _bursts(rows: Sequence[Row], config: PrepareConfig) -> Iterator[Pair]:
    shots = [(row.camera, row.captured) if row.kept else (None, None) for row in rows]
    return burst_pairs(shots, config.burst_seconds)


def _rejected(row: Row, reason: str, detail: str, duplicate_of: str) -> Row:
    return replace(
        row, status="rejected", reason=reason, detail=detail, duplicate_of=duplicate_of,
        group=None, split=None,
    )  # fmt: skip
