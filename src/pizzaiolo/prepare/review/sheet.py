"""The review sheet: one page on which a person keeps, drops or relabels pictures."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ... import __version__
from ...config import PrepareConfig
from ...core.labels import human
from ...core.manifest import SPLITS, Dataset, Row
from ...core.page import DECISIONS, page_script, thumbnail, write_page
from ...core.shards import find_place
from ..decisions import COLUMNS, Decision, source_labels
from ..duplicates import groups_of
from ..placement import leaks, look_alikes
from ..report import REASONS, quality_flags

SHEET = Path(__file__).parent
SCRIPTS = ("state.js", "cards.js", "keys.js")
SIDE = 192  # short side of a rejected file's small picture, pixels; about 10 KB each in the page
MAX_THUMBNAILS = 240
MAX_FLAGGED, MAX_GROUPS, MAX_IN_GROUP, MAX_PER_REASON, MAX_ALL = 2000, 500, 12, 120, 5000
CHOICES = {"blank": "k", "near_duplicate": "k", "conflict": "kdr"}  # keep, drop, relabel


def replay_command(sources: Sequence[Path | str], out: Path | str, config: PrepareConfig) -> str:
    """The command that makes the data set again with the same settings, for a shell."""
    given, usual = asdict(config), asdict(PrepareConfig())
    flags: list[str] = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        if value == usual[name]:
            continue
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple) and all(isinstance(part, str) for part in value):
            flags += [word for part in value for word in (f"--{flag}", part)]
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            flags += [f"--{flag}", text]
    return shlex.join(["pizzaiolo", "prepare", *map(str, sources), "--out", str(out), *flags])


def write_review(
    dataset: Dataset,
    summary: Mapping[str, Any],
    decisions: Sequence[Decision],
    files: Mapping[str, Path],
    command: str = "",
) -> None:
    """Write review.html.

    `decisions` are those the data set was made with; `files` tells where each source path lies,
    for small pictures of rejected files; `command` makes the data set again (`replay_command`).
    """
    labels = dataset.labels.names
    title = ", ".join(human(n) for n in labels[:6]) + (", ..." if len(labels) > 6 else "")
    out = summary.get("dataset", dataset.root)
    values = {
        "title": f"Review: {title}",
        "subtitle": f"{summary['kept']:,} of {summary['found']:,} files are kept. "
        "Look, decide, save; the next run does as you decided.",
        "version": __version__,
        "style": Markup((SHEET / "style.css").read_text(encoding="utf-8")),
        **page_script(DECISIONS, *(SHEET / name for name in SCRIPTS)),
        "data": {
            "fingerprint": dataset.fingerprint,
            "command": command or replay_command(["SOURCE"], out, PrepareConfig()),
            "columns": COLUMNS,
            "decisions": [astuple(decision) for decision in decisions],
            **_Sheet(dataset, decisions, files).data(),
        },
    }
    write_page(dataset.root / "review.html", SHEET / "page.html", values)


@dataclass
class _Sheet:
    """Collects what the page shows; a picture that stands in several sections is one item."""

    dataset: Dataset
    decisions: Sequence[Decision]
    files: Mapping[str, Path]
    items: list[dict[str, Any]] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    thumbnails: int = 0

    def __post_init__(self) -> None:
        self.rows = self.dataset.rows
        self.labels = source_labels(self.rows, self.decisions)
        self.dropped = {(d.path, d.label) for d in self.decisions if d.decision == "drop"}
        self.kept = [i for i, row in enumerate(self.rows) if row.kept]
        twins = {row.sha256 for row in self.rows if row.reason == "exact_duplicate"}
        self.copies = {self.rows[i].sha256: self.rows[i].file for i in self.kept
                       if twins and self.rows[i].sha256 in twins}  # fmt: skip

    def data(self) -> dict[str, Any]:
        """Items, sections that point to them, and the classes."""
        sections = {
            "conflicts": self.conflicts(),
            "suspects": self.flagged("label_suspect"),
            "outliers": self.flagged("outlier"),
            "groups": self.look_alikes(),
            "quality": self.poor(),
            "rejected": self.rejected(),
            "all": self.part(self.kept, MAX_ALL),
        }
        return {"items": self.items, "sections": sections, "classes": self.classes()}

    def part(self, places: Sequence[int], most: int) -> dict[str, Any]:
        """The first rows of a section, as items, and how many more there are."""
        shown = [self.item(place) for place in places[:most]]
        return {"items": shown, "more": max(0, len(places) - most)}

    def flagged(self, column: str) -> dict[str, Any]:
        """Kept pictures with a score in the column, the surest first."""
        scores = {i: s for i in self.kept if (s := getattr(self.rows[i], column)) is not None}
        return self.part(sorted(scores, key=lambda i: -scores[i]), MAX_FLAGGED)

    def conflicts(self) -> dict[str, Any]:
        """Rejected pictures that are one photo under two labels, photo by photo."""
        out = [i for i, row in enumerate(self.rows) if row.reason == "conflict"]
        first: dict[str, int] = {}
        for place in out:
            first.setdefault(self.rows[place].path, place)
        links = [(first[p], i) for i in out if (p := self.rows[i].duplicate_of or "") in first]
        links += [(first[self.rows[i].path], i) for i in out]
        members = defaultdict(list)
        for place, root in enumerate(groups_of(len(self.rows), links) if out else ()):
            if self.rows[place].reason == "conflict":
                members[root].append(place)
        return self.groups(list(members.values()), conflict=True)

    def look_alikes(self) -> dict[str, Any]:
        """Groups of kept pictures: leaks first, then those with two labels, then large ones."""
        leaking = set(leaks(self.rows))

        def order(group: list[int]) -> tuple[bool, bool, int, str]:
            rows = [self.rows[i] for i in group]
            return (rows[0].group not in leaking, len({r.label for r in rows}) < 2,
                    -len(rows), rows[0].path)  # fmt: skip

        large = sorted(look_alikes(self.rows).values(), key=order)
        return self.groups(large, leaking=leaking)

    def groups(
        self,
        found: Sequence[list[int]],
        leaking: Container[str | None] = (),
        conflict: bool = False,
    ) -> dict[str, Any]:
        """Groups as the page reads them."""
        shown = []
        for places in found[:MAX_GROUPS]:
            rows = [self.rows[i] for i in places]
            part = self.part(places, MAX_IN_GROUP)
            splits = [s for s in SPLITS if any(row.split == s for row in rows)]
            shown.append({**part, "labels": len({row.label for row in rows}), "splits": splits,
                          "leak": rows[0].group in leaking, "conflict": conflict})  # fmt: skip
        return {"groups": shown, "more": max(0, len(found) - MAX_GROUPS)}

    def poor(self) -> list[dict[str, Any]]:
        """Kept pictures by what their pixels suffer from, the commonest first."""
        by_flag = defaultdict(list)
        for place in self.kept:
            for flag in quality_flags(self.rows[place]):
                by_flag[flag].append(place)
        order = sorted(by_flag, key=lambda flag: -len(by_flag[flag]))
        return [{"name": flag, **self.part(by_flag[flag], MAX_PER_REASON)} for flag in order]

    def rejected(self) -> list[dict[str, Any]]:
        """Rejected files by reason: those that a person may bring back first."""
        by_reason = defaultdict(list)
        for place, row in enumerate(self.rows):
            if not row.kept and row.reason != "conflict":
                by_reason[row.reason or "?"].append(place)
        order = ["dropped", *CHOICES]
        names = sorted(by_reason, key=lambda r: (r not in order, -len(by_reason[r]), r))
        return [{"name": name, "meaning": REASONS.get(name, ""),
                 **self.part(by_reason[name], MAX_PER_REASON)} for name in names]  # fmt: skip

    def classes(self) -> list[dict[str, Any]]:
        """Files found and kept per class, in order."""
        found = Counter(row.label for row in self.rows)
        kept = Counter(self.rows[i].label for i in self.kept)
        names = self.dataset.labels.names
        return [{"name": name, "found": found[name], "kept": kept[name]} for name in names]

    def item(self, place: int) -> int:
        """The number of the row's item, which is made on first use."""
        if place not in self.places:
            self.places[place] = len(self.items)
            self.items.append(self.facts(place))
        return self.places[place]

    def facts(self, place: int) -> dict[str, Any]:
        """A row as the page reads it; `label` is the source's, `now` the data set's."""
        row = self.rows[place]
        size = f"{row.width} x {row.height} pixels" if row.width and row.height else ""
        size += f", {row.bytes / 1000:,.0f} KB" if row.bytes and size else ""
        facts = {
            "row": place, "path": row.path, "label": self.labels[place], "now": row.label,
            "sha256": row.sha256, "kept": row.kept, "can": self.choices(row), "reason": row.reason,
            "detail": row.detail, "of": row.duplicate_of, "split": row.split,
            "file": row.file or self.copy_of(row), "thumb": self.small(place),
            "quality": quality_flags(row), "outlier": row.outlier, "suspect": row.label_suspect,
            "suggested": row.suggested,
            "more": [text for text in (size, row.camera, row.captured) if text],
        }  # fmt: skip
        return {name: value for name, value in facts.items() if value not in (None, [])}

    def choices(self, row: Row) -> str:
        """What a person may decide about a row: letters of keep, drop and relabel."""
        if row.reason == "dropped":  # a copy that went with another follows that one back, too
            return "kdr" if (row.path, row.label) in self.dropped else ""
        return "kdr" if row.kept else CHOICES.get(row.reason or "", "")

    def copy_of(self, row: Row) -> str | None:
        """The kept picture with the same bytes."""
        return self.copies.get(row.sha256) if row.reason == "exact_duplicate" else None

    def small(self, place: int) -> str | None:
        """The small picture of a rejected file that has one, or of one in a shard."""
        row = self.rows[place]
        inside = row.kept and find_place(row.file or "") is not None
        unseen = row.kept or row.phash is None or self.copy_of(row) or row.path not in self.files
        if (unseen and not inside) or self.thumbnails >= MAX_THUMBNAILS:
            return None
        self.thumbnails += 1
        return thumbnail(self.dataset.picture(row) if inside else self.files[row.path], SIDE)
