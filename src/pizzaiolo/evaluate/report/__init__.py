"""The test report: how good, how sure, where wrong, what next; as a page, Markdown and a card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...config import EvaluateConfig
from ...core.card import Card
from ...core.predictions import Predictions
from .collect import basic_facts
from .facts import (
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
    "Calibration", "Decision", "Facts", "Leak", "Neighbour", "Novelty", "Shown", "basic_facts",
    "write_card", "write_html", "write_markdown", "write_report",
]  # fmt: skip


def write_report(
    path: Path, predictions: Predictions, result: dict[str, Any], card: Card, config: EvaluateConfig
) -> None:
    """Write report.html from the answers alone."""
    write_html(path, basic_facts(predictions, result, card, config.max_mistakes))
