"""One file over HTTP: bounded in bytes and redirects, with a word on what went wrong."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from time import time
from urllib.parse import unquote, urlsplit

import httpx

from ... import __version__
from ...config import PrepareConfig
from ...core.bundle import atomic_path
from ...errors import PizzaioloError
from .addresses import GuardedTransport, RefusedAddressError

REDIRECTS = 5
LONGEST_PAUSE = 10.0  # a server that asks for more is not asked again in this run, seconds
_CREDENTIALS = re.compile(r"^([\w+.-]+://)([^/?#]*)@")
_HEADERS = {
    "User-Agent": f"pizzaiolo/{__version__}",
    "Accept": "image/*, */*;q=0.5",
    "Accept-Encoding": "identity",  # a picture is packed already; a packed body could be a bomb
}


class FetchError(Exception):
    """Why a file did not come, whether another try may help and how long to wait before it.

    `silent` says that the host did not answer as a host in good order would.
    """

    def __init__(
        self, detail: str, *, again: bool = False, silent: bool = False, pause: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.again = again
        self.silent = silent
        self.pause = pause


def shown(url: str) -> str:
    """An address without the user and password that it may hold: all that is ever kept of it."""
    return _CREDENTIALS.sub(r"\1", url)


def host_of(url: str) -> str:
    """The host of a web address; raises `FetchError` for anything else."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise FetchError("no valid address") from None
    if parts.scheme not in ("http", "https"):
        start = f"starts with {parts.scheme}:" if parts.scheme else "has no scheme"
        raise FetchError(f"no web address: it {start}, expected http: or https:")
    if not host:
        raise FetchError("no valid address: it names no host")
    return host


def open_client(config: PrepareConfig, connect_seconds: float) -> httpx.AsyncClient:
    """A client that connects to public addresses only, unless the settings allow others."""
    return httpx.AsyncClient(
        transport=GuardedTransport(config.download_connections, config.download_private),
        headers=_HEADERS,
        timeout=httpx.Timeout(config.download_seconds, connect=connect_seconds, pool=None),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none: they would pile up
    )


async def fetch(client: httpx.AsyncClient, url: str, path: Path, max_bytes: int) -> None:
    """Fetch one file to `path`, whole or not at all.

    Raises `FetchError` for every fault but those of the disk, which are `StorageError`.
    """
    try:
        async with _answer(client, url) as response:
            await _save(response, path, max_bytes)
    except (FetchError, PizzaioloError):
        raise
    except RefusedAddressError as error:
        raise FetchError(str(error)) from None
    except (httpx.InvalidURL, httpx.HTTPError):  # the transport's own faults are httpcore's
        raise FetchError("no valid address, or it leads to one") from None
    except Exception as error:  # what a stranger's server may cause must not stop the others
        what = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise FetchError(f"the connection failed: {what}", again=True, silent=True) from None


@asynccontextmanager
async def _answer(client: httpx.AsyncClient, url: str) -> AsyncIterator[httpx.Response]:
    """The answer at the end of the redirects, its body not read yet."""
    user = _CREDENTIALS.match(url)
    name, _, password = user[2].partition(":") if user else ("", "", "")
    login = httpx.BasicAuth(unquote(name), unquote(password)) if user else None
    request = client.build_request("GET", shown(url))
    for _ in range(REDIRECTS + 1):
        # httpx would read the body of a redirect into memory, so each hop is taken here.
        response = await client.send(request, auth=login, stream=True)
        try:
            if response.next_request is None:
                _check(response)
                yield response
                return
        finally:
            await response.aclose()
        request, login = response.next_request, None
        host_of(str(request.url))
    raise FetchError(f"more than {REDIRECTS} redirects")


def _check(response: httpx.Response) -> None:
    status, headers = response.status_code, response.headers
    if status == 429 or status >= 500:
        pause = pause_asked_for(headers, time())
        short = pause is None or pause <= LONGEST_PAUSE
        detail = f"HTTP {status}" + ("" if short else f", asks to wait {pause:.0f} s")
        raise FetchError(detail, again=short, silent=status in (429, 503), pause=pause)
    if status != 200:
        raise FetchError(f"HTTP {status}")
    if (packed := headers.get("Content-Encoding", "identity")) != "identity":
        raise FetchError(f"was sent packed ({packed[:40]}) though that was not asked for")


def pause_asked_for(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that `Retry-After` asks to wait, 0 or more; None where it is absent or odd."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


async def _save(response: httpx.Response, path: Path, max_bytes: int) -> None:
    length, size = response.headers.get("Content-Length", ""), 0
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)
    with atomic_path(path) as part, part.open("wb") as file:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            file.write(chunk)


def _too_large(max_bytes: int) -> FetchError:
    return FetchError(f"larger than {max_bytes:,} bytes")
