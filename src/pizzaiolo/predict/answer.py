"""What the model says of one picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture; `error` tells why where it says nothing.

    `confidence` is the probability of `label`, 0 to 1; `verdict` is what a person reads, and
    `reason` says why it is "Not sure". `novelty` is how unlike all training pictures this one is,
    over 1 where it is unlike nearly all that are usual; None where the model file doesn't know.
    """

    path: str | None
    label: str | None = None
    confidence: float | None = None
    verdict: str | None = None
    probabilities: dict[str, float] | None = None
    novelty: float | None = None
    reason: str | None = None
    error: dict[str, str] | None = None

    @property
    def sure(self) -> str:
        """The confidence for people: what is only nearly certain is never called 100 %."""
        if self.confidence is None:
            return ""
        if self.confidence >= 0.9995:
            return ">99.9%"
        return f"{self.confidence:.1%}"

    def to_json(self) -> dict[str, Any]:
        """The answer as the CLI and the HTTP API give it."""
        return asdict(self)
