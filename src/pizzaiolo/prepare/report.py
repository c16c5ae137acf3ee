"""The data report: what was found, what was kept, and why the rest was not."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.labels import human
from ..core.manifest import SPLITS, Dataset, Row
from ..core.page import thumbnail, write_page
from .placement import leaks, look_alikes

TEMPLATE = Path(__file__).with_name("report.html")
SIDE = 128  # short side of the small pictures, pixels; about 5 KB each in the page
MAX_PER_REASON, MAX_GROUPS, MAX_IN_GROUP = 24, 24, 6
MAX_SAMPLES, SAMPLES, MAX_CLASSES = 120, 8, 60
MAX_FLAGGED, MAX_POOR = 24, 8
SIDES = (0, 64, 128, 256, 512, 1024, 2048, 4096)  # steps of the histogram of short sides, pixels

REASONS = {
    "unreadable": "damaged, or too large to be decoded",
    "not_an_image": "no picture by content, whatever the name says",
    "too_small": "too few pixels to tell anything",
    "blank": "one flat colour",
    "exact_duplicate": "the same bytes as another file; one is kept",
    "near_duplicate": "looks the same as another picture; one is kept",
    "conflict": "the same photo under two labels; all its copies are out",
    "dropped": "a person's decision",
}


def write_report(
    dataset: Dataset, summary: dict[str, Any], notes: Sequence[str], files: Mapping[str, Path]
) -> None:
    """Write report.html; `files` tells where each source path lies, for the small pictures."""
    labels = dataset.labels.names
    title = ", ".join(human(n) for n in labels[:6]) + (", ..." if len(labels) > 6 else "")
    values = {
        "title": f"Data report: {title}",
        "subtitle": f"{summary['found']:,} files found, {summary['kept']:,} pictures kept, "
        f"in {summary['seconds']:.1f} s",
        "version": __version__,
        "summary": summary,
        "notes": list(notes),
        "leaks": len(leaks(dataset.rows)),
        "splits": SPLITS,
        "classes": _classes(dataset),
        "sizes": _sizes(dataset),
        "small": _smaller(dataset),
        "suspects": _flagged(dataset, "label_suspect"),
        "outliers": _flagged(dataset, "outlier"),
        "poor": _poor(dataset),
        "reasons": _reasons(dataset, files),
        **_groups(dataset),
        "samples": _samples(dataset),
    }
    write_page(dataset.root / "report.html", TEMPLATE, values)


def _classes(dataset: Dataset) -> list[dict[str, Any]]:
    found = Counter(row.label for row in dataset.rows)
    counts = Counter((row.label, row.split) for row in dataset.rows if row.kept)
    most = max(found.values())
    table = []
    for name in dataset.labels.names:
        own = {split: counts[name, split] for split in SPLITS}
        kept = sum(own.values())
        row = {"name": name, "found": found[name], "counts": own, "kept": kept}
        table.append({**row, "share": found[name] / most})
    return table


def _short_sides(dataset: Dataset) -> list[int]:
    sides = ((r.width, r.height) for r in dataset.rows if r.kept)
    return [min(width, height) for width, height in sides if width and height]


def _sizes(dataset: Dataset) -> list[dict[str, Any]]:
    """Kept pictures by short side: a row for each step between the smallest and the largest."""
    counts = Counter(bisect_right(SIDES, side) - 1 for side in _short_sides(dataset))
    most = max(counts.values(), default=1)
    names = [f"{low} to {high - 1}" for low, high in pairwise(SIDES)]
    names = [f"under {SIDES[1]}", *names[1:], f"{SIDES[-1]} and more"]
    steps = range(min(counts, default=0), max(counts, default=-1) + 1)
    return [{"name": names[i], "count": counts[i], "share": counts[i] / most} for i in steps]


def _smaller(dataset: Dataset) -> dict[str, int]:
    """How many pictures are smaller than the copies could be."""
    size = int(dataset.settings.get("size", 0))
    return {"size": size, "count": sum(side < size for side in _short_sides(dataset))}


def _flagged(dataset: Dataset, column: str) -> dict[str, Any]:
    """Kept pictures with a score in the column, the surest first."""
    scored = [(s, r) for r in dataset.rows if r.kept and (s := getattr(r, column)) is not None]
    scored.sort(key=lambda pair: -pair[0])
    shown = [{**_kept(dataset, row), "score": score} for score, row in scored[:MAX_FLAGGED]]
    return {"count": len(scored), "shown": shown}


def _poor(dataset: Dataset) -> list[dict[str, Any]]:
    """Kept pictures by what their pixels suffer from, the commonest first."""
    by_flag: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        for flag in quality_flags(row) if row.kept else ():
            by_flag[flag].append(row)
    return [
        {
            "name": human(flag),
            "count": len(rows),
            "shown": [_kept(dataset, row) for row in rows[:MAX_POOR]],
        }
        for flag, rows in sorted(by_flag.items(), key=lambda item: -len(item[1]))
    ]


def quality_flags(row: Row) -> list[str]:
    """What the pixels of a picture suffer from: the words of its `quality`."""
    return [flag for flag in (row.quality or "").split(", ") if flag]


def _reasons(dataset: Dataset, files: Mapping[str, Path]) -> list[dict[str, Any]]:
    by_reason: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        if not row.kept:
            by_reason[row.reason or "?"].append(row)
    most = max((len(rows) for rows in by_reason.values()), default=1)
    sections = []
    for reason, rows in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        # Copies of one photo beside one another.
        rows.sort(key=lambda row: row.phash or "" if reason == "conflict" else row.path)
        shown = [_rejected(row, files) for row in rows[:MAX_PER_REASON]]
        sections.append(
            {
                "name": human(reason),
                "meaning": REASONS.get(reason, ""),
                "count": len(rows),
                "share": len(rows) / most,
                "shown": shown,
            }
        )
    return sections


def _rejected(row: Row, files: Mapping[str, Path]) -> dict[str, Any]:
    copied = row.duplicate_of and row.reason != "conflict"
    text = f"copy of {row.duplicate_of}" if copied else row.detail or ""
    return {
        "row": row,
        "text": text,
        "picture": thumbnail(files[row.path], SIDE) if row.phash else None,
    }


def _groups(dataset: Dataset) -> dict[str, Any]:
    """Look-alikes: `disputed` are those under several labels, `groups` all, the worst first."""
    leaking = set(leaks(dataset.rows))
    found = [[dataset.rows[i] for i in places] for places in look_alikes(dataset.rows).values()]
    found.sort(key=lambda rows: (rows[0].group not in leaking, -len(rows), rows[0].path))
    disputed = [rows for rows in found if len({row.label for row in rows}) > 1]

    def shown(groups: Sequence[Sequence[Row]]) -> list[dict[str, Any]]:
        return [_group(dataset, rows, rows[0].group in leaking) for rows in groups[:MAX_GROUPS]]

    count = sum(len(rows) for rows in disputed)
    return {
        "groups": shown(found),
        "disputed": {"groups": len(disputed), "pictures": count, "shown": shown(disputed)},
    }


def _group(dataset: Dataset, rows: Sequence[Row], leak: bool) -> dict[str, Any]:
    first = {row.label: row for row in reversed(rows)}  # one of each label before the others
    order = [*first.values(), *(row for row in rows if first[row.label] is not row)]
    return {
        "splits": [s for s in SPLITS if any(row.split == s for row in rows)],
        "labels": sorted(first),
        "leak": leak,
        "more": max(0, len(rows) - MAX_IN_GROUP),
        "shown": [{**_kept(dataset, row), "text": row.label} if len(first) > 1
                  else _kept(dataset, row) for row in order[:MAX_IN_GROUP]],
    }  # fmt: skip


def _samples(dataset: Dataset) -> list[dict[str, Any]]:
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.split("train"):
        by_label[row.label].append(row)
    names = dataset.labels.names[:MAX_CLASSES]
    count = max(1, min(SAMPLES, MAX_SAMPLES // len(names)))
    sections = []
    for name in names:
        rows = by_label[name]
        step = max(1, len(rows) // count)
        shown = [_kept(dataset, row) for row in rows[::step][:count]]
        sections.append({"name": human(name), "shown": shown})
    return sections


def _kept(dataset: Dataset, row: Row) -> dict[str, Any]:
    return {"row": row, "text": "", "picture": thumbnail(dataset.picture(row), SIDE)}
