"""The pictures of a request, as a raw body or as the files of a form; never on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ..config import ServeConfig
from .guard import read_body
from .problems import Problem

Picture = tuple[str | None, bytes]  # the name that a form gives it, and the file's bytes


async def read_pictures(request: Request, config: ServeConfig) -> list[Picture]:
    """All pictures of a request, one at least; raises `Problem` for what is none."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        return await _read_form(request, config)
    body = b"".join([piece async for piece in read_body(request, config.max_bytes)])
    if not body:
        raise Problem(422, "empty", "the body is empty, expected a picture")
    return [(None, body)]


async def _read_form(request: Request, config: ServeConfig) -> list[Picture]:
    async with _form(request, config) as form:
        return await _files(form)


async def read_labelled(request: Request, config: ServeConfig) -> tuple[str, bytes]:
    """The `label` and the picture of a form; raises `Problem` unless it has one of both."""
    async with _form(request, config) as form:
        files = await _files(form)
        labels = [value for name, value in form.multi_items() if name == "label"]
        if len(files) != 1 or len(labels) != 1 or not isinstance(labels[0], str):
            raise Problem(422, "no_label", "expected one field 'file' and one field 'label'")
        return labels[0], files[0][1]


async def _files(form: FormData) -> list[Picture]:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Problem(422, "no_file", "the form holds no file, expected field 'file'")
    return [(file.filename, await file.read()) for file in files]


@asynccontextmanager
async def _form(request: Request, config: ServeConfig) -> AsyncIterator[FormData]:
    body = read_body(request, config.max_bytes)
    try:
        parser = MultiPartParser(request.headers, body, max_files=config.max_files, max_fields=16)
        parser.spool_max_size = config.max_bytes + 1  # uploads stay in memory, never on disk
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        detail = str(getattr(error, "message", error)) or "the form can't be read"
        if "Too many files" in detail:
            raise Problem(413, "too_many_files", detail) from None
        raise Problem(400, "bad_form", detail) from None
    try:
        yield form
    finally:
        await form.close()
