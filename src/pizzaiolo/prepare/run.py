"""`pizzaiolo prepare`: any source of pictures becomes a clean, leak-free DATASET."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from ..config import PrepareConfig, to_dict
from ..console import log, progress
from ..core.bundle import result_folder
from ..core.labels import Labels, guess_positive
from ..core.manifest import SPLITS, Dataset, Row, fingerprint
from ..errors import SourceError, UsageError, explain_os_error, nearest
from .candidate import Candidate
from .columns import Records
from .decide import Help, decide
from .decisions import FILE, read_decisions, write_decisions
from .engine import Engine, Inspect
from .inspect import Finding, judged
from .looks import Looks
from .placement import earlier_splits, look_alikes
from .pool import refuse_unguarded
from .quality import mean_and_std
from .report import write_report
from .review.sheet import replay_command, write_review
from .sight import CopiesOnDisk
from .sources.collect import collect
from .table import FilesOf, Seen
from .write import STAGING, refuse_strangers, store_copies, write_rejected

REMEMBERED_AT_ONCE = 64  # looks; a killed run loses at most so many


def prepare(
    sources: Path | str | Sequence[Path | str],
    out: Path | str,
    config: PrepareConfig = PrepareConfig(),
    decisions: Path | str | None = None,
    engine: Engine = Engine(),
) -> dict[str, Any]:
    """Collect, clean, deduplicate and split pictures into the DATASET folder `out`.

    `sources`: folders of class folders, folders already split, archives, tables, `food101:pizza`,
    `hf:owner/name`. `decisions` is a decisions.csv that the review sheet saved; `engine` does the
    long work, as a cluster does. Bad pictures never stop it: each is a row of the manifest with
    its reason. Returns what `prepare --json` prints. Raises `SourceError` (nothing usable) or
    `StorageError`.
    """
    refuse_unguarded()
    started, out = time.monotonic(), Path(out)
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    decided = read_decisions(decisions) if decisions is not None else []
    refuse_strangers(out)
    with ExitStack() as stack:
        try:
            collection = collect(given, stack, out, config)
        except OSError as error:
            raise explain_os_error(error) from None
        folder = stack.enter_context(result_folder(out, "data set", "dataset.json", STAGING))
        staging = folder / STAGING
        with closing(_inspect(engine.inspect, collection.candidates, staging, config)) as found:
            seen = Seen(found, config)
        sight = CopiesOnDisk(staging, config, engine.compute)
        help = Help(decided, earlier_splits(out, config), sight, engine.near)
        rows, notes = decide(seen, config, help)
        dataset = _dataset(folder, rows, config)
        notes = collection.notes + notes
        if not decided and (out / FILE).is_file():
            notes.append(f"{out / FILE} was not asked for: --decisions {out / FILE}")
        summary = {"dataset": str(out), **_summary(dataset, started)}
        files = FilesOf(collection.candidates)
        write_rejected(folder / "rejected.csv", dataset.rows)
        write_report(dataset, summary, notes, files)
        command = replay_command(given, out, config)
        write_review(dataset, summary, decided, files, command)
        if decided:
            write_decisions(folder / FILE, decided)
        summary["seconds"] = round(time.monotonic() - started, 2)
        counts = {"found": summary["found"], "rejected": summary["rejected"]}
        dataset.save({"command": command, **counts, "channels": _channels(seen), "notes": notes})
    looks = Looks(config, folder / STAGING)
    looks.moved((r.sha256, out / r.file) for r in dataset.rows if r.sha256 and r.file)
    for note in notes:
        log.warning("%s", note)
    return summary


def _inspect(
    inspect: Inspect, candidates: Sequence[Candidate], staging: Path, config: PrepareConfig
) -> Generator[Finding]:
    fresh, looks = [], Looks(config, staging)
    with (
        progress("inspecting", len(candidates)) as advance,
        closing(inspect(candidates, staging, config)) as found,
    ):
        try:
            for finding in found:
                if finding.fresh and finding.sha256:
                    fresh.append((finding.sha256, finding.facts()))
                if len(fresh) >= REMEMBERED_AT_ONCE:
                    looks.remember(fresh)
                    fresh.clear()
                yield judged(finding, config)
                advance()
        finally:  # what an interrupted run has looked at, the next one need not
            looks.remember(fresh)


def _channels(seen: Seen) -> dict[str, list[float]]:
    """Channel mean and standard deviation of the training pictures, of values 0 to 1."""
    training = [row.kept and row.split == "train" for row in seen.rows]
    moments = seen.channels[np.array(training, np.bool_)]
    return mean_and_std(moments[np.isfinite(moments).all(axis=1)].astype(np.float64))


def _dataset(folder: Path, rows: Records[Row], config: PrepareConfig) -> Dataset:
    labels = _labels(rows, config)
    placed = store_copies(folder, rows, labels.names, config)
    return Dataset(folder, labels, to_dict(config), fingerprint(rows), placed)


def _labels(rows: Sequence[Row], config: PrepareConfig) -> Labels:
    """The classes in order; raises `SourceError` for a class with too few good pictures."""
    names = sorted({row.label for row in rows})
    kept = Counter((row.label, row.split) for row in rows if row.kept)
    bad = Counter((row.label, row.reason) for row in rows if not row.kept)
    for name in names:
        count = sum(kept[name, split] for split in SPLITS)
        if count < config.min_per_class:
            why = ", ".join(f"{n} {reason}" for (label, reason), n in bad.most_common()
                            if label == name)  # fmt: skip
            raise SourceError(
                f"class {name!r} has {count} usable pictures, "
                f"expected at least {config.min_per_class}"
                + (f" (rejected: {why})" if why else ""),
                hint="add pictures, or lower --min-per-class (3 is the least)",
            )
        for split in SPLITS:
            if not kept[name, split]:
                groups = len({row.group for row in rows if row.kept and row.label == name})
                raise SourceError(
                    f"class {name!r} has no picture for the {split} split "
                    f"({count} usable pictures in {groups} groups of look-alikes)",
                    hint="each split needs pictures of every class: add some that differ",
                )
    if config.positive is not None and config.positive not in names:
        raise UsageError(f"no class {config.positive!r}", hint=nearest(config.positive, names))
    return Labels(tuple(names), positive=config.positive or guess_positive(names))


def _summary(dataset: Dataset, started: float) -> dict[str, Any]:
    rows = dataset.rows
    rejected = Counter(row.reason or "" for row in rows if not row.kept)
    return {
        "classes": list(dataset.labels.names),
        "found": len(rows),
        "kept": sum(row.kept for row in rows),
        "rejected": dict(sorted(rejected.items())),
        "flagged": {
            "label_suspect": sum(row.label_suspect is not None for row in rows),
            "outlier": sum(row.outlier is not None for row in rows),
        },
        "groups": len(look_alikes(rows)),
        "splits": {name: dataset.counts()[name] for name in SPLITS},
        "seconds": round(time.monotonic() - started, 2),
    }
