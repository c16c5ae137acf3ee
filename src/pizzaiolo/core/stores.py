"""Pictures in object stores: `s3://bucket/folder`, `gs://bucket/folder`, and `file:///folder`.

pyarrow speaks with the stores, and is imported where one is asked. What a store says when it is
busy is waited out; what can't be helped is one error.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from ..console import log
from ..errors import ImageError, InputError, MissingExtraError, PizzaioloError, WorkError
from .image import SUFFIXES, Limits, read_bytes

T = TypeVar("T")
SCHEMES = ("s3", "gs", "file")
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before the next try, each by half more or less
_BUSY = (  # patterns, made where something fails
    r"SLOW_?DOWN|THROTTL|INTERNAL_FAILURE|UNAVAILABLE|DEADLINE|NETWORK_CONNECTION|curlCode"
    r"|REQUEST_TIME(?!_TOO_SKEWED)|timed out|status (?:429|500|502|503|504)"
)
_REFUSED = (
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|INVALID_CLIENT_TOKEN|INVALID_SIGNATURE|SIGNATURE_DOES_NOT"
    r"|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION|EXPIRED_?TOKEN|PERMISSION_DENIED|UNAUTHENTICATED"
    r"|status (?:401|403)"
)
_NO_BUCKET = r"NO_SUCH_BUCKET|Bucket '.*' not found"


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture in a store: its address, bytes, and when it was last changed (ns)."""

    uri: str
    size: int | None = None
    modified_ns: int | None = None

    def __fspath__(self) -> str:
        return self.uri

    __str__ = __fspath__


class _Entry(NamedTuple):
    name: str
    is_folder: bool
    size: int | None
    modified_ns: int | None


def is_store(text: object) -> bool:
    """Whether this is the address of something in a store."""
    scheme, mark, _ = str(text).partition("://")
    return bool(mark) and scheme in SCHEMES


def list_pictures(uri: str) -> Iterator[str]:
    """The addresses of the pictures at or below `uri`, a folder at a time, by name.

    Raises `InputError` for a bucket that is not there or refuses, `WorkError` for a store that
    doesn't answer. Where there is nothing, nothing comes.
    """
    return (stored.uri for stored in listing(uri))


def listing(uri: str, every: bool = False) -> Iterator[Stored]:
    """As `list_pictures`, with what the store tells of each; `every` file, whatever its name."""
    place = _Place.of(uri)
    found = place.entry()
    if found is None:
        return
    if found.is_folder:
        yield from _tree(place, every) if place.scheme == "gs" else _walk(place, every)
    else:
        yield Stored(uri, found.size, found.modified_ns)


def read(uri: str, limit_bytes: int = Limits.max_bytes) -> bytes:
    """A picture's bytes.

    Raises `ImageError` for one that is missing, refused or larger than the limit, and `WorkError`
    for a store that doesn't answer.
    """
    place = _Place.of(uri)
    if place.scheme == "file":
        return read_bytes(Path(place.path), Limits(max_bytes=limit_bytes))
    try:
        return _patiently(lambda: _content(place, limit_bytes), uri)
    except ImageError:
        raise
    except InputError as error:
        raise ImageError(error.message, hint=error.hint) from None


def _content(place: _Place, limit_bytes: int) -> bytes:
    data, size = b"", 0
    try:
        if place.scheme == "gs":  # asked for the size, pyarrow would stop all threads meanwhile
            with place.store.open_input_stream(place.path) as stream:
                data = stream.read(limit_bytes + 1)
                size = len(data)
        else:
            with place.store.open_input_file(place.path) as file:
                size = file.size()
                data = file.read() if size <= limit_bytes else b""
    except (FileNotFoundError, IsADirectoryError):
        raise ImageError(f"{place.uri} is missing, expected a picture") from None
    if size > limit_bytes:
        least = "at least " if place.scheme == "gs" else ""
        message = f"the file has {least}{size:,} bytes, the limit is {limit_bytes:,}"
        raise ImageError(message, code="too_many_bytes")
    return data


@dataclass(frozen=True)
class _Place:
    """An address, taken apart: `path` is BUCKET/KEY, or a path of this machine."""

    uri: str
    scheme: str
    path: str
    anonymous: bool = False

    @classmethod
    def of(cls, uri: str) -> _Place:
        scheme, _, rest = uri.partition("://")
        if scheme == "file":
            path = unquote(rest.removeprefix("localhost"))
            if not path.startswith("/"):
                raise InputError(f"{uri} is no whole path", hint="file:///folder/picture.jpg")
            return cls(uri, scheme, path)
        anonymous = rest.startswith("anonymous@")
        path = rest.removeprefix("anonymous@").rstrip("/")
        if not path.partition("/")[0]:
            raise InputError(f"{uri} names no bucket", hint=f"{scheme}://BUCKET/FOLDER")
        return cls(uri, scheme, path, anonymous)

    @property
    def bucket(self) -> str:
        return self.path.partition("/")[0]

    @property
    def store(self) -> Any:
        endpoint = _endpoint(self.scheme)
        return _filesystem(self.scheme, self.bucket, self.anonymous, endpoint)

    def below(self, name: str) -> _Place:
        told = quote(name) if self.scheme == "file" else name
        uri, path = f"{self.uri.rstrip('/')}/{told}", f"{self.path.rstrip('/')}/{name}"
        return _Place(uri, self.scheme, path, self.anonymous)

    def entry(self) -> _Entry | None:
        """What is there; None for nothing."""
        if self.scheme == "file":
            return _local_entry(self.path)
        (found,) = _patiently(lambda: self.store.get_file_info([self.path]), self.uri)
        if found.type.name != "NotFound":
            return _entry(found)
        (bucket,) = _patiently(lambda: self.store.get_file_info([self.bucket]), self.uri)
        if bucket.type.name == "NotFound":
            raise _no_bucket(self.uri)
        return None

    def entries(self) -> list[_Entry]:
        """What a folder holds."""
        if self.scheme == "file":
            with os.scandir(self.path) as files:
                return [found for file in files if (found := _local_entry(file.path))]
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.path)
        return [_entry(e) for e in _patiently(lambda: self.store.get_file_info(selector), self.uri)]


def _tree(folder: _Place, every: bool) -> Iterator[Stored]:
    """All at once: pyarrow sees no folders of Google's store where none was made as such."""
    from pyarrow.fs import FileSelector

    selector = FileSelector(folder.path, recursive=True)
    found = _patiently(lambda: folder.store.get_file_info(selector), folder.uri)
    for one in sorted(found, key=lambda one: one.path.split("/")):
        if one.type.name == "File" and (every or _is_picture(one.path)):
            uri = folder.below(one.path.removeprefix(f"{folder.path}/")).uri
            yield Stored(uri, one.size, one.mtime_ns)


def _walk(folder: _Place, every: bool) -> Iterator[Stored]:
    try:
        entries = folder.entries()
    except OSError as error:  # of this machine's disk
        log.warning("the folder %s can't be searched: %s", folder.uri, error.strerror)
        return
    for entry in sorted(entries):
        place = folder.below(entry.name)
        if entry.is_folder:
            yield from _walk(place, every)
        elif every or _is_picture(entry.name):
            yield Stored(place.uri, entry.size, entry.modified_ns)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _entry(found: Any) -> _Entry:
    return _Entry(found.base_name, found.type.name == "Directory", found.size, found.mtime_ns)


def _local_entry(path: str) -> _Entry | None:
    """A file or folder of this machine; links to folders aren't followed."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if os.path.isdir(path):
        return None if os.path.islink(path) else _Entry(os.path.basename(path), True, None, None)
    return _Entry(os.path.basename(path), False, status.st_size, status.st_mtime_ns)


def _endpoint(scheme: str) -> str | None:
    if scheme == "gs":
        return os.environ.get("STORAGE_EMULATOR_HOST")
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


@lru_cache(maxsize=32)
def _filesystem(scheme: str, bucket: str, anonymous: bool, endpoint: str | None) -> Any:
    try:
        from pyarrow import fs
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"{scheme}:// needs the package 'pyarrow', which is not installed",
            hint="pip install pyarrow",
        ) from None
    options: dict[str, Any] = {"anonymous": anonymous}
    if endpoint is not None:
        way, mark, host = endpoint.rstrip("/").rpartition("://")
        options.update(endpoint_override=host, scheme=way if mark else "https")
    if scheme == "gs":
        return fs.GcsFileSystem(**options, retry_time_limit=timedelta(seconds=5))
    return fs.S3FileSystem(**options, region=None if endpoint else _region(bucket))


def _region(bucket: str) -> str | None:
    """Where a bucket lies; None where the settings of the environment or of the client hold."""
    from pyarrow import fs

    if os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        return None
    with suppress(OSError):
        found: str = fs.resolve_s3_region(bucket)
        return found
    return None


def _patiently(ask: Callable[[], T], uri: str) -> T:
    """The answer, where a busy store is asked again; else one of our errors."""
    for wait in (*WAITS, None):
        try:
            return ask()
        except OSError as error:
            if wait is None or not _says(_BUSY, str(error)):
                raise _explained(error, uri) from None
            log.debug("%s is busy, the next try is in %.1f s: %s", uri, wait, error)
        time.sleep(wait * random.uniform(0.5, 1.5))
    raise AssertionError


def _says(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def _explained(error: OSError, uri: str) -> PizzaioloError:
    said = " ".join(str(error).split())
    why = re.sub(r"^When .*?: (?=AWS Error)", "", said)[:250]
    if _says(_NO_BUCKET, said):
        return _no_bucket(uri)
    if _says(_REFUSED, said):
        return InputError(
            f"the store refuses {uri}: {why}",
            hint="check the keys of this machine's environment or configuration; a public "
            "bucket is read as SCHEME://anonymous@BUCKET",
        )
    scheme = uri.partition("://")[0]
    if "curlCode" in said or "NETWORK_CONNECTION" in said:
        where = _endpoint(scheme) or f"the addresses of {scheme}"
        return WorkError(
            f"no store answers at {where}: {why}", hint="check the network and AWS_ENDPOINT_URL"
        )
    if _says(_BUSY, said):
        return WorkError(
            f"the store is too busy to give {uri}: {why}",
            hint="try again later, or with fewer workers",
        )
    return WorkError(f"the store fails at {uri}: {why}")


def _no_bucket(uri: str) -> InputError:
    place = _Place.of(uri)
    return InputError(
        f"there is no bucket {place.bucket!r}: {uri}", hint="check its name, and AWS_ENDPOINT_URL"
    )
