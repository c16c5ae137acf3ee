"""What the API gives back, as OpenAPI shows it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class PictureError(BaseModel):
    """Why one of several pictures has no answer."""

    code: str
    message: str


class AnswerModel(BaseModel):
    """One picture's answer: what `pizzaiolo predict --json` prints."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "path": "dinner.jpg",
                "label": "pizza",
                "confidence": 0.98,
                "verdict": "Pizza",
                "probabilities": {"not_pizza": 0.02, "pizza": 0.98},
                "novelty": 0.8,
                "reason": None,
                "error": None,
            }
        }
    )

    path: str | None
    label: str | None
    confidence: float | None
    verdict: str | None
    probabilities: dict[str, float] | None
    novelty: float | None
    reason: str | None
    error: PictureError | None


class ExplanationModel(BaseModel):
    """What the model looked at: `heat` in rows from the top, 0 to 1, over `picture`, a data URL."""

    answer: AnswerModel
    method: str
    heat: list[list[float]]
    picture: str


class AnswersModel(BaseModel):
    """The answers of several pictures, in the order in which they were sent."""

    answers: list[AnswerModel]


class ProblemModel(BaseModel):
    """An error (RFC 9457); `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemModel, "description": text}
    for status, text in {
        400: "The form can't be read",
        401: "No key, or a wrong one, where the service asks for keys",
        403: "A key of another scope, or a page of another site",
        408: "The body took too long to arrive",
        409: "The new model is not taken, the old one stays",
        413: "Too many bytes, pixels or files",
        415: "Not a picture",
        422: "A damaged picture, or none",
        429: "Too many requests of this key: try again after `Retry-After` seconds",
        503: "Overloaded: try again after `Retry-After` seconds",
    }.items()
}
BINARY = {"type": "string", "format": "binary"}
FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "array", "items": BINARY}},
        }
    }
}
LABELLED = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file", "label"],
            "properties": {"file": BINARY, "label": {"type": "string"}},
        }
    }
}
REQUEST_BODY = {
    "requestBody": {"required": True, "content": {**FORM, "image/*": {"schema": BINARY}}}
}
