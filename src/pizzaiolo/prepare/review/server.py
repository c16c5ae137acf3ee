"""`pizzaiolo prepare --review`: the review sheet on this machine, where Save writes the file.

Only 127.0.0.1 listens. Every address starts with a random token, so that no other page and no
other user of the machine can guess it; the Host header is checked (a rebound DNS name is none of
ours), and so is where a saved file comes from.
"""

from __future__ import annotations

import shlex
import socket
from dataclasses import astuple, replace
from mimetypes import guess_type
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2.utils import htmlsafe_json_dumps
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import Scope

from ...config import PrepareConfig
from ...console import note
from ...core.manifest import is_dataset
from ...core.service import run_app
from ...core.shards import SHARD, find_place, read_place
from ...errors import DatasetError, ImageError, PizzaioloError, WorkError
from ..decisions import FILE, parse_decisions, read_decisions, write_decisions
from .sheet import replay_command

HOST = "127.0.0.1"
GRACE = 2  # seconds that a save may take after a stop was asked for
MAX_BYTES = 64_000_000  # about 300,000 decisions
_PAGE_HEADERS = {"Cache-Control": "no-store", "X-Frame-Options": "DENY"}
SERVED = '<script id="served" type="application/json">{}</script>'


def serve_review(dataset: Path | str, port: int = 0, command: str = "") -> None:
    """Serve DATASET/review.html on 127.0.0.1 until Ctrl-C; Save writes DATASET/decisions.csv.

    `command` makes the data set again (`replay_command`). Raises `DatasetError` for a folder
    without a review sheet and `WorkError` where the port can't be had.
    """
    root, token = Path(dataset), token_urlsafe(16)
    app = review_app(root, token, command)
    try:
        listener = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise WorkError(
            f"can't listen on {HOST}:{port}: {why}", hint="port 0 takes any free one"
        ) from None
    address = f"http://{HOST}:{listener.getsockname()[1]}/{token}/"
    run_app(app, listener, f"review at {address}   (stop: Ctrl-C)", GRACE, lifespan="off")


def review_app(root: Path, token: str, command: str = "") -> FastAPI:
    """The sheet of the DATASET `root` as an application whose addresses start with `/token/`."""
    if not is_dataset(root) or not (root / "review.html").is_file():
        raise DatasetError(
            f"{root} holds no data set with a review.html",
            hint="pizzaiolo prepare SOURCE --out DATASET makes one",
        )
    file = root / FILE
    command = command or replay_command(["SOURCE"], root, PrepareConfig())
    replay = f"{command} --decisions {shlex.quote(str(file))}"
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
    )

    @app.get(f"/{token}/")
    def page() -> Response:
        return HTMLResponse(_page(root), headers=_PAGE_HEADERS)

    @app.post(f"/{token}/{FILE}")
    async def save(request: Request) -> Response:
        if not _ours(request):
            return _problem(403, "this does not come from the review sheet")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BYTES:
                return _problem(413, f"more than {MAX_BYTES:,} bytes")
        try:
            decisions = parse_decisions(body.decode(), FILE)
            write_decisions(file, decisions)
        except UnicodeDecodeError:
            return _problem(422, "the decisions are no UTF-8 text")
        except PizzaioloError as error:
            return _problem(422 if error.exit_code == 2 else 500, error.message)
        note(f"{len(decisions)} decisions saved to {file}; apply them:\n  {replay}")
        return JSONResponse({"saved": len(decisions), "file": str(file), "command": replay})

    app.mount(f"/{token}/images", _Pictures(directory=root / "images"))
    return app


class _Pictures(StaticFiles):
    """The files below images/, and the pictures in its shards."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        place = find_place(path)
        if place is None or self.directory is None or not SHARD.fullmatch(place.shard):
            return await super().get_response(path, scope)
        inside = replace(place, shard=str(Path(self.directory) / place.shard))
        try:
            data = await run_in_threadpool(read_place, inside)
        except ImageError as error:
            return _problem(404, error.message)
        return Response(data, media_type=guess_type(place.name)[0])


def _page(root: Path) -> str:
    """The sheet, told that it is served and what decisions.csv holds now."""
    served: dict[str, Any] = {"decisions": None}
    try:
        if (root / FILE).exists():
            served["decisions"] = [astuple(d) for d in read_decisions(root / FILE)]
    except PizzaioloError as error:
        note(f"warning: {error.message}; saving replaces it")
        served["fault"] = error.message
    html = (root / "review.html").read_text(encoding="utf-8")
    return html.replace(SERVED.format("null"), SERVED.format(htmlsafe_json_dumps(served)), 1)


def _ours(request: Request) -> bool:
    """A page of another origin says so; the sheet's own says the address that it was asked for."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"http://{request.headers.get('host')}"


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)
