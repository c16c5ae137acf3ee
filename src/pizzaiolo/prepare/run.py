"""`pizzaiolo prepare`: any source of pictures becomes a clean, leak-free DATASET."""

from __future__ import annotations

import csv
import io
import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import PrepareConfig, to_dict
from ..console import log, progress
from ..core.bundle import new_folder, write_text
from ..core.labels import Labels, guess_positive
from ..core.manifest import SPLITS, Dataset, Row, fingerprint
from ..errors import SourceError, UsageError, explain_os_error, nearest
from .collect import Candidate, collect
from .decide import decide, leaks
from .inspect import Finding, inspect_all
from .report import write_report

UNFINISHED = ".unfinished"


def prepare(
    sources: Path | str | Sequence[Path | str],
    out: Path | str,
    config: PrepareConfig = PrepareConfig(),
) -> dict[str, Any]:
    """Collect, clean, deduplicate and split pictures into the DATASET folder `out`.

    `sources`: folders of class folders, folders already split, archives, tables. Bad pictures
    never stop it: each is a row of the manifest with its reason. Returns what
    `prepare --json` prints. Raises `SourceError` (nothing usable) or `StorageError`.
    """
    started = time.monotonic()
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    with ExitStack() as stack:
        candidates = collect(given, stack, exclude=Path(out))
        folder = _open_folder(Path(out))
        findings = _inspect(candidates, folder / "images" / ".staging", config)
    rows = decide(findings, config)
    labels = _labels(rows, config)
    rows = _place_copies(folder, rows, config.format)
    _warn_leaks(rows)
    dataset = Dataset(folder, labels, to_dict(config), fingerprint(rows), tuple(rows))
    summary = _summary(dataset, findings)
    _write_rejected(folder / "rejected.csv", rows)
    write_report(dataset, summary, {f.candidate.path: f.candidate.file for f in findings})
    summary["seconds"] = round(time.monotonic() - started, 2)
    dataset.save({"found": summary["found"], "rejected": summary["rejected"]})
    (folder / UNFINISHED).unlink(missing_ok=True)
    return summary


def _open_folder(out: Path) -> Path:
    """An empty folder, or one of an earlier or interrupted run, which is cleared."""
    own = UNFINISHED if (out / UNFINISHED).exists() else "dataset.json"
    folder = new_folder(out, "data set", own)
    try:
        write_text(folder / UNFINISHED, "This data set is being written.\n")
        (folder / "dataset.json").unlink(missing_ok=True)
        if (folder / "images").exists():
            shutil.rmtree(folder / "images")
    except OSError as error:
        raise explain_os_error(error) from None
    return folder


def _inspect(candidates: list[Candidate], staging: Path, config: PrepareConfig) -> list[Finding]:
    findings = []
    with progress("inspecting", len(candidates)) as advance:
        for finding in inspect_all(candidates, staging, config):
            findings.append(finding)
            advance()
    return findings


def _labels(rows: Sequence[Row], config: PrepareConfig) -> Labels:
    """The classes in order; raises `SourceError` for a class with too few good pictures."""
    kept = Counter(row.label for row in rows if row.kept)
    names = sorted({row.label for row in rows})
    for name in names:
        if kept[name] < config.min_per_class:
            bad = Counter(row.reason for row in rows if row.label == name and not row.kept)
            why = ", ".join(f"{count} {reason}" for reason, count in bad.most_common())
            raise SourceError(
                f"class {name!r} has {kept[name]} usable pictures, "
                f"expected at least {config.min_per_class}"
                + (f" (rejected: {why})" if why else ""),
                hint="add pictures, or lower --min-per-class (3 is the least)",
            )
    if config.positive is not None and config.positive not in names:
        raise UsageError(f"no class {config.positive!r}", hint=nearest(config.positive, names))
    return Labels(tuple(names), positive=config.positive or guess_positive(names))


def _place_copies(folder: Path, rows: list[Row], suffix: str) -> list[Row]:
    """Move the copies of kept pictures to images/<split>/<class>/; drop the others."""
    staging, taken = folder / "images" / ".staging", set[str]()
    placed = []
    try:
        for row in rows:
            if row.kept:
                name = _free_name(row, suffix, taken)
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / f"{row.sha256}.{suffix}").replace(target)
                row = replace(row, file=name)
            placed.append(row)
        shutil.rmtree(staging)
    except OSError as error:
        raise explain_os_error(error) from None
    return placed


def _free_name(row: Row, suffix: str, taken: set[str]) -> str:
    """A file name that is safe on every system and not taken yet, ignoring case."""
    stem = _safe(Path(row.path).stem)[:80]
    folder = f"images/{row.split}/{_safe(row.label)}"
    name = f"{folder}/{stem}.{suffix}"
    if name.lower() in taken:
        name = f"{folder}/{stem}-{(row.sha256 or '')[:12]}.{suffix}"
    taken.add(name.lower())
    return name


def _safe(text: str) -> str:
    return re.sub(r"[^\w .()+-]", "_", text).strip(". ") or "_"


def _warn_leaks(rows: Sequence[Row]) -> None:
    crossing = leaks(rows)
    if crossing:
        log.warning(
            "the given split puts near-copies on two sides in %s groups; see report.html",
            len(crossing),
        )


def _summary(dataset: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    rows = dataset.rows
    sizes = Counter(row.group for row in rows if row.kept)
    rejected = Counter(row.reason or "" for row in rows if not row.kept)
    return {
        "dataset": str(dataset.root),
        "classes": list(dataset.labels.names),
        "found": len(findings),
        "kept": sum(row.kept for row in rows),
        "rejected": dict(sorted(rejected.items())),
        "flagged": {"label_suspect": 0, "outlier": 0},
        "groups": sum(count > 1 for count in sizes.values()),
        "splits": {name: dataset.counts()[name] for name in SPLITS},
        "leaks": len(leaks(rows)),
        "seconds": 0.0,
    }


def _write_rejected(path: Path, rows: Sequence[Row]) -> None:
    buffer = io.StringIO()
    columns = ("path", "label", "reason", "detail", "duplicate_of")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows([getattr(r, c) for c in columns] for r in rows if not r.kept)
    write_text(path, buffer.getvalue())
