"""`--classes pizza=margherita,calzone`: renames and merges classes; `*` stands for the rest."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Collection, Sequence

from ...errors import UsageError, nearest

REST = "*"
_HINT = "for example --classes pizza=margherita,calzone --classes 'other=*'"


def renaming(entries: Sequence[str], labels: Collection[str]) -> dict[str, str]:
    """The new name of every label, by its old one; entries are `new=old,old` or `new=*`.

    `*` takes the labels that no entry names, old or new. A label that nothing takes keeps its
    name. Raises `UsageError` for an entry that makes no sense and a name that no label has.
    """
    targets = _parse(entries)
    known = {_composed(label): label for label in labels}
    for name in targets:
        if name != REST and name not in known:
            raise UsageError(
                f"--classes names the class {name!r}, which no source has",
                hint=nearest(name, known.values()),
            )
    rest = targets.get(REST)
    new_names = set(targets.values())
    return {
        label: targets.get(name, label if rest is None or name in new_names else rest)
        for label in labels
        for name in (_composed(label),)
    }


def _parse(entries: Sequence[str]) -> dict[str, str]:
    """The new name by the old one, `*` among them, all in composed Unicode."""
    targets: dict[str, str] = {}
    seen: set[str] = set()
    for entry in entries:
        new, equals, right = _composed(entry).partition("=")
        new, olds = new.strip(), _names(right)
        if not (new and equals and olds and all(olds)) or new == REST:
            raise UsageError(f"--classes is {entry!r}, expected NEW=OLD,OLD", hint=_HINT)
        if new in seen:
            raise UsageError(
                f"--classes gives {new!r} twice", hint=f"join the two: {new}={right},..."
            )
        seen.add(new)
        for old in olds:
            if old in targets:
                raise UsageError(
                    f"--classes names {old!r} twice, for {targets[old]!r} and {new!r}",
                    hint="a class can become one other only",
                )
            targets[old] = new
    return targets


def _names(text: str) -> list[str]:
    """Names between commas, one that holds a comma in double quotes; none where that is unclear."""
    try:
        (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (ValueError, csv.Error):  # an empty text, a quote that is never closed
        return []
    return [name.strip() for name in names]


def _composed(text: str) -> str:
    """One spelling of each accented letter: keyboards and file systems use different ones."""
    return unicodedata.normalize("NFC", text)
