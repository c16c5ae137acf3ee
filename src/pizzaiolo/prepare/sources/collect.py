"""Where pictures come from: folders, archives, tables and downloads become candidates."""

from __future__ import annotations

import hashlib
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from ...config import PrepareConfig
from ...console import log
from ...core.image import SUFFIXES
from ...core.manifest import is_dataset
from ...core.stores import is_store
from ...errors import SourceError, explain_os_error
from ..candidate import Candidate, one_line, readable
from ..columns import Some
from ..table import Candidates
from .archives import is_archive, unpack
from .classes import renaming
from .tables import SPLIT_NAMES, is_table, read_table


@dataclass(frozen=True)
class Collection:
    """Every file of every source, and notes on what was left out."""

    candidates: Candidates
    notes: list[str] = field(default_factory=list)


def collect(
    sources: Sequence[Path | str], stack: ExitStack, out: Path, config: PrepareConfig
) -> Collection:
    """All files of all sources, sorted by their name in the manifest, each file once.

    Archives are unpacked into temporary folders that live as long as `stack`; downloads stay in
    the cache. The output `out` is never collected. Classes are renamed as `config.classes` says.
    Raises `SourceError` for what is no source.
    """
    if not sources:
        raise SourceError("no source was given", hint="give a folder with one folder per class")
    found, notes = Candidates(), list[str]()
    known: set[bytes] = set()
    names: Counter[str] = Counter()
    for source in sources:
        name = Path(source).name or Path(source).resolve().name
        names[name] += 1
        name = name if names[name] == 1 else f"{name}-{names[name]}"
        prefix = f"{name}/" if len(sources) > 1 or is_archive(Path(source)) else ""
        reader = _Reader(out.resolve(), stack, notes, prefix, config)
        for candidate in reader.read(str(source)):
            # One path under two labels stays twice: that is a conflict, to be shown.
            key = _identity(candidate)
            if key not in known:
                known.add(key)
                found.append(candidate)
    _rename(found, config.classes)
    order = sorted(range(len(found)), key=lambda i: (found[i].path, found[i].label))
    candidates = Candidates(Some(found, order))
    _check(candidates, sources)
    return Collection(candidates, notes)


def _identity(candidate: Candidate) -> bytes:
    """16 bytes that stand for a file and its label."""
    text = f"{os.path.abspath(candidate.file)}\0{candidate.label}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True)
class _Reader:
    """Reads one source; `prefix` stands before the paths of its own files."""

    out: Path
    stack: ExitStack
    notes: list[str]
    prefix: str
    config: PrepareConfig

    def read(self, source: str) -> Iterator[Candidate]:
        for candidate in self._candidates(source):
            path, label = readable(candidate.path), readable(candidate.label)
            if (path, label) != (candidate.path, candidate.label):
                candidate = replace(candidate, path=path, label=label)
            yield candidate

    def _candidates(self, source: str) -> Iterator[Candidate]:
        # Imported here: the processes that read pictures import this module and need none of it.
        if source.startswith("food101:"):
            from .food101 import read_food101

            return read_food101(source, self.config)
        if source.startswith("hf:"):
            from .hub import read_hub

            return read_hub(source, self.config, self.notes)
        if source.startswith("file://"):
            return self._files(Path(unquote(source.removeprefix("file://"))))
        if is_store(source):
            from .stores import read_store

            return read_store(source, self.config, self.notes, self.prefix)
        if "://" in source:
            from .fetch import shown

            raise SourceError(
                f"{shown(source)} is an address, expected a folder, an archive or a table",
                hint="put the addresses of pictures into a table with the columns url and label",
            )
        return self._files(Path(source))

    def _files(self, path: Path) -> Iterator[Candidate]:
        if is_dataset(path):
            raise SourceError(
                f"{path} is a data set already", hint=f"its pictures lie in {path / 'images'}"
            )
        if path.is_dir():
            return self._folder(path, path, self._output_in(path))
        if not path.exists():
            raise SourceError(f"there is no {path}", hint="give a folder with one folder per class")
        if is_table(path):
            return self._table(path)
        if is_archive(path):
            root, skipped = unpack(path, self.stack)
            if skipped:
                self._note(f"{skipped} entries of {path.name} are links or point out of it")
            top = _only_folder(root)
            if top != root and (loose := _loose(root)):
                self._note(f"{loose} pictures beside the folder {top.name} are left out")
            return self._folder(top, root, self.out)
        raise SourceError(
            f"{path.name} is no folder, archive or table",
            hint="known: folders, .zip, .tar, .tar.gz, .tgz, .csv, .tsv, .jsonl, .parquet, "
            "food101:NAME, hf:owner/name, s3://BUCKET/FOLDER, gs://BUCKET/FOLDER",
        )

    def _output_in(self, source: Path) -> Path:
        """The folder that must not be collected; raises where the source itself is at risk."""
        real, images = source.resolve(), self.out / "images"
        if real == images or images in real.parents:
            raise _at_risk(source, self.out)
        return images if real == self.out or self.out in real.parents else self.out

    def _table(self, path: Path) -> Iterator[Candidate]:
        from .download import cached, download
        from .fetch import shown

        candidates, urls = [], []
        for row in read_table(path):
            about = (sys.intern(row.label), row.split, row.group)
            if row.url:
                urls.append(row.url)
                candidates.append(Candidate(cached(row.url), shown(row.url), *about))
                continue
            file = path.parent / row.path
            if self.out / "images" in Path(os.path.realpath(file)).parents:
                raise _at_risk(file, self.out)
            name = self.prefix + Path(row.path).as_posix()
            candidates.append(Candidate(file, name, *about))
        faults = download(urls, self.config)
        for candidate in candidates:
            fault = faults.get(candidate.path)
            yield replace(candidate, fault=fault) if fault else candidate

    def _folder(self, folder: Path, root: Path, output: Path) -> Iterator[Candidate]:
        """The pictures of the class folders in `folder`; paths are relative to `root`."""
        places = _folders(folder, output)
        loose = _loose(folder)
        if not places:
            holds = "no class folders" if loose or any(folder.iterdir()) else "nothing"
            raise SourceError(
                f"{folder} holds {holds}",
                hint="expected one folder per class, with its pictures inside",
            )
        self._note_hidden(folder)
        classes: list[tuple[Path, str | None]] = [(p, None) for p in places]
        if splits := _split_folders(places, output):
            classes = [(c, split) for p, split in splits.items() for c in _folders(p, output)]
            loose += sum(_loose(p) for p in splits)
            for place in splits:
                self._note_hidden(place)
            for other in (p for p in places if p not in splits):
                self._note(f"{other} lies beside the folders of the split and is left out")
        if loose:
            self._note(f"{loose} pictures beside the class folders of {folder} are left out")
        counts = {c.name: 0 for c, _ in classes}
        for inner, split in classes:
            for file in every_file(inner, output):
                counts[inner.name] += 1
                name = self.prefix + file.relative_to(root).as_posix()
                yield Candidate(file, name, inner.name, split)
        for name, count in counts.items():
            if not count:
                raise SourceError(
                    f"class folder {readable(name)!r} of {folder} is empty",
                    hint="put its pictures inside, or remove the folder",
                )

    def _note_hidden(self, folder: Path) -> None:
        for place in sorted(p for p in folder.iterdir() if p.name.startswith(".") and p.is_dir()):
            if any(_is_picture(file) for file in every_file(place, self.out)):
                self._note(f"{place} is hidden and is left out, with the pictures in it")

    def _note(self, text: str) -> None:
        self.notes.append(one_line(text))


def _at_risk(source: Path, out: Path) -> SourceError:
    return SourceError(
        f"{source} lies inside the output {out}, whose pictures are written anew",
        hint="choose another folder with --out",
    )


def _only_folder(root: Path) -> Path:
    """An archive often holds one folder that holds all; look inside it."""
    places = _folders(root, root)
    return places[0] if len(places) == 1 and _folders(places[0], root) else root


def _split_folders(places: list[Path], output: Path) -> dict[Path, str]:
    """Folders named like splits that hold class folders; none where the names mean classes."""
    named = {p: SPLIT_NAMES[p.name.lower()] for p in places if p.name.lower() in SPLIT_NAMES}
    enough = len(named) == len(places) or len(set(named.values())) > 1
    return named if named and enough and all(_folders(p, output) for p in named) else {}


def _loose(folder: Path) -> int:
    return sum(_is_picture(p) and p.is_file() for p in folder.iterdir())


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _folders(root: Path, output: Path) -> list[Path]:
    """The folders in `root`, sorted; no hidden ones, no output or other DATASET, no link back."""
    closed = _above(root) | {os.path.realpath(root), str(output)}
    try:
        found = sorted(p for p in root.iterdir() if p.is_dir())
    except OSError as error:
        raise explain_os_error(error) from None
    named = (p for p in found if not p.name.startswith((".", "__MACOSX")))
    return [p for p in named if os.path.realpath(p) not in closed and not _made_here(p)]


def _made_here(folder: Path) -> bool:
    """Whether a folder is a DATASET: copies, that would be duplicates of their own sources."""
    found = is_dataset(folder)
    if found:
        log.warning("%s is a data set and is left out", folder)
    return found


def _above(folder: Path) -> set[str]:
    """The folders that hold this one: a link to one of them leads round in a circle."""
    return {os.path.realpath(p) for p in Path(os.path.abspath(folder)).parents}


def every_file(folder: Path, output: Path) -> Iterator[Path]:
    """Every file below, links to folders followed, each real folder once, `output` left out."""

    def unlisted(error: OSError) -> None:
        log.warning("%s can't be listed: %s", error.filename, error.strerror)
        closed.append(Path(error.filename))

    closed: list[Path] = []
    seen = {str(output)} | _above(folder)
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unlisted):
        real = os.path.realpath(parent)
        if real in seen or _made_here(Path(parent)):
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))
    yield from closed  # each becomes a row that says so


def _rename(candidates: Candidates, classes: Sequence[str]) -> None:
    if classes:
        names = renaming(classes, {c.label for c in candidates})
        for i, candidate in enumerate(candidates):
            candidates.change(i, label=names[candidate.label])


def _check(candidates: Sequence[Candidate], sources: Sequence[Path | str]) -> None:
    names = ", ".join(map(str, sources))
    if not candidates:
        raise SourceError(f"{names} holds no files", hint="put pictures into one folder per class")
    labels = sorted({c.label for c in candidates})
    if len(labels) == 1:
        raise SourceError(
            f"{names} holds one class only: {labels[0]!r}",
            hint="a recogniser needs two or more, for example pizza/ and not_pizza/",
        )
    alike: dict[str, str] = {}
    for label in labels:
        other = alike.setdefault(_looks_like(label), label)
        if other != label:
            case_only = label.casefold() == other.casefold()
            how = "differ in upper and lower case only" if case_only else "look the same"
            raise SourceError(
                f"the classes {other!r} and {label!r} {how}",
                hint=one_line(f"rename or merge them: --classes '{other}={label},{other}'"),
            )


def _looks_like(label: str) -> str:
    """A label without case, spelling of accents, and marks that can't be seen."""
    composed = unicodedata.normalize("NFC", label).casefold()
    return "".join(c for c in composed if unicodedata.category(c) != "Cf")
