"""A file that may be a picture, before anyone has looked at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a picture: where it lies, its name in the manifest, what it is said
    to be, and the split or group that its source gave it.

    `fault` (reason, detail) tells why the file is not there, where collecting knows.
    """

    file: Path
    path: str
    label: str
    split: str | None = None
    group: str | None = None
    fault: tuple[str, str] | None = None


def readable(text: str) -> str:
    r"""Text that can be written as UTF-8: bytes of a name that are none become `\xe9`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def one_line(text: str) -> str:
    """Text for people: line breaks and other characters that can't be seen are escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in readable(text))
