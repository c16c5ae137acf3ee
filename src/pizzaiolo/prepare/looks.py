"""Looks remembered by content: a picture that was decoded once need not be decoded again.

An interrupted run goes on where it stopped, a second run over an unchanged source only reads and
hashes, and a changed file has another hash. The cache knows what was found and where the written
copy lies; a copy counts only while its bytes are the ones that were written.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import PIL

from ..config import PrepareConfig
from ..core.bundle import cache_folder
from ..core.shards import copy_bytes
from ..core.store import Store
from ..errors import ImageError, explain_os_error

VERSION = 2  # of what a look measures: another number makes all pictures be looked at again


def copy_path(staging: Path, sha256: str, config: PrepareConfig) -> Path:
    """Where the copy of a picture is written while the data set is made."""
    return staging / f"{sha256}.{config.format}"


class Looks:
    """The cache of looks under one run's settings."""

    def __init__(self, config: PrepareConfig, staging: Path) -> None:
        self.config, self.staging = config, staging
        self._store = Store(cache_folder() / "looks.sqlite")
        limits = (config.min_side, config.max_pixels, config.max_bytes)
        readers = (PIL.__version__, find_spec("pi_heif") is not None)
        facts = (VERSION, config.size, config.format, config.quality, *limits, *readers)
        self._settings = json.dumps(facts).encode()

    def recall(self, sha256: str) -> dict[str, Any] | None:
        """What was found in this content, with its copy in place again; None where unknown."""
        key, place = self._key(sha256, b"look"), self._key(sha256, b"copy")
        known = self._store.get([key, place])
        if key not in known:
            return None
        look: dict[str, Any] = json.loads(known[key])
        wanted = look["copy_sha256"]
        if wanted is None:
            return look
        target = copy_path(self.staging, sha256, self.config)
        places = [target, Path(os.fsdecode(known[place]))] if place in known else [target]
        return look if any(_restored(source, target, wanted) for source in places) else None

    def remember(self, looks: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Keep what was found: pairs of a content's sha256 and JSON-ready facts."""
        self._store.put((self._key(sha, b"look"), json.dumps(look).encode()) for sha, look in looks)

    def moved(self, copies: Iterable[tuple[str, Path]]) -> None:
        """Keep where the copies lie now that the data set is whole."""
        places = ((sha, os.fsencode(path.resolve())) for sha, path in copies)
        self._store.put((self._key(sha, b"copy"), place) for sha, place in places)

    def _key(self, sha256: str, kind: bytes) -> bytes:
        return hashlib.sha256(kind + sha256.encode() + self._settings).digest()[:16]


def _restored(source: Path, target: Path, wanted: str) -> bool:
    try:
        data = copy_bytes(source)
    except (OSError, ImageError):
        return False
    if hashlib.sha256(data).hexdigest() != wanted:
        return False
    if source != target:
        write_copy(target, data)
    return True


def write_copy(path: Path, data: bytes) -> None:
    """Write a copy, whole or not at all, though processes of several machines may write it."""
    part = path.with_name(f"{path.name}.{socket.gethostname()[:64]}.{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise explain_os_error(error) from None
