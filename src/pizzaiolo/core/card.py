"""The model card carried inside every model file: JSON, versioned, enough to answer alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import Config, from_dict
from ..errors import ModelFileError, UsageError
from .labels import Labels
from .preprocess import Preprocess

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Card(Config):
    """What a model is, how to feed it, how to read it, and how good it is.

    `architecture` rebuilds the network (`name`, and what its kind needs); `temperature` divides
    the logits; `metrics` maps a split to its figures; `data` holds the data set's fingerprint.
    """

    labels: Labels
    preprocess: Preprocess
    architecture: dict[str, Any]
    temperature: float = 1.0
    novelty: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    weights_licence: str = "unknown"
    notes: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise UsageError(f"temperature is {self.temperature}, expected a number over 0")

    def with_(self, **changes: Any) -> Card:
        """A copy with some facts changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON-ready values."""
        values = dict(vars(self))
        values["labels"] = self.labels.to_dict()
        values["preprocess"] = self.preprocess.to_dict()
        values["notes"] = list(self.notes)
        return values

    def to_json(self) -> str:
        """The card as a JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card from its JSON text; raises `ModelFileError` for a newer or damaged one."""
        try:
            values = json.loads(text)
            version = int(values["format_version"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ModelFileError(f"the card is damaged: {error}") from None
        if version > FORMAT_VERSION:
            raise ModelFileError(
                f"the card has version {version}, this pizzaiolo reads up to {FORMAT_VERSION}",
                hint="pip install --upgrade pizzaiolo",
            )
        try:
            values["labels"] = Labels.from_dict(values["labels"])
            values["preprocess"] = Preprocess.from_dict(values["preprocess"])
            return from_dict(cls, values)
        except (KeyError, TypeError, UsageError) as error:
            raise ModelFileError(f"the card is damaged: {error}") from None
