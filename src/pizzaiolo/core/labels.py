"""Ordered classes and the decision: from probabilities to an answer that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ModelFileError

NOT_SURE = "Not sure"
_NEGATIONS = ("not_", "not ", "not-", "no_", "no ", "no-", "non_", "non ", "non-")
_REST = frozenset({"other", "others", "negative", "background", "rest", "none"})


@dataclass(frozen=True)
class Decision:
    """One answer: the class, its calibrated probability, and the verdict in words."""

    label: str
    confidence: float
    verdict: str


@dataclass(frozen=True)
class Labels:
    """The classes in the order of the probabilities, and how an answer is chosen.

    With two classes `positive` names the one the question is about, and a picture is of it when
    its probability is at least `threshold`. A probability of the chosen side inside
    `reject_band` (low, high), or a novelty over `max_novelty`, gives "Not sure".
    """

    names: tuple[str, ...]
    positive: str | None = None
    threshold: float = 0.5
    reject_band: tuple[float, float] | None = None
    max_novelty: float | None = None

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names):
            raise ModelFileError(f"classes are {self.names}, expected two or more different names")
        if self.positive is not None and self.positive not in self.names:
            raise ModelFileError(f"the positive class {self.positive!r} is none of {self.names}")

    def index(self, name: str) -> int:
        """The place of a class in the probabilities."""
        return self.names.index(name)

    @property
    def binary_positive(self) -> int | None:
        """The place of the positive class where there are two classes, else None."""
        if self.positive is None or len(self.names) != 2:
            return None
        return self.index(self.positive)

    def decide(self, probabilities: Sequence[float], novelty: float | None = None) -> Decision:
        """The answer for one picture's probabilities [C]."""
        chosen = self._choose(probabilities)
        confidence = float(probabilities[chosen])
        score = probabilities[self.binary_positive or 0] if len(self.names) == 2 else confidence
        band = self.reject_band
        unsure = band is not None and band[0] <= score < band[1]
        novel = novelty is not None and self.max_novelty is not None and novelty > self.max_novelty
        verdict = NOT_SURE if unsure or novel else human(self.names[chosen])
        return Decision(self.names[chosen], confidence, verdict)

    def _choose(self, probabilities: Sequence[float]) -> int:
        positive = self.binary_positive
        if positive is None:
            return max(range(len(self.names)), key=lambda i: probabilities[i])
        return positive if probabilities[positive] >= self.threshold else 1 - positive

    def to_dict(self) -> dict[str, Any]:
        """The labels as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Labels:
        """The labels from the card's values."""
        try:
            known = dict(values)
            known["names"] = tuple(known["names"])
            if known.get("reject_band") is not None:
                known["reject_band"] = tuple(known["reject_band"])
            return cls(**known)
        except (KeyError, TypeError) as error:
            raise ModelFileError(f"the labels in the card are damaged: {error}") from None


def human(name: str) -> str:
    """A class name as a person writes it: `not_pizza` -> `Not pizza`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else name


def guess_positive(names: Sequence[str]) -> str | None:
    """The class the question is about: of two, the one that is no negation or remainder."""
    if len(names) != 2:
        return None
    asked = [n for n in names if not n.lower().startswith(_NEGATIONS) and n.lower() not in _REST]
    return asked[0] if asked else names[0]
