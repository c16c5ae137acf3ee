"""How values, differences and times are written in what people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .aim import Aim, Difference

MINUS = "\u2212"
WIDE = "\u00a0"  # a space that does not break


@dataclass(frozen=True)
class Scale:
    """How the figures of an aim are written: shares per cent, losses as they are."""

    name: str
    share: bool

    @classmethod
    def of(cls, aim: Aim) -> Scale:
        """The scale of an aim."""
        names = {"accuracy": "accuracy", "f1": "F1", "log_loss": "log loss"}
        return cls(names.get(aim.name, aim.name), aim.name != "log_loss")

    @property
    def unit(self) -> float:
        """What an axis counts in."""
        return 0.01 if self.share else 1.0

    @property
    def units(self) -> str:
        """The name of the unit of a difference."""
        return "points" if self.share else "nats"

    def value(self, value: float | None) -> str:
        """A value: 97.6 %."""
        if value is None:
            return "-"
        return f"{100 * value:.1f}{WIDE}%" if self.share else f"{value:.3f}"

    def ends(self, low: float | None, high: float | None) -> str:
        """An interval of a value: 96.6 to 98.3."""
        if low is None or high is None:
            return ""
        digits, times = (1, 100) if self.share else (3, 1)
        return f"{times * low:.{digits}f} to {times * high:.{digits}f}"

    def gain(self, value: float) -> str:
        """A difference with its sign and no unit: +1.2."""
        digits, times = (1, 100) if self.share else (3, 1)
        text = f"{times * value:+.{digits}f}"
        return text.replace("-", MINUS) if float(text) else text[1:]

    def headline(self, gain: float) -> tuple[str, str]:
        """A difference as it is written large, and its unit."""
        if self.share:
            return self.gain(gain), self.units
        return self.gain(abs(gain)).lstrip("+"), f"{self.units} {'less' if gain >= 0 else 'more'}"

    def between(self, found: Difference) -> str:
        """The interval of a difference: +0.3 to +2.1."""
        return f"{self.gain(found.low)} to {self.gain(found.high)}"


def chance(p_value: float | None) -> str:
    """A p-value as it is told: p 0.03, p under 0.001."""
    if p_value is None:
        return ""
    return "p under 0.001" if p_value < 0.001 else f"p {p_value:.2g}"


def milliseconds(value: float | None) -> str:
    """A latency: 14 ms, 8.7 ms."""
    return "-" if value is None else f"{value:.{0 if value >= 10 else 1}f}{WIDE}ms"


def megabytes(value: float | None) -> str:
    """A size: 37 MB, 4.1 MB."""
    return "-" if value is None else f"{value:.{0 if value >= 10 else 1}f}{WIDE}MB"


def time(seconds: float) -> str:
    """A time as people say it: 0.4 s, 74 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.{1 if seconds < 10 else 0}f}{WIDE}s"
    return f"{seconds / 60:.0f}{WIDE}min" if seconds < 6000 else f"{seconds / 3600:.1f}{WIDE}h"


def tried(settings: int, ended: Mapping[str, int], seconds: float | None) -> str:
    """How much was tried: 112 settings in 74 s (6 stopped early, 1 failed)."""
    said = {"stopped": "stopped early", "failed": "failed"}
    parts = [f"{ended[state]} {words}" for state, words in said.items() if ended[state]]
    text = many(settings, "setting")
    text += "" if seconds is None else f" in {time(seconds)}"
    return f"{text} ({', '.join(parts)})" if parts else text


def judged_on(pictures: int, folds: int) -> str:
    """By what it was judged."""
    return f"judged on {many(pictures, 'picture')} in {folds} folds"


def many(count: int, one: str, more: str | None = None) -> str:
    """A number with its noun: 1 setting, 1,000 settings."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
