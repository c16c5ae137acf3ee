"""The report of a search: what is better, what it costs, what to do next; a page and pictures."""

from __future__ import annotations

from .facts import Facts
from .page import write_report

__all__ = ["Facts", "write_report"]
