"""Errors of the service as problem+json (RFC 9457) with stable codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from starlette.responses import Response

STATUS = {
    "unreadable": 422,
    "not_an_image": 415,
    "too_small": 422,
    "too_many_pixels": 413,
    "too_many_bytes": 413,
}


class Problem(Exception):
    """An answer that is an error: HTTP status, stable code, words for people."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.counted = False  # whether the metrics know of it

    def response(self) -> Response:
        """The error as an HTTP response."""
        content = _content(self.status, self.code, self.detail)
        return Response(content, self.status, self.headers, "application/problem+json")


@lru_cache(maxsize=64)
def _content(status: int, code: str, detail: str) -> bytes:
    """The body, kept: under load the same refusal is given a thousand times a second."""
    content = {
        "type": f"urn:pizzaiolo:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a bare HTTP status: 404 has the code `not_found`."""
    phrase = HTTPStatus(status).phrase
    return Problem(status, phrase.lower().replace(" ", "_"), phrase, headers)


def of_picture(error: Mapping[str, str]) -> Problem:
    """The problem of a picture that could not be answered."""
    code = error["code"]
    problem = Problem(STATUS.get(code, 422), code, error["message"])
    problem.counted = True
    return problem
