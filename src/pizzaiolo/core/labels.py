"""Ordered classes and the decision: from probabilities to an answer that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..config import from_dict, to_dict
from ..errors import ModelFileError, UsageError
from ..settings import Config, option

NOT_SURE = "Not sure"
UNLIKE, CLOSE = "unlike training", "too close to call"  # why an answer is not sure
_NEGATIONS = ("not_", "not ", "not-", "no_", "no ", "no-", "non_", "non ", "non-")
_REST = frozenset({"other", "others", "negative", "background", "rest", "none"})


@dataclass(frozen=True)
class Decision:
    """One answer: the class, its calibrated probability, and the verdict in words.

    `reason` says why the verdict is "Not sure", and is None for others.
    """

    label: str
    confidence: float
    verdict: str
    reason: str | None = None


@dataclass(frozen=True)
class Labels(Config):
    """The classes in the order of the probabilities, and how an answer is chosen.

    With two classes `positive` names the one the question is about, and a picture is of it when
    its probability is at least `threshold`. "Not sure" is the answer where the probability of the
    positive class (with more than two classes: of the likeliest) lies in `reject_band`, from low
    up to and without high, or where the novelty is over `max_novelty`.
    """

    names: tuple[str, ...]
    positive: str | None = None
    threshold: float = option(0.5, low=0.0, high=1.0)
    reject_band: tuple[float, float] | None = None
    max_novelty: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.names) < 2 or len(set(self.names)) != len(self.names):
            raise UsageError(f"classes are {self.names}, expected two or more different names")
        if self.positive is not None and self.positive not in self.names:
            raise UsageError(f"the positive class {self.positive!r} is none of {self.names}")
        if self.reject_band is not None and len(self.reject_band) != 2:
            raise UsageError(f"reject_band is {self.reject_band}, expected low and high")

    def index(self, name: str) -> int:
        """The place of a class in the probabilities."""
        return self.names.index(name)

    @property
    def binary_positive(self) -> int | None:
        """The place of the positive class where there are two classes, else None."""
        if self.positive is None or len(self.names) != 2:
            return None
        return self.index(self.positive)

    def unsure_below(self, sure: float) -> Labels:
        """The labels with "Not sure" from the threshold up to a probability of `sure`.

        That is for the question whether a picture is of one thing: what is not that thing has no
        end, and training has seen only some of it. Other labels stay as they are.
        """
        positive = self.binary_positive
        if positive is None or not _is_rest(self.names[1 - positive], self.names[positive]):
            return self
        return replace(self, reject_band=(self.threshold, sure)) if sure > self.threshold else self

    def decide(self, probabilities: Sequence[float], novelty: float | None = None) -> Decision:
        """The answer for one picture's probabilities [C]."""
        chosen = self._choose(probabilities)
        confidence = float(probabilities[chosen])
        score = probabilities[self.binary_positive or 0] if len(self.names) == 2 else confidence
        band = self.reject_band
        unsure = band is not None and band[0] <= score < band[1]
        novel = novelty is not None and self.max_novelty is not None and novelty > self.max_novelty
        reason = UNLIKE if novel else CLOSE if unsure else None
        verdict = NOT_SURE if reason else human(self.names[chosen])
        return Decision(self.names[chosen], confidence, verdict, reason)

    def _choose(self, probabilities: Sequence[float]) -> int:
        positive = self.binary_positive
        if positive is None:
            return max(range(len(self.names)), key=lambda i: probabilities[i])
        return positive if probabilities[positive] >= self.threshold else 1 - positive

    def to_dict(self) -> dict[str, Any]:
        """The labels as JSON-ready values."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Labels:
        """The labels from the card's values."""
        try:
            return from_dict(cls, values)
        except (TypeError, UsageError) as error:
            raise ModelFileError(f"the labels in the card are damaged: {error}") from None


def human(name: str) -> str:
    """A class name as a person writes it: `not_pizza` -> `Not pizza`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else name


def guess_positive(names: Sequence[str]) -> str | None:
    """The class the question is about: of two, the one that is no negation or remainder."""
    if len(names) != 2:
        return None
    asked = [n for n, other in zip(names, reversed(names), strict=True) if not _is_rest(n, other)]
    return asked[0] if asked else names[0]


def _is_rest(name: str, other: str) -> bool:
    name, other = name.lower(), other.lower()
    negated = name.startswith(_NEGATIONS) or name in (f"not{other}", f"non{other}", f"no{other}")
    return negated or name in _REST
