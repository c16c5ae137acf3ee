"""The archives of .ts and .pt2 files: read whole and checked, before PyTorch sees any of it.

An archive holds the card and a SHA-256 over all other records. What is handed on to PyTorch is an
archive packed anew from the records that were read here, so that no second reading of the same
file can find something else in it.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from .bundle import CARD_KEY, DAMAGE, broken, not_ours

Records = dict[str, bytes]  # content by name, without the folder that PyTorch puts around all

CARD, SUM = f"extra/{CARD_KEY}", "extra/pizzaiolo_sha256"
COMMON = (CARD, SUM, "byteorder", ".data/serialization_id", ".data/version")
KNOWN = {
    ".ts": re.compile(
        r"data\.pkl|constants\.pkl|version|constants/\d+|code/__torch__/\w+\.py"
        r"|code/__torch__/\w+/[\w/]+\.py"
    ),
    ".pt2": re.compile(
        r"models/model\.json|archive_format|archive_version"
        r"|data/weights/(weight_\d+|model_weights_config\.json)"
        r"|data/constants/(tensor_\d+|model_constants_config\.json)"
        r"|data/sample_inputs/model\.pt"
    ),
}
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes


def read_archive(path: Path) -> Records:
    """The records of a .ts or .pt2 model file, once their sum is checked; nothing is unpickled.

    Raises `ModelFileError` for what is cut off, altered, or no such archive of pizzaiolo's.
    """
    records = _read(path)
    if CARD not in records:
        raise not_ours(path, "it holds no card")
    for name in records:
        if name not in COMMON and not KNOWN[path.suffix].fullmatch(name):
            raise not_ours(path, f"it holds {name[:100]!r}, which has no place in it")
    if records.get(SUM, b"").decode("ascii", "replace") != _sum(records):
        raise broken(path, "its sum does not fit")
    return records


def _read(path: Path) -> Records:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename.partition("/")[2] for entry in entries]
            _check_entries(path, entries, names)
            return {n: archive.read(e) for n, e in zip(names, entries, strict=True)}
    except DAMAGE as error:
        raise not_ours(path, f"its archive is damaged or none ({str(error)[:100]})") from None


def _check_entries(path: Path, entries: Iterable[zipfile.ZipInfo], names: list[str]) -> None:
    """Two records of one name, or one that grows when it is read, are no work of pizzaiolo's."""
    if len(set(names)) != len(names):
        raise not_ours(path, "two of its records have the same name")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise not_ours(path, "its records are compressed")


def records_of(archive: bytes, dropped: str = r"(?!)") -> Records:
    """The records of an archive that PyTorch has just written, but for those named `dropped`."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        found = {e.filename.partition("/")[2]: opened.read(e) for e in opened.infolist()}
    return {name: content for name, content in found.items() if not re.search(dropped, name)}


def sealed(records: Mapping[str, bytes], card: str) -> Records:
    """The records with the card's JSON text and the sum over all."""
    found = {**records, CARD: card.encode()}
    return {**found, SUM: _sum(found).encode()}


def _sum(records: Mapping[str, bytes]) -> str:
    found = hashlib.sha256()
    for name in sorted(records.keys() - {SUM}):
        found.update(f"{name}\0{len(records[name])}\0".encode())
        found.update(records[name])
    return found.hexdigest()


def pack(records: Mapping[str, bytes]) -> bytes:
    """An archive as PyTorch reads it: all in one folder, not compressed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            archive.writestr(zipfile.ZipInfo(f"model/{name}", _LONG_AGO), content)
    return packed.getvalue()
