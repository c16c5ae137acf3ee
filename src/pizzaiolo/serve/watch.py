"""What every request goes through: its answer is counted and gets the security headers."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..console import log, note
from .access import GATED, KEY
from .metrics import Metrics
from .problems import Problem

CLIENT_GONE = 499  # nginx's number for a client that left before its answer
REFRESHED = 100  # requests after which other processes hear how this one stands
_ID = re.compile(r"[\w.:-]{1,64}")  # a client's own request id that is taken over
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class Watch:
    """ASGI middleware: counts, adds headers, and turns a fault of ours into a 500 problem.

    Every answer has an `X-Request-ID`, the client's or a new one; with `tell` each request is a
    line of JSON on stderr.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tell: bool = False) -> None:
        self.app = app
        self.metrics = metrics
        self.tell = tell
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_watched)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:
            log.exception(
                "the service failed on %s %s, request %s",
                scope["method"],
                scope["path"],
                request_id,
            )
            if not status:
                fault = Problem(500, "internal", "the service failed on this request")
                await fault.response()(scope, receive, send_watched)
        finally:
            asked = scope["path"] if scope["path"] in GATED else "other"  # refused before routing
            path = getattr(scope.get("route"), "path", asked)
            self.metrics.requests.labels(path, str(status)).inc()
            seconds = time.perf_counter() - started
            self.metrics.seconds.labels(path).observe(seconds)
            self.count += 1
            if self.count % REFRESHED == 0:
                self.metrics.refresh()
            if self.tell:
                note(_line(scope, request_id, status, seconds))


def _line(scope: Scope, request_id: str, status: int, seconds: float) -> str:
    """A request as a line of JSON: no picture, no key, only the key's name."""
    return json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "request": request_id,
            "client": scope["client"][0] if scope.get("client") else None,
            "key": scope.get(KEY),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(1000 * seconds, 1),
        }
    )
