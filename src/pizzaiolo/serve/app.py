"""The HTTP application: pictures in, verdicts out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from .. import __version__
from ..config import ServeConfig
from ..core.shell import TEMPLATES
from ..predict import Predictor
from .access import Access, Rules
from .batch import Lines, pictures_of
from .docs import docs_page
from .guard import in_time
from .problems import Problem, of_picture, of_status
from .reading import read_labelled, read_pictures
from .reload import reloading_on_signal
from .schemas import (
    FORM,
    LABELLED,
    PROBLEMS,
    REQUEST_BODY,
    AnswerModel,
    AnswersModel,
    ExplanationModel,
    ProblemModel,
)  # fmt: skip
from .service import Service, Source
from .status import status_page
from .watch import Watch

PAGE = Path(__file__).parent / "page"
ASSETS = {
    "app.js": (PAGE / "app.js", "text/javascript"),
    "answers.js": (TEMPLATES / "answers.js", "text/javascript"),
    "camera.js": (TEMPLATES / "camera.js", "text/javascript"),
    "style.css": (TEMPLATES / "answers.css", "text/css"),
}


def create_app(
    predictor: Predictor,
    config: ServeConfig = ServeConfig(),
    rules: Rules = Rules(),
    source: Source | None = None,
) -> FastAPI:
    """The service as an ASGI application; no picture is written to disk without `feedback`.

    `rules` say who may come in: keys, hosts, rates. `source` loads the model's file anew, when
    that is asked for.
    """
    service = Service(predictor, config, source)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.warm_up)
        with reloading_on_signal(service):
            yield

    app = FastAPI(
        title="pizzaiolo",
        version=__version__,
        description="Send a picture, get a verdict.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=_middleware(service, config, rules),
    )
    app.state.service = service
    _add_problems(app, service)
    _add_prediction(app, service)
    _add_explanation(app, service)
    _add_batch(app, service)
    _add_feedback(app, service)
    _add_facts(app, service, guarded=bool(rules.keys))
    _add_page(app, service)
    return app


def _middleware(service: Service, config: ServeConfig, rules: Rules) -> list[Middleware]:
    """From the outside in: counting, other web sites, who may come in."""
    watch = Middleware(Watch, metrics=service.metrics, tell=config.access_log)
    access = Middleware(Access, rules=rules, gate=service.gate, refused=service.refused)
    if not rules.origins:
        return [watch, access]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=sorted(rules.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "X-API-Key", "X-Request-ID"],
        expose_headers=["Retry-After", "X-Request-ID"],
    )
    return [watch, cors, access]


def _add_problems(app: FastAPI, service: Service) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        service.refused(error)
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
        stage = service.metrics.stage
        async with service.gate.enter():
            with stage("read"):
                async with in_time(service.config.upload_timeout):
                    pictures = await read_pictures(request, service.config)
            service.metrics.pictures.observe(len(pictures))
            async with service.slot():
                if await request.is_disconnected():  # nobody waits for it any more
                    raise ClientDisconnect
                with stage("answer"):
                    answers = [await service.answer(name, data) for name, data in pictures]
        if len(answers) > 1:
            return JSONResponse({"answers": [a.to_json() for a in answers]})
        if answers[0].error is not None:
            raise of_picture(answers[0].error)
        return JSONResponse(answers[0].to_json())


def _add_explanation(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/explain",
        response_model=ExplanationModel,
        responses=PROBLEMS,
        openapi_extra=REQUEST_BODY,
    )
    async def explain(request: Request) -> Response:
        """Answer one picture, and tell which parts of it speak for the answer.

        Parts are hidden one after the other, so that it takes as long as some 50 answers.
        """
        async with service.gate.enter():
            async with in_time(service.config.upload_timeout):
                pictures = await read_pictures(request, service.config)
            if len(pictures) > 1:
                raise Problem(413, "too_many_files", "expected one picture to explain")
            looked = await service.look(pictures[0][1])
        if looked.answer.error is not None:
            raise of_picture(looked.answer.error)
        return JSONResponse(looked.to_json())


def _add_batch(app: FastAPI, service: Service) -> None:
    config = service.config

    @app.post(
        "/v1/predict/batch",
        responses=PROBLEMS | {200: {"content": {"application/x-ndjson": {}}}},
        openapi_extra={"requestBody": {"required": True, "content": FORM}},
    )
    async def batch(request: Request) -> Response:
        """Answer any number of pictures (`file` repeated), a line of JSON for each, as they arrive.

        The lines come in the order of the pictures, each the object that one picture gets. What
        ends the form early is the last line, `{"error": {...}}`.
        """
        pictures = pictures_of(request, config.max_bytes, config.upload_timeout)

        async def ask(name: str | None, data: bytes) -> dict[str, Any]:
            async with service.slot():
                return (await service.answer(name, data)).to_json()

        held = AsyncExitStack()
        await held.enter_async_context(service.gate.enter())
        return Lines(pictures, ask, held, service.gate.running, config.max_batch)


def _add_feedback(app: FastAPI, service: Service) -> None:
    feedback = service.feedback

    @app.get("/v1/feedback")
    async def labels() -> dict[str, list[str]]:
        """The labels that a correction may have; none where corrections are not kept."""
        return {"labels": list(service.predictor.labels.names) if feedback else []}

    if feedback is None:
        return

    @app.post(
        "/v1/feedback",
        responses=PROBLEMS | {507: {"model": ProblemModel, "description": "No room for it"}},
        openapi_extra={"requestBody": {"required": True, "content": LABELLED}},
    )
    async def correct(request: Request) -> dict[str, bool]:
        """Keep a picture (`file`) with its true `label`, for the next training.

        `new` is false where it was there already.
        """
        async with service.gate.enter():
            async with in_time(service.config.upload_timeout):
                label, data = await read_labelled(request, service.config)
            async with service.slot():
                new = await run_in_threadpool(feedback.keep, data, label, service.limits)
        return {"kept": True, "new": new}


def _add_facts(app: FastAPI, service: Service, guarded: bool) -> None:
    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        """The model's card: classes, preprocessing, figures, licence."""
        return service.predictor.card.summary()

    @app.post("/v1/model/reload", responses={s: PROBLEMS[s] for s in (401, 403, 409)})
    async def reload() -> dict[str, Any]:
        """Take the model's file as it is now, if it answers as it should; else the old one stays.

        Where the service has keys this needs one of the scope admin; without keys SIGHUP does it.
        """
        if not guarded:
            raise Problem(403, "not_allowed", "this needs a key, and the service has none: SIGHUP")
        return (await run_in_threadpool(service.reload)).card.summary()

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


def _add_page(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        path, kind = ASSETS[name]
        return FileResponse(path, media_type=kind)

    @app.get("/status", include_in_schema=False)
    async def status() -> Response:
        return HTMLResponse(status_page(service))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return HTMLResponse(docs_page(app.openapi(), str(request.base_url)))
