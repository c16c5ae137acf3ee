"""The data report: what was found, what was kept, and why the rest was not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.labels import human
from ..core.manifest import SPLITS, Dataset, Row
from ..core.page import thumbnail, write_page

TEMPLATE = Path(__file__).with_name("report.html")
MAX_PER_REASON, MAX_GROUPS, SAMPLES, SIDE = 24, 24, 6, 128

REASONS = {
    "unreadable": "damaged or not decodable",
    "not_an_image": "no picture by content, whatever the name says",
    "too_small": "too few pixels to tell anything",
    "blank": "one flat colour",
    "exact_duplicate": "the same bytes as another file; one is kept",
    "near_duplicate": "looks the same as another picture; one is kept",
    "conflict": "the same photo under two labels; all its copies are out",
}


def write_report(dataset: Dataset, summary: dict[str, Any], files: Mapping[str, Path]) -> None:
    """Write report.html; `files` tells where each source path lies, for the small pictures."""
    values = {
        "title": f"Data report: {', '.join(human(n) for n in dataset.labels.names)}",
        "subtitle": f"{summary['found']:,} files found, {summary['kept']:,} pictures kept",
        "version": __version__,
        "summary": summary,
        "splits": SPLITS,
        "classes": _classes(dataset),
        "reasons": _reasons(dataset, files),
        "groups": _groups(dataset),
        "samples": _samples(dataset),
    }
    write_page(dataset.root / "report.html", TEMPLATE, values)


def _classes(dataset: Dataset) -> list[dict[str, Any]]:
    table = []
    for name in dataset.labels.names:
        counts = {s: sum(r.label == name for r in dataset.split(s)) for s in SPLITS}
        found = sum(row.label == name for row in dataset.rows)
        table.append({"name": name, "found": found, "counts": counts, "kept": sum(counts.values())})
    return table


def _reasons(dataset: Dataset, files: Mapping[str, Path]) -> list[dict[str, Any]]:
    by_reason: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        if not row.kept:
            by_reason[row.reason or "?"].append(row)
    sections = []
    for reason, rows in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        shown = [
            {"row": row, "picture": thumbnail(files[row.path], SIDE) if row.phash else None}
            for row in rows[:MAX_PER_REASON]
        ]
        meaning = REASONS.get(reason, "")
        sections.append({"reason": reason, "meaning": meaning, "count": len(rows), "shown": shown})
    return sections


def _groups(dataset: Dataset) -> list[dict[str, Any]]:
    members: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        if row.kept and row.group:
            members[row.group].append(row)
    large = sorted((m for m in members.values() if len(m) > 1), key=lambda m: -len(m))
    return [
        {
            "split": ", ".join(sorted({r.split or "" for r in rows})),
            "leak": len({r.split for r in rows}) > 1,
            "shown": [_shown(dataset, row) for row in rows[:8]],
        }
        for rows in large[:MAX_GROUPS]
    ]


def _samples(dataset: Dataset) -> list[dict[str, Any]]:
    sections = []
    for name in dataset.labels.names:
        rows = [row for row in dataset.split("train") if row.label == name]
        step = max(1, len(rows) // SAMPLES)
        shown = [_shown(dataset, row) for row in rows[::step][:SAMPLES]]
        sections.append({"name": name, "shown": shown})
    return sections


def _shown(dataset: Dataset, row: Row) -> dict[str, Any]:
    return {"row": row, "picture": thumbnail(dataset.picture(row), SIDE)}
