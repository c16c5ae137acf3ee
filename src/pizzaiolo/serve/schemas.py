"""What the API gives back, as OpenAPI shows it."""

from __future__ import annotations

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
