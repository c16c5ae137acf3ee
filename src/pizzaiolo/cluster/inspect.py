"""The looks at the files, on a cluster: the same look, the same order, whatever workers die.

Tasks of a few files each, not Ray Data: where a file kills its worker each time, Ray Data can't
tell which of a block it was, and would do the block again for ever or lose it.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import PIL

from .. import __version__
from ..config import PrepareConfig
from ..console import log
from ..errors import WorkError, explain_os_error
from ..prepare.candidate import Candidate
from ..prepare.inspect import Finding, recalled
from ..prepare.pool import AHEAD, CHUNK, Found, Task, look_at

TRIES = 2  # of a chunk, and of each of its files alone, before that file is to blame
COUNTED_EVERY = 5.0  # seconds between two counts of the processors: machines come and go
VERSIONS = f"pizzaiolo {__version__}, Pillow {PIL.__version__}"


class Orders(NamedTuple):
    """What a worker is told: `sign` is a file in `staging` that it must see."""

    staging: str
    sign: str
    config: PrepareConfig
    cache: str | None  # the folder of caches, where this machine was told one
    versions: str = VERSIONS


class Looks(NamedTuple):
    """What a worker found in its files, and the places among them of those it can't see."""

    found: list[Found]
    unseen: list[int]
    host: str


class _Chunk(NamedTuple):
    places: range  # among the candidates
    ref: Any
    tries: int


def look(orders: Orders, tasks: Sequence[Task]) -> Looks:
    """Look at some files, as a worker; raises `WorkError` where this machine can't help."""
    host = socket.gethostname()
    if orders.versions != VERSIONS:
        raise WorkError(
            f"the worker {host} has {VERSIONS}, expected {orders.versions}",
            hint="install the same versions on all machines of the cluster",
        )
    if not os.path.isfile(os.path.join(orders.staging, orders.sign)):
        raise _unshared(host, orders.staging)
    if orders.cache is not None:
        os.environ["PIZZAIOLO_CACHE"] = orders.cache
    found = [look_at(task, Path(orders.staging), orders.config) for task in tasks]
    unseen = [
        i for i, (file, fault) in enumerate(tasks) if fault is None and not os.path.lexists(file)
    ]
    return Looks(found, unseen, host)


def _unshared(host: str, place: str | Path) -> WorkError:
    return WorkError(
        f"the worker {host} can't see {place}",
        hint="the pictures and --out must lie on storage that all machines of the cluster share",
    )


def inspect_all(
    candidates: Sequence[Candidate], staging: Path, config: PrepareConfig
) -> Generator[Finding]:
    """Look at every file on the cluster that is connected, in order, as `pool.inspect_all` does.

    A worker that is lost costs nothing but time: its files are looked at again.
    """
    sign = staging / f"{token_hex(8)}.sign"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        sign.touch()
    except OSError as error:
        raise explain_os_error(error) from None
    told = os.environ.get("PIZZAIOLO_CACHE")
    orders = Orders(os.path.abspath(staging), sign.name, config, told and os.path.abspath(told))
    looking = _Looking(candidates, orders)
    try:
        yield from looking.findings()
    finally:
        looking.stop()
        sign.unlink(missing_ok=True)


class _Looking:
    """The chunks under way."""

    def __init__(self, candidates: Sequence[Candidate], orders: Orders) -> None:
        import ray

        self._candidates = candidates
        self._orders = ray.put(orders)
        # Ray itself would do a lost task again without a word; here each loss is counted.
        self._look = ray.remote(num_cpus=1, max_retries=0)(look)
        self._sent: set[Any] = set()
        self._lost = 0

    def findings(self) -> Iterator[Finding]:
        count = len(self._candidates)
        chunks = (range(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK))
        waiting: deque[_Chunk] = deque()
        while True:
            while len(waiting) < _room(int(time.monotonic() / COUNTED_EVERY)):
                chunk = next(chunks, None)
                if chunk is None:
                    break
                waiting.append(self._send(chunk))
            if not waiting:
                break
            yield from self._of(waiting.popleft())
        if self._lost:
            log.warning("%d times a worker was lost; its files were looked at again", self._lost)

    def stop(self) -> None:
        """Forget what is under way."""
        import ray

        for ref in self._sent if ray.is_initialized() else ():  # it would start anew
            with suppress(Exception):  # what has ended meanwhile
                ray.cancel(ref, force=True)

    def _send(self, places: range, tries: int = 1) -> _Chunk:
        files = [self._candidates[i] for i in places]
        tasks = [(os.path.abspath(c.file), c.fault) for c in files]
        ref = self._look.remote(self._orders, tasks)
        self._sent.add(ref)
        return _Chunk(places, ref, tries)

    def _of(self, chunk: _Chunk) -> Iterator[Finding]:
        import ray
        from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError
        from ray.exceptions import WorkerCrashedError as Crashed

        try:
            looks: Looks = ray.get(chunk.ref)
        except (Crashed, NodeDiedError, ObjectLostError, OutOfMemoryError):
            self._lost += 1
            yield from self._again(chunk)
            return
        finally:
            self._sent.discard(chunk.ref)
        for place in looks.unseen:
            file = self._candidates[chunk.places[place]].file
            if os.path.lexists(file):
                raise _unshared(looks.host, file)
        for i, (facts, fresh) in zip(chunk.places, looks.found, strict=True):
            yield replace(recalled(self._candidates[i], facts), fresh=fresh)

    def _again(self, chunk: _Chunk) -> Iterator[Finding]:
        """The findings of files whose worker died: once more together, then each alone."""
        if chunk.tries < TRIES:
            yield from self._of(self._send(chunk.places, chunk.tries + 1))
        elif len(chunk.places) > 1:
            for single in [self._send(range(i, i + 1)) for i in chunk.places]:
                yield from self._of(single)
        else:
            candidate = self._candidates[chunk.places[0]]
            yield Finding(candidate, "unreadable", "its decoder crashed")


@cache
def _room(moment: int) -> int:
    """How many chunks may be under way; `moment` makes it be counted again."""
    import ray

    return AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
