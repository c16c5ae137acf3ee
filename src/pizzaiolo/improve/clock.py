"""The time that a command has, and what of it belongs to which part."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

# Shares of the time before the winner's test, at which these end.
SEARCH, PRICES, DIAGNOSIS, ABLATION = 0.68, 0.77, 0.91, 1.0
LEAST, MOST = 0.12, 0.35  # shares of all the time that may be kept for training and test


@dataclass
class Clock:
    """The time that a command has; `seconds` None is without end. Moments are monotonic.

    `kept` seconds at the end are for the winner's training and test, and for the report.
    """

    started: float
    seconds: float | None
    kept: float = 0.0

    def keep(self, trial: float) -> None:
        """Keep time for the test, by the seconds that a trial of the default recipe took here."""
        if self.seconds is not None:
            self.kept = min(MOST * self.seconds, max(LEAST * self.seconds, 2 * trial + 8))

    def at(self, share: float) -> float | None:
        """The moment when a share of the time before the test is over."""
        return None if self.seconds is None else self.started + share * (self.seconds - self.kept)

    def left(self, share: float, without: float | None = None) -> float | None:
        """Seconds until then; `without` end, so many."""
        end = self.at(share)
        return without if end is None else max(0.0, end - monotonic())

    def rest(self) -> float | None:
        """Seconds until all is over."""
        return None if self.seconds is None else self.started + self.seconds - monotonic()
