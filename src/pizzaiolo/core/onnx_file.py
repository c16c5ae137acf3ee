"""Card and sum of an ONNX file, read and written without onnx or onnxruntime.

An ONNX file is a protobuf message: fields one after the other, each a number, a kind and a value.
Field 14 holds a key and a value of the metadata and may be repeated. The sum is the last field of
the file, a SHA-256 over all before it.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from .bundle import CARD_KEY, broken, not_ours

METADATA = 14
SUM_KEY = "pizzaiolo_sha256"
_FIXED = {1: 8, 5: 4}  # bytes of a value by its kind; 0 is a number, 2 comes with its length


def seal(model: bytes, card: str) -> bytes:
    """An ONNX model's bytes with the card's JSON text and the sum at their end."""
    whole = model + _entry(CARD_KEY, card)
    return whole + _entry(SUM_KEY, hashlib.sha256(whole).hexdigest())


def card_text(path: Path) -> str | None:
    """The card's JSON text in an ONNX file whose sum fits; None where it has no card.

    Raises `ModelFileError` for what is cut off, altered, or no ONNX file.
    """
    if path.stat().st_size == 0:
        raise not_ours(path, "it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            entries = [
                _pair(data, span) for n, span in _fields(data, 0, len(data)) if n == METADATA
            ]
        except (IndexError, ValueError, UnicodeDecodeError):
            raise not_ours(path, "it is cut off, or not an ONNX model") from None
        found = dict(entries)
        if CARD_KEY not in found and SUM_KEY not in found:
            return None
        _check_sum(path, data, entries)
    return found[CARD_KEY]


def _check_sum(path: Path, data: mmap.mmap, entries: list[tuple[str, str]]) -> None:
    keys = [key for key, _ in entries]
    last = _entry(*entries[-1])
    before = len(data) - len(last)
    if keys[-1] != SUM_KEY or keys.count(CARD_KEY) != 1 or data[before:] != last:
        raise broken(path, "its sum is not at its end")
    with memoryview(data) as view, view[:before] as whole:
        summed = hashlib.sha256(whole).hexdigest()
    if summed != entries[-1][1]:
        raise broken(path, "its sum does not fit")


def _entry(key: str, value: str) -> bytes:
    """One field of metadata, as protobuf writes it."""
    pair = b"".join(
        _key(number) + _number(len(text)) + text
        for number, text in ((1, key.encode()), (2, value.encode()))
    )
    return _key(METADATA) + _number(len(pair)) + pair


def _pair(data: mmap.mmap, span: tuple[int, int]) -> tuple[str, str]:
    parts = {n: data[start:end].decode() for n, (start, end) in _fields(data, *span)}
    return parts.get(1, ""), parts.get(2, "")


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """The number of each field between two places, and where its value starts and ends."""
    while at < end:
        key, at = _read_number(data, at)
        kind, size = key & 7, _FIXED.get(key & 7)
        if kind == 0:
            start, (_, at) = at, _read_number(data, at)
        else:
            if kind == 2:
                size, at = _read_number(data, at)
            if size is None:
                raise ValueError(f"a field of kind {kind}")
            start, at = at, at + size
        if at > end:
            raise ValueError("a value ends after its message")
        yield key >> 3, (start, at)


def _key(number: int) -> bytes:
    return _number(number << 3 | 2)


def _number(value: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _read_number(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        byte = data[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a number of more than ten bytes")
