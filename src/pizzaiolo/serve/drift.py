"""The last answers against those on which the model was judged."""

from __future__ import annotations

from collections import Counter, deque

from ..core.card import Card
from ..core.drift import FEW, Reference, Spread, stability
from ..predict import Answer

WINDOW = 2000  # answers that are looked back at


class Drift:
    """Watches the last answers of a service; pictures that could not be read are left out.

    `reference` is None where the model was not evaluated, and nothing can be told then.
    """

    def __init__(self, card: Card) -> None:
        facts = card.decision.get("reference")
        self.reference = None if facts is None else Reference.from_dict(facts)
        self.answers: deque[tuple[str, float, float | None]] = deque(maxlen=WINDOW)

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.verdict is not None and answer.confidence is not None:
            self.answers.append((answer.verdict, answer.confidence, answer.novelty))

    @property
    def verdicts(self) -> dict[str, float]:
        """The share of each verdict among the last answers."""
        counts = Counter(verdict for verdict, _, _ in self.answers)
        return {name: count / len(self.answers) for name, count in sorted(counts.items())}

    @property
    def confidence(self) -> float | None:
        """The mean confidence of the last answers, None where there is none."""
        values = [confidence for _, confidence, _ in self.answers]
        return sum(values) / len(values) if values else None

    def indices(self) -> dict[str, float]:
        """The PSI of verdicts, confidences and novelties; none of few answers."""
        told, answers = self.reference, list(self.answers)
        if told is None or len(answers) < FEW:
            return {}
        counts = Counter(verdict for verdict, _, _ in answers)
        names = sorted({*told.verdicts, *counts})
        shares = [told.verdicts.get(name, 0.0) for name in names]
        found = {"verdict": stability(shares, told.pictures, [counts[n] for n in names])}
        found["confidence"] = _of(told.confidence, told.pictures, [c for _, c, _ in answers])
        novelties = [novelty for _, _, novelty in answers if novelty is not None]
        if told.novelty is not None and len(novelties) >= FEW:
            found["novelty"] = _of(told.novelty, told.pictures, novelties)
        return found


def _of(spread: Spread, pictures: int, values: list[float]) -> float:
    counts = [0] * len(spread.shares)
    for value in values:
        counts[spread.bin(value)] += 1
    return stability(spread.shares, pictures, counts)
