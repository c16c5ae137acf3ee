"""What a person decided in the review: a plain file, applied before anything else is judged."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ..core.bundle import write_text
from ..core.manifest import Row
from ..errors import InputError, UsageError, explain_os_error, nearest
from .columns import Records

FILE = "decisions.csv"  # its name in a DATASET
KINDS = ("keep", "drop", "relabel")
REVIVED = "blank"  # the reason of a look that a person may overrule; it is a matter of taste


@dataclass(frozen=True)
class Decision:
    """What happens to one picture: `keep`, `drop` or `relabel` to `new_label`.

    `path` and `label` are those of the source. Without a `sha256` it goes for any content.
    """

    path: str
    label: str
    sha256: str
    decision: str
    new_label: str = ""

    @property
    def target(self) -> str | None:
        """The label that a person says is right; None for a dropped picture."""
        return {"keep": self.label, "relabel": self.new_label}.get(self.decision)

    def goes_for(self, sha256: str | None) -> bool:
        """Whether the content is the one that was judged."""
        return self.sha256 in ("", sha256)


COLUMNS = tuple(f.name for f in fields(Decision))
Chosen = Mapping[int, Decision]


def read_decisions(path: Path | str) -> list[Decision]:
    """Read decisions.csv; of several lines for one picture the last counts.

    Raises `InputError` that names the row.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"there is no {path}", hint="the review sheet saves one; see prepare --review"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} can't be read: {error}", hint="save it as UTF-8") from None
    except OSError as error:
        raise explain_os_error(error) from None
    return parse_decisions(text, path.name)


def parse_decisions(text: str, name: str = FILE) -> list[Decision]:
    """The decisions in the text of a decisions.csv; `name` stands in the messages."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[tuple[str, str], Decision] = {}
    try:
        _check_columns(name, reader.fieldnames or ())
        for number, row in enumerate(reader, start=1):
            decision = _decision(f"{name} row {number}", row)
            found[decision.path, decision.label] = decision
    except csv.Error as error:
        raise InputError(f"{name} can't be read: {error}") from None
    return list(found.values())


def _check_columns(name: str, found: Sequence[str]) -> None:
    for column in COLUMNS:
        if column not in found:
            raise InputError(
                f"{name} has no column {column!r}",
                hint=f"columns found: {', '.join(found) or 'none'}; expected {', '.join(COLUMNS)}",
            )
    for column in found:
        if column not in COLUMNS:
            raise InputError(
                f"{name} has an unknown column {column!r}", hint=nearest(column, COLUMNS)
            )


def _decision(where: str, row: Mapping[str | None, str | None]) -> Decision:
    if None in row or None in row.values():
        raise InputError(
            f"{where} has {'more' if None in row else 'fewer'} cells than there are columns",
            hint='put a path or label that holds a comma into "quotes"',
        )
    cells = {column: row[column] or "" for column in COLUMNS}
    kind = cells["decision"].strip().lower()
    if kind not in KINDS:
        raise InputError(
            f"{where} has the decision {cells['decision']!r}", hint=nearest(kind, KINDS)
        )
    for column in ("path", "label", *(["new_label"] if kind == "relabel" else [])):
        if not cells[column]:
            raise InputError(f"{where} has an empty {column!r}", hint="every decision needs one")
    new_label = cells["new_label"] if kind == "relabel" else ""
    sha256 = cells["sha256"].strip().lower()
    return Decision(cells["path"], cells["label"], sha256, kind, new_label)


def decisions_text(decisions: Iterable[Decision]) -> str:
    """The text of a decisions.csv."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    writer.writerows(astuple(decision) for decision in decisions)
    return buffer.getvalue()


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Write decisions.csv, whole or not at all."""
    write_text(path, decisions_text(decisions))


def apply_decisions(
    rows: Records[Row], decisions: Iterable[Decision]
) -> tuple[dict[int, Decision], list[str]]:
    """Makes the rows what a person wants; returns the decision that goes for each place, and notes.

    A decision is about content: files with the same bytes and label follow it, unless they have
    their own. Raises `UsageError` for a new label that is no class.
    """
    given = list(decisions)
    if not given:
        return {}, []
    own, stale = _matched(rows, given)
    _check_labels(own.values(), {row.label for row in rows})
    of_content = {(rows[i].sha256, d.label): d for i, d in own.items() if rows[i].sha256}
    chosen = dict(own)
    for i, row in enumerate(rows):
        if twin := of_content.get((row.sha256, row.label)):
            chosen.setdefault(i, twin)
    for i, decision in chosen.items():
        rows.change(i, **_changes(rows[i], decision))
    return chosen, [_stale_note(stale)] if stale else []


def _matched(rows: Sequence[Row], decisions: Sequence[Decision]) -> tuple[dict[int, Decision], int]:
    """The decision of each place that has one, and how many have none."""
    wanted = {(d.path, d.label) for d in decisions}
    places = {key: i for i, row in enumerate(rows) if (key := (row.path, row.label)) in wanted}
    own: dict[int, Decision] = {}
    stale = 0
    for decision in decisions:
        place = places.get((decision.path, decision.label))
        if place is None or not decision.goes_for(rows[place].sha256):
            stale += 1
        else:
            own[place] = decision
    return own, stale


def _stale_note(count: int) -> str:
    what = "1 decision is" if count == 1 else f"{count} decisions are"
    return f"{what} about files that are not there or have changed: not applied"


def _check_labels(decisions: Iterable[Decision], classes: set[str]) -> None:
    for decision in decisions:
        if decision.decision == "relabel" and decision.new_label not in classes:
            raise UsageError(
                f"the decision on {decision.path} has the new label {decision.new_label!r}, "
                "which is no class of the data",
                hint=nearest(decision.new_label, classes),
            )


def _changes(row: Row, decision: Decision) -> dict[str, str | None]:
    """The fields of the row that the decision changes."""
    if decision.decision == "drop":
        dropped = {"status": "rejected", "reason": "dropped", "detail": "a person's decision"}
        return {} if row.reason else {**dropped}
    if decision.decision == "keep" and row.reason == REVIVED:
        return {"status": "kept", "reason": None, "detail": None}
    return {"label": decision.target or row.label}


def kept_by_hand(chosen: Chosen, place: int) -> bool:
    """Whether a person said that this picture stays."""
    return place in chosen and chosen[place].decision == "keep"


def right_ones(rows: Sequence[Row], group: Iterable[int], chosen: Chosen) -> set[int]:
    """Those of a conflict whose label a person confirmed; no bytes that have two such labels."""
    right = [i for i in group if i in chosen and chosen[i].target is not None]
    labels = defaultdict(set)
    for i in right:
        labels[rows[i].sha256].add(rows[i].label)
    return {i for i in right if len(labels[rows[i].sha256]) == 1}


def unheeded(rows: Sequence[Row], chosen: Chosen) -> list[str]:
    """A note on pictures that a person wants to keep and that can't be kept."""
    reasons = Counter(
        row.reason or "?"
        for i, row in enumerate(rows)
        if kept_by_hand(chosen, i) and chosen[i].path == row.path and not row.kept
    )
    if not reasons:
        return []
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return [f"{reasons.total()} of the pictures to keep can't be kept: {why}"]


def reviewed(rows: Iterable[Row], decisions: Iterable[Decision]) -> set[tuple[str, str]]:
    """The (path, label) of rows whose label a person confirmed: they are not flagged again."""
    judged = [d for d in decisions if d.target is not None]
    contents = {(d.sha256, d.target) for d in judged if d.sha256}
    places = {(d.path, d.target) for d in judged if not d.sha256}
    if not judged:
        return set()
    return {
        (row.path, row.label)
        for row in rows
        if (row.sha256, row.label) in contents or (row.path, row.label) in places
    }


def source_labels(rows: Sequence[Row], decisions: Iterable[Decision]) -> list[str]:
    """The label that each row had in its source, before the decisions that made the rows."""
    made = list(decisions)
    wanted = {(d.path, label) for d in made for label in (d.label, d.new_label)}
    places: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows if made else ()):
        if (row.path, row.label) in wanted:
            places.setdefault((row.path, row.label), i)
    labels = [row.label for row in rows]
    for decision in made:
        if decision.decision != "relabel" or (decision.path, decision.label) in places:
            continue
        place = places.get((decision.path, decision.new_label))
        if place is not None and decision.goes_for(rows[place].sha256):
            labels[place] = decision.label
    return labels
