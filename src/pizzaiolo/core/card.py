"""The model card carried inside every model file: JSON, versioned, enough to answer alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import from_dict
from ..errors import ModelFileError, UsageError
from ..settings import Config
from .labels import Labels
from .novelty import Novelty
from .preprocess import Preprocess

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Card(Config):
    """What a model is, how to feed it, how to read it, and how good it is.

    `architecture` rebuilds the network (`name`, and what its kind needs); `temperature` divides
    the logits, and `scales` and `offsets`, where there are some, change the logarithms of each
    class's probability then; `decision` tells by what they and the threshold were chosen; `metrics`
    maps a split to its figures; `data` holds the data set's fingerprint.
    """

    labels: Labels
    preprocess: Preprocess
    architecture: dict[str, Any]
    temperature: float = 1.0
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    decision: dict[str, Any] = field(default_factory=dict)
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
        for name in ("scales", "offsets"):
            if len(getattr(self, name)) not in (0, len(self.labels.names)):
                raise UsageError(f"{name} are {getattr(self, name)}, expected one for each class")

    def with_(self, **changes: Any) -> Card:
        """A copy with some facts changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON-ready values."""
        values = dict(vars(self))
        values["labels"] = self.labels.to_dict()
        values["preprocess"] = self.preprocess.to_dict()
        for name in ("notes", "scales", "offsets"):
            values[name] = list(values[name])
        return values

    def summary(self) -> dict[str, Any]:
        """The card for a reader: of the novelty statistics, a quarter of a megabyte, their kind."""
        kept = {k: self.novelty[k] for k in ("kind", "features")} if self.novelty else None
        return {**self.to_dict(), "novelty": kept}

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
            card = from_dict(cls, values)
        except (KeyError, TypeError, UsageError) as error:
            raise ModelFileError(f"the card is damaged: {error}") from None
        if card.novelty is not None:
            Novelty.from_facts(card.novelty)  # refuses what is damaged
        return card
