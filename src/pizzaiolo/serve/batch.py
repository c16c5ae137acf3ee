"""Many pictures in one request: each is answered as it arrives, one line of JSON for each.

The form is read piece by piece, so that memory holds a few pictures, however many are sent.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .problems import Problem

Ask = Callable[[str | None, bytes], Coroutine[Any, Any, dict[str, Any]]]
Picture = tuple[str | None, bytes]


class Files:
    """The files of a form, taken out of its pieces; fields without a file name are passed over.

    A file over `limit` bytes is cut there, so that it is refused as too large.
    """

    def __init__(self, content_type: str, limit: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Problem(400, "bad_form", "expected multipart/form-data with a boundary")
        self.limit, self.whole, self.found = limit, False, deque[Picture]()
        self._header, self._value = b"", b""
        self._name: str | None = None
        self._data: bytearray | None = None
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished",
                 "part_data", "part_end", "end")  # fmt: skip
        callbacks: Any = {f"on_{name}": getattr(self, f"_{name}") for name in names}
        self.parser = MultipartParser(boundary, callbacks)

    def feed(self, piece: bytes) -> list[Picture]:
        """The files that end in this piece of the body; raises `Problem` for a broken form."""
        try:
            self.parser.write(piece)
        except MultipartParseError as error:
            raise Problem(400, "bad_form", str(error)) from None
        done, self.found = list(self.found), deque()
        return done

    def _part_begin(self) -> None:
        self._name, self._data, self._header, self._value = None, None, b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(self._value)[1].get(b"filename")
            self._name = None if name is None else name.decode("utf-8", "replace")
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        self._data = bytearray() if self._name is not None else None

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._data is not None:
            room = self.limit + 1 - len(self._data)
            self._data += data[start : min(end, start + room)]

    def _part_end(self) -> None:
        if self._data is not None:
            self.found.append((self._name, bytes(self._data)))
        self._data = None

    def _end(self) -> None:
        self.whole = True


class Lines(Response):
    """An answer of JSON lines, written while the request is still arriving.

    Body and answer are two tasks: a client that sends everything before it reads is no deadlock.
    Lines that nobody has read wait in memory, a few hundred bytes each. `held` is let go at the
    end; `parallel` pictures are asked for at once, and at most `most` answered.
    """

    media_type = "application/x-ndjson"

    def __init__(
        self, pictures: AsyncIterator[Picture], ask: Ask, held: AsyncExitStack, parallel: int,
        most: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pictures, self.ask, self.held = pictures, ask, held
        self.parallel, self.most = parallel, most
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.asked: deque[asyncio.Task[dict[str, Any]]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the form ends; a client that leaves ends all of it."""
        headers = [(b"content-type", self.media_type.encode())]
        async with self.held:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            work = asyncio.create_task(self._work())
            try:
                while (line := await self.lines.get()) is not None:
                    await send({"type": "http.response.body", "body": line, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                await work
            finally:
                for task in (work, *self.asked):
                    task.cancel()

    async def _work(self) -> None:
        """Answer the pictures in order; what ends the form early is the last line."""
        try:
            count = 0
            async for name, data in self.pictures:
                count += 1
                if count > self.most:
                    detail = f"more than {self.most:,} pictures in one request"
                    raise Problem(413, "too_many_files", detail)
                self.asked.append(asyncio.create_task(self._answer(name, data)))
                if len(self.asked) >= self.parallel:
                    self._add(await self.asked.popleft())
            await self._rest()
        except Problem as problem:
            await self._rest()
            self._add(_said(problem))
        finally:
            self.lines.put_nowait(None)

    async def _answer(self, name: str | None, data: bytes) -> dict[str, Any]:
        try:
            return await self.ask(name, data)
        except Problem as problem:  # no slot in time: of this picture, the others may have one
            return {"path": name, **_said(problem)}

    async def _rest(self) -> None:
        while self.asked:
            self._add(await self.asked.popleft())

    def _add(self, answer: dict[str, Any]) -> None:
        self.lines.put_nowait(json.dumps(answer, ensure_ascii=False).encode() + b"\n")


def _said(problem: Problem) -> dict[str, Any]:
    return {"error": {"code": problem.code, "message": problem.detail}}


def pictures_of(request: Request, limit: int, patience: float) -> AsyncIterator[Picture]:
    """The files of a form while they arrive; `patience` is how long, seconds, a sender may pause.

    Raises `Problem` for what is no form at once; for a broken one, and for a sender who is too
    slow, when it shows.
    """
    return _arriving(request, Files(request.headers.get("content-type", ""), limit), patience)


async def _arriving(request: Request, files: Files, patience: float) -> AsyncIterator[Picture]:
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(patience):
                piece = await anext(stream, b"")
        except TimeoutError:
            detail = f"nothing arrived for {patience:g} s"
            raise Problem(408, "too_slow", detail) from None
        if not piece:
            break
        for picture in files.feed(piece):
            yield picture
    if not files.whole:
        raise Problem(400, "bad_form", "the form ends before its last boundary")
