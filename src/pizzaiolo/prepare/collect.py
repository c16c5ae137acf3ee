"""Where pictures come from: folders, split folders, archives and tables become candidates."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ..console import log
from ..core.image import SUFFIXES
from ..errors import SourceError
from .archives import is_archive, unpack
from .tables import is_table, read_table

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_LATER = ("food101:", "hf:", "http://", "https://")


@dataclass(frozen=True)
class Candidate:
    """A file that may be a picture: where it lies, its name in the manifest, what it is said
    to be, and the split or group that its source gave it."""

    file: Path
    path: str
    label: str
    split: str | None = None
    group: str | None = None


def collect(
    sources: Sequence[Path | str], stack: ExitStack, exclude: Path | None = None
) -> list[Candidate]:
    """All files of all sources, sorted by their name in the manifest, each file once.

    Archives are unpacked into temporary folders that live as long as `stack`. Files under
    `exclude` (the output) are left out. Raises `SourceError` for what is no source.
    """
    found: dict[Path, Candidate] = {}
    for source in sources:
        for candidate in _from_source(source, stack, exclude):
            if len(sources) > 1:
                candidate = replace(candidate, path=f"{Path(source).name}/{candidate.path}")
            found.setdefault(Path(os.path.abspath(candidate.file)), candidate)
    candidates = sorted(found.values(), key=lambda c: c.path)
    _check(candidates, sources)
    return candidates


def _from_source(source: Path | str, stack: ExitStack, exclude: Path | None) -> Iterator[Candidate]:
    text = str(source)
    if text.startswith(_LATER):
        raise SourceError(
            f"{text} is an address, and this version reads folders, archives and tables",
            hint="download it first, then name the folder",
        )
    path = Path(source)
    if not path.exists():
        raise SourceError(f"there is no {path}", hint="give a folder with one folder per class")
    if path.is_dir():
        return _from_folder(path, exclude)
    if is_table(path):
        return (Candidate(*row) for row in read_table(path))
    if is_archive(path):
        inside = _from_folder(_only_folder(unpack(path, stack)), None)
        return (replace(c, path=f"{path.name}/{c.path}") for c in inside)
    raise SourceError(
        f"{path.name} is no folder, archive or table",
        hint="known: folders, .zip, .tar, .tar.gz, .tgz, .csv, .tsv, .jsonl, .parquet",
    )


def _only_folder(root: Path) -> Path:
    """An archive often holds one folder that holds all; look inside it."""
    entries = [p for p in root.iterdir() if p.name != "__MACOSX"]
    inner = entries[0] if len(entries) == 1 else None
    if inner is not None and inner.is_dir() and any(p.is_dir() for p in inner.iterdir()):
        return inner
    return root


def _from_folder(root: Path, exclude: Path | None) -> Iterator[Candidate]:
    classes = _folders(root, exclude)
    loose = [p for p in root.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES]
    if loose:
        log.warning(
            "%s pictures lie beside the class folders of %s and are left out", len(loose), root
        )
    if not classes:
        what = "no class folders" if loose else "nothing"
        raise SourceError(
            f"{root} holds {what}", hint="expected one folder per class, with its pictures inside"
        )
    if all(p.name.lower() in SPLIT_NAMES for p in classes):
        for folder in classes:
            for inner in _folders(folder, exclude):
                yield from _from_class(root, inner, SPLIT_NAMES[folder.name.lower()])
        return
    for folder in classes:
        yield from _from_class(root, folder, None)


def _folders(root: Path, exclude: Path | None) -> list[Path]:
    found = (p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))
    return sorted(p for p in found if exclude is None or p.resolve() != exclude.resolve())


def _from_class(root: Path, folder: Path, split: str | None) -> Iterator[Candidate]:
    # os.walk does not follow links to folders, so a loop of links can't hang it.
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(parent, name)
            yield Candidate(file, file.relative_to(root).as_posix(), folder.name, split)


def _check(candidates: list[Candidate], sources: Sequence[Path | str]) -> None:
    names = ", ".join(map(str, sources))
    if not candidates:
        raise SourceError(f"{names} holds no files", hint="put pictures into one folder per class")
    labels = sorted({c.label for c in candidates})
    if len(labels) == 1:
        raise SourceError(
            f"{names} holds one class only: {labels[0]!r}",
            hint="a recogniser needs two or more, for example pizza/ and not_pizza/",
        )
    lowered: dict[str, str] = {}
    for label in labels:
        other = lowered.setdefault(label.lower(), label)
        if other != label:
            raise SourceError(
                f"the classes {other!r} and {label!r} differ in upper and lower case only",
                hint="rename or merge the two folders",
            )
