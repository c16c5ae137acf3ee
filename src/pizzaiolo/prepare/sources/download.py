"""Pictures by their addresses: fetched politely, within bounds, once, and never a reason to stop.

Each file that arrives whole is kept in the cache folder under the hash of its address; a later
run does not ask for it again. An address that fails gives a fault instead of a file.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import wait
from pathlib import Path

import httpx
from anyio.from_thread import start_blocking_portal

from ...config import PrepareConfig
from ...console import Advance, progress
from ...core.bundle import cache_folder
from .fetch import FetchError, fetch, host_of, open_client, shown

REASON = "download_failed"
PER_HOST = 4  # connections to one host at once
TRIES = 3
FIRST_PAUSE = 0.5  # before the second try, seconds; twice that before the third
GIVE_UP = 8  # files of one host in a row that it did not answer: the others are not tried
Fault = tuple[str, str]


def cached(url: str) -> Path:
    """Where the picture of an address lies once it is fetched."""
    name = hashlib.sha256(shown(url).encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder() / "downloads" / name


def download(urls: Iterable[str], config: PrepareConfig) -> dict[str, Fault]:
    """Fetch what is not in the cache yet; the faults (reason, detail) by `shown` address.

    Raises `StorageError` when the cache can't be written. Ctrl-C ends it at once.
    """
    wanted = {shown(url): url for url in urls}
    missing = [url for url in wanted.values() if not cached(url).is_file()]
    if not missing:
        return {}
    with progress("downloading", len(missing)) as advance:
        downloads = _Downloads(config, advance)
        downloads.line_up(missing)
        # A thread of its own: the caller may run an event loop, as a notebook does.
        with start_blocking_portal() as portal:
            done = portal.start_task_soon(downloads.run)
            while not done.done():
                wait([done], timeout=0.1)  # Windows sees Ctrl-C only between two waits
            done.result()
    return downloads.faults


class _Downloads:
    """The files that are wanted, by host, and the workers that fetch them."""

    def __init__(self, config: PrepareConfig, advance: Advance) -> None:
        self.faults: dict[str, Fault] = {}
        self._config = config
        self._advance = advance
        self._waiting: dict[str, list[str]] = {}
        self._silent: Counter[str] = Counter()

    def line_up(self, urls: Iterable[str]) -> None:
        """Sort the addresses by host; what is no web address fails here."""
        for url in urls:
            try:
                self._waiting.setdefault(host_of(url), []).append(url)
            except FetchError as failure:
                self._fail(url, failure.detail)
        for line in self._waiting.values():
            line.reverse()

    def _fail(self, url: str, detail: str) -> None:
        self.faults[shown(url)] = (REASON, detail)
        self._advance()

    async def run(self) -> None:
        """Fetch all: as many workers as connections, each going from host to host."""
        # A turn is the right to one connection to a host.
        turns = deque(
            host
            for place in range(PER_HOST)
            for host, line in self._waiting.items()
            if place < len(line)
        )
        count = min(self._config.download_connections, len(turns))
        async with open_client(self._config, self._config.download_seconds / TRIES) as client:
            workers = [asyncio.create_task(self._work(client, turns)) for _ in range(count)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, client: httpx.AsyncClient, turns: deque[str]) -> None:
        while turns:
            host = turns.popleft()
            line = self._waiting[host]
            if line:
                await self._serve(client, host, line.pop())
            if line:
                turns.append(host)

    async def _serve(self, client: httpx.AsyncClient, host: str, url: str) -> None:
        if self._silent[host] >= GIVE_UP:
            self._fail(url, f"not tried: {GIVE_UP} files in a row failed at {host}")
            return
        seconds = self._config.download_seconds
        silent = True
        try:
            async with asyncio.timeout(seconds):
                await self._try_often(client, url)
        except TimeoutError:
            self._fail(url, f"took longer than {seconds:g} s")
        except FetchError as failure:
            silent = failure.silent
            self._fail(url, failure.detail)
        else:
            silent = False
            self._advance()
        self._silent[host] = self._silent[host] + 1 if silent else 0

    async def _try_often(self, client: httpx.AsyncClient, url: str) -> None:
        for number in range(TRIES):
            try:
                await fetch(client, url, cached(url), self._config.max_bytes)
                return
            except FetchError as failure:
                if not failure.again or number == TRIES - 1:
                    raise
                pause = failure.pause
            await asyncio.sleep(FIRST_PAUSE * 2**number if pause is None else pause)
