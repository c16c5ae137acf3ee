"""An answer as a line of a table for people; plain where it goes to a file or another program."""

from __future__ import annotations

from ..core.labels import NOT_SURE, Labels, human
from .answer import Answer

UNREADABLE = "Unreadable"
BAR = 10  # characters


class Lines:
    """Lines of verdict, confidence and path, nothing cut; `bar` draws the confidence too."""

    def __init__(self, labels: Labels, bar: bool = False, encoding: str = "utf-8") -> None:
        self.bar = bar
        self.full, self.empty = "█░" if "utf" in encoding.lower() else "#."
        verdicts = (*map(human, labels.names), NOT_SURE, UNREADABLE)
        self.width = max(map(len, verdicts))

    def line(self, answer: Answer) -> str:
        """The answer on one line."""
        verdict, why = answer.verdict, f" ({answer.reason})" if answer.reason else ""
        if answer.error is not None:
            verdict, why = UNREADABLE, f": {answer.error['message']}"
        bar = f"  {self._drawn(answer.confidence)}" if self.bar else ""
        return f"{verdict:<{self.width}}{bar}  {answer.sure:>6}  {answer.path}{why}"

    def _drawn(self, confidence: float | None) -> str:
        if confidence is None:
            return " " * BAR
        full = int(confidence * BAR)  # a full bar is a certain one
        return self.full * full + self.empty * (BAR - full)
