"""Small pictures of the page, within a budget of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...core.page import thumbnail

SIDE, QUALITY = 176, 70  # pixels, JPEG
BUDGET = 2_500_000  # bytes of the page that pictures may take


@dataclass(frozen=True)
class Card:
    """A picture with its path and what is said of it; `picture` is None where it can't be shown."""

    path: str
    said: str
    picture: str | None = None


class Gallery:
    """Reads pictures until the budget is used up."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget

    def cards(self, items: Iterable[tuple[str, Path | None, str]], most: int) -> list[Card]:
        """Cards of path, file and words, at most so many."""
        return [
            Card(path, said, self._picture(file))
            for (path, file, said), _ in zip(items, range(most), strict=False)
        ]

    def _picture(self, file: Path | None) -> str | None:
        address = None if file is None else thumbnail(file, SIDE, QUALITY)
        if address is None or len(address) > self.left:
            return None
        self.left -= len(address)
        return address
