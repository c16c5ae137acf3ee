"""The HTTP application: pictures in, verdicts out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware import Middleware

from .. import __version__
from ..config import ServeConfig
from ..core.image import Limits
from ..predict import Answer, Predictor
from .docs import docs_page
from .guard import Gate, in_time, read_body
from .metrics import Metrics
from .problems import Problem, of_picture, of_status
from .schemas import AnswerModel, AnswersModel, ProblemModel
from .watch import Watch

PAGE = Path(__file__).parent / "page"
ASSETS = {"app.js": "text/javascript", "style.css": "text/css"}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemModel, "description": text}
    for status, text in {
        400: "The form can't be read",
        408: "The body took too long to arrive",
        413: "Too many bytes, pixels or files",
        415: "Not a picture",
        422: "A damaged picture, or none",
        503: "Overloaded: try again after `Retry-After` seconds",
    }.items()
}
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class Service:
    """One model behind a gate, with its counters."""

    def __init__(self, predictor: Predictor, config: ServeConfig) -> None:
        self.predictor = predictor
        self.config = config
        self.limits = Limits(config.max_bytes, config.max_pixels)
        self.gate = Gate(config.concurrency or os.cpu_count() or 1, config.queue, config.timeout)
        self.metrics = Metrics(lambda: self.gate.waiting)
        self.ready = False

    def warm_up(self) -> None:
        """Answer one grey picture, so that the first person does not wait."""
        size = self.predictor.card.preprocess.size
        self.predictor.run(np.full((1, size, size, 3), 128, np.uint8))
        self.ready = True

    async def answer(self, name: str | None, data: bytes) -> Answer:
        """One picture's answer; decoding and inference run in a thread."""
        answer = await run_in_threadpool(self.predictor.predict, data, self.limits)
        if answer.verdict is not None:
            self.metrics.verdicts.labels(answer.verdict).inc()
        return Answer(**{**vars(answer), "path": name})


def create_app(predictor: Predictor, config: ServeConfig = ServeConfig()) -> FastAPI:
    """The service as an ASGI application; no picture is ever written to disk."""
    service = Service(predictor, config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.warm_up)
        yield

    app = FastAPI(
        title="pizzaiolo",
        version=__version__,
        description="Send a picture, get a verdict.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Watch, metrics=service.metrics)],
    )
    app.state.service = service
    _add_problems(app)
    _add_prediction(app, service)
    _add_facts(app, service)
    _add_page(app)
    return app


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return of_status(error.status_code, error.headers).response()


def _add_prediction(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        response_model=AnswerModel | AnswersModel,
        responses=PROBLEMS,
        openapi_extra=REQUEST_BODY,
    )
    async def predict(request: Request) -> Response:
        """Answer one picture (raw body, or form field `file`) or several (`file` repeated).

        One picture gives one answer, or a problem; several give `{"answers": [...]}`, where a
        bad picture has its own `error`.
        """
        async with service.gate.enter():
            async with in_time(service.config.upload_timeout):
                pictures = await _read_pictures(request, service.config)
            async with service.gate.slot():
                answers = [await service.answer(name, data) for name, data in pictures]
        if len(answers) > 1:
            return JSONResponse({"answers": [a.to_json() for a in answers]})
        if answers[0].error is not None:
            raise of_picture(answers[0].error)
        return JSONResponse(answers[0].to_json())


async def _read_pictures(request: Request, config: ServeConfig) -> list[tuple[str | None, bytes]]:
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        return await _read_form(request, config)
    body = b"".join([piece async for piece in read_body(request, config.max_bytes)])
    if not body:
        raise Problem(422, "empty", "the body is empty, expected a picture")
    return [(None, body)]


async def _read_form(request: Request, config: ServeConfig) -> list[tuple[str | None, bytes]]:
    body = read_body(request, config.max_bytes)
    parser = MultiPartParser(request.headers, body, max_files=config.max_files, max_fields=16)
    parser.spool_max_size = config.max_bytes + 1  # uploads stay in memory, never on disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        detail = str(getattr(error, "message", error)) or "the form can't be read"
        if "Too many files" in detail:
            raise Problem(413, "too_many_files", detail) from None
        raise Problem(400, "bad_form", detail) from None
    try:
        files = [v for _, v in form.multi_items() if isinstance(v, UploadFile)]
        if not files:
            raise Problem(422, "no_file", "the form holds no file, expected field 'file'")
        return [(file.filename, await file.read()) for file in files]
    finally:
        await form.close()


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        """The model's card: classes, preprocessing, figures, licence."""
        return service.predictor.card.summary()

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """The process lives."""
        return "ok"

    @app.get("/readyz", response_class=PlainTextResponse, responses={503: PROBLEMS[503]})
    async def readyz() -> str:
        """The model is loaded and warm."""
        if not service.ready:
            raise Problem(503, "not_ready", "the model is warming up", {"Retry-After": "1"})
        return "ok"

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        return FileResponse(PAGE / name, media_type=ASSETS[name])

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return HTMLResponse(docs_page(app.openapi(), str(request.base_url)))
