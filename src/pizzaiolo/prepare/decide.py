"""From findings to rows: which pictures stay, why the others go, and which belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ..config import PrepareConfig
from ..core.manifest import Row
from .duplicates import MIN_CORRELATION, SURE_CORRELATION, correlation, groups_of, near_pairs
from .inspect import Finding
from .split import assign_splits

Pair = tuple[int, int]


def decide(findings: Sequence[Finding], config: PrepareConfig) -> list[Row]:
    """One row per finding, in order: rejected with a reason, or kept with a group and a split."""
    rows = [_row(finding) for finding in findings]
    pairs = _pairs(findings, config.near_distance)
    _reject_conflicts(rows, [p for p in pairs if _same_photo(findings, p)])
    _reject_exact(rows)
    _group(rows, pairs, config.drop_near)
    _split(rows, config)
    return rows


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
        group=finding.candidate.group,
        split=finding.candidate.split,
        phash=None if finding.phash is None else f"{finding.phash:016x}",
        brightness=finding.brightness,
        contrast=finding.contrast,
        sharpness=finding.sharpness,
    )


def _pairs(findings: Sequence[Finding], distance: int) -> list[Pair]:
    """Pairs of good pictures that look alike: hashes near, and the grey pictures correlate."""
    good = [i for i, f in enumerate(findings) if f.reason is None]
    hashes = [findings[i].phash or 0 for i in good]
    found = ((good[a], good[b]) for a, b in near_pairs(hashes, distance))
    return sorted(p for p in found if _correlation(findings, p) >= MIN_CORRELATION)


def _correlation(findings: Sequence[Finding], pair: Pair) -> float:
    a, b = findings[pair[0]].grey, findings[pair[1]].grey
    return 0.0 if a is None or b is None else correlation(a, b)


def _same_photo(findings: Sequence[Finding], pair: Pair) -> bool:
    a, b = findings[pair[0]], findings[pair[1]]
    return a.sha256 == b.sha256 or _correlation(findings, pair) >= SURE_CORRELATION


def _reject_conflicts(rows: list[Row], same: list[Pair]) -> None:
    """The same photo under two labels: nobody knows which is right, so all its copies go."""
    members = defaultdict(list)
    for index, root in enumerate(groups_of(len(rows), same)):
        members[root].append(index)
    for group in members.values():
        labels = sorted({rows[i].label for i in group})
        if len(labels) < 2:
            continue
        for i in group:
            other = next(rows[j].path for j in group if rows[j].label != rows[i].label)
            rows[i] = _rejected(rows[i], "conflict", f"also filed as {' and '.join(labels)}", other)


def _reject_exact(rows: list[Row]) -> None:
    first: dict[str, Row] = {}
    for i, row in enumerate(rows):
        if not row.kept or row.sha256 is None:
            continue
        original = first.setdefault(row.sha256, row)
        if original is not row:
            rows[i] = _rejected(row, "exact_duplicate", "the same bytes", original.path)


def _group(rows: list[Row], pairs: list[Pair], drop_near: bool) -> None:
    """Give every kept row a group: its own, its source's, or the one of its near-duplicates."""
    links = [(a, b) for a, b in pairs if rows[a].kept and rows[b].kept]
    named: dict[str, int] = {}
    for i, row in enumerate(rows):
        if row.kept and row.group is not None:
            links.append((named.setdefault(row.group, i), i))
    roots = groups_of(len(rows), links)
    near = {i for pair in pairs for i in pair}
    for i, row in enumerate(rows):
        if not row.kept:
            continue
        original = rows[roots[i]]
        if drop_near and i in near and roots[i] != i and original.kept:
            rows[i] = _rejected(row, "near_duplicate", "looks the same", original.path)
        else:
            group = f"g{(original.sha256 or '')[:16]}"
            duplicate_of = original.path if roots[i] != i and i in near else None
            rows[i] = replace(row, group=group, duplicate_of=duplicate_of)


def _split(rows: list[Row], config: PrepareConfig) -> None:
    """A person's own split is respected; the other pictures are dealt out by group."""
    own = {row.group: row.split for row in rows if row.kept and row.split}
    free = [i for i, row in enumerate(rows) if row.kept and row.split is None]
    follow = [i for i in free if rows[i].group in own]
    dealt = [i for i in free if rows[i].group not in own]
    splits = assign_splits(
        [rows[i].group or "" for i in dealt],
        [rows[i].label for i in dealt],
        config.ratios,
        config.seed,
    )
    for i, split in zip(dealt, splits, strict=True):
        rows[i] = replace(rows[i], split=split)
    for i in follow:
        rows[i] = replace(rows[i], split=own[rows[i].group])


def _rejected(row: Row, reason: str, detail: str, duplicate_of: str) -> Row:
    return replace(
        row, status="rejected", reason=reason, detail=detail, duplicate_of=duplicate_of,
        group=None, split=None,
    )  # fmt: skip


def leaks(rows: Sequence[Row]) -> list[str]:
    """Groups that a person's own split puts on two sides."""
    splits = defaultdict(set)
    for row in rows:
        if row.kept and row.group:
            splits[row.group].add(row.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)
