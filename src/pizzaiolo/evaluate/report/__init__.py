"""The test report: how good, how sure, where wrong, what next; as a page, Markdown and a card."""

from __future__ import annotations

from .collect import basic_facts
from .facts import (
    Against,
    Calibration,
    Decision,
    Facts,
    Leak,
    Neighbour,
    Novelty,
    Shown,
)
from .markdown import write_markdown
from .model_card import write_card
from .page import write_html

__all__ = [
    "Against", "Calibration", "Decision", "Facts", "Leak", "Neighbour", "Novelty", "Shown",
    "basic_facts", "write_card", "write_html", "write_markdown",
]  # fmt: skip
