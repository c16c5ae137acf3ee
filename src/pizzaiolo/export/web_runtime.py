"""onnxruntime-web, which runs a model in a browser: fetched once, by pinned version and hash."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import os
import tarfile
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from .. import __version__
from ..console import log, note, progress
from ..core.bundle import atomic_path, cache_folder
from ..errors import InputError, UsageError, WorkError

NAME, VERSION = "onnxruntime-web", "1.30.0"
# The sha512 that `npm view onnxruntime-web@1.30.0 dist.integrity` tells.
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJm"
    "g8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
REGISTRY = "https://registry.npmjs.org"
FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
MOST_BYTES = 100_000_000
PATIENCE = 30.0  # for a server that sends nothing, seconds
_CHUNK = 1 << 18
_ELSEWHERE = f"where there is a network, `npm pack {NAME}@{VERSION}`; here, --web-runtime FILE.tgz"


@dataclass(frozen=True)
class Runtime:
    """What a page needs of onnxruntime-web: its script, the glue (a module) and the program."""

    script: bytes
    glue: bytes
    wasm: bytes


def load_runtime(given: Path | None = None) -> Runtime:
    """The runtime from the archive `given`, from the cache folder, or else from the npm registry.

    The registry is `npm_config_registry`, as npm reads it. Raises `InputError` for an archive
    with another content than the pinned one, and `WorkError` where it can't be fetched.
    """
    if given is not None:
        return _unpacked(_given(given))
    path = cache_folder() / "downloads" / f"{NAME}-{VERSION}.tgz"
    if path.is_file():
        data = path.read_bytes()
        if _integrity(data) == INTEGRITY:
            return _unpacked(data)
        log.warning("%s is damaged and is fetched again", path)
    with atomic_path(path) as temporary:
        data = _fetched(archive_url())
        temporary.write_bytes(data)
    return _unpacked(data)


def archive_url() -> str:
    """Where the pinned archive is: at the npm registry, or where `npm_config_registry` says."""
    settings = {name.lower(): value for name, value in os.environ.items() if value}  # as npm does
    registry = settings.get("npm_config_registry", REGISTRY).rstrip("/")
    if (scheme := urlsplit(registry).scheme) not in ("http", "https"):
        raise UsageError(
            f"npm_config_registry starts with {scheme or registry!r}, expected a web address"
        )
    return f"{registry}/{NAME}/-/{NAME}-{VERSION}.tgz"


def _given(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"can't read --web-runtime {path}: {why}", hint=_ELSEWHERE) from None
    if _integrity(data) != INTEGRITY:
        raise InputError(
            f"{path} is not {NAME} {VERSION}: it is {_integrity(data)[:24]}…, "
            f"expected {INTEGRITY[:24]}…",
            hint=f"npm pack {NAME}@{VERSION} makes the file that is expected",
        )
    return data


def _integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def _fetched(url: str) -> bytes:
    address, login = _without_login(url)
    note(f"fetching {NAME} {VERSION} once from {urlsplit(address).netloc} (33 MB) ...")
    request = urllib.request.Request(address, headers={"User-Agent": f"pizzaiolo/{__version__}"})
    if login:
        request.add_header("Authorization", login)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            data = _body(response)
    except urllib.error.HTTPError as error:
        error.close()
        raise WorkError(f"can't fetch {address}: HTTP {error.code}", hint=_ELSEWHERE) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise WorkError(f"can't fetch {address}: {why}", hint=_ELSEWHERE) from None
    if _integrity(data) != INTEGRITY:
        raise WorkError(
            f"{address} gave another file than {NAME} {VERSION}: {_integrity(data)[:24]}…, "
            f"expected {INTEGRITY[:24]}…; nothing was kept",
            hint="try again; if it stays so, the registry or a proxy in between alters files",
        )
    return data


def _without_login(url: str) -> tuple[str, str | None]:
    """The address without its user and password, and these as a header's value."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    value = f"Basic {base64.b64encode(unquote(login).encode()).decode()}" if at else None
    return urlunsplit(parts._replace(netloc=host)), value


def _body(response: http.client.HTTPResponse) -> bytes:
    length = response.headers.get("Content-Length", "")
    buffer, total = io.BytesIO(), int(length) if length.isdecimal() else None
    with progress(f"fetching {NAME}, bytes", total) as advance:
        while chunk := response.read(_CHUNK):
            buffer.write(chunk)
            advance(len(chunk))
            if buffer.tell() > MOST_BYTES:
                raise OSError(f"the file is larger than {MOST_BYTES:,} bytes")
    if total is not None and buffer.tell() != total:
        raise OSError(f"the connection ended after {buffer.tell():,} of {total:,} bytes")
    return buffer.getvalue()


def _unpacked(data: bytes) -> Runtime:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            return Runtime(*(_member(archive, f"package/dist/{name}") for name in FILES))
    except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{NAME} {VERSION} can't be unpacked: {error}") from None


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read()
