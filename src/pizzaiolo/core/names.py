"""Names of files that every system takes."""

from __future__ import annotations

import re
import unicodedata

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # of Windows
_MAX_NAME = 120  # bytes; file systems take 255


def safe_name(text: str) -> str:
    """A file name that every system takes: no control characters, separators or devices."""
    name = re.sub(r"[^\w .()+-]", "_", unicodedata.normalize("NFC", text)).strip(". ")
    name = name.encode()[:_MAX_NAME].decode(errors="ignore").rstrip(". ")
    return f"_{name}" if not name or _DEVICES.match(name) else name
