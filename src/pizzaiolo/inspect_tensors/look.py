"""What the `inspect` command does: follow a picture, write its page, tell it as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..predict import Predictor
from .page import check_page, write_html
from .pixel import Pixel, pixel_at, read_place
from .stages import Stage, stages_of
from .way import follow

Row = Sequence[str]


@dataclass(frozen=True)
class Look:
    """What is asked for: a picture, a page where one is wanted, and "X,Y" of a pixel."""

    picture: Path
    html: Path | None = None
    pixel: str | None = None

    def check(self) -> None:
        """Raise `UsageError` for what can't be read or written, before a model is loaded."""
        read_place(self.pixel)
        if self.html is not None:
            check_page(self.html)


@dataclass(frozen=True)
class Looked:
    """What was seen: every stage, and the numbers of one pixel."""

    asked: Look
    stages: list[Stage]
    pixel: Pixel

    header = ("stage", "shape", "type", "low", "high", "mean", "what happened")

    @property
    def rows(self) -> list[Row]:
        """The stages as a table."""
        return [
            (s.name, str(list(s.shape)), s.dtype, *(f"{v:.3g}" for v in (s.low, s.high, s.mean)),
             s.note)
            for s in self.stages
        ]  # fmt: skip

    @property
    def pixel_header(self) -> Row:
        """The head of the table of one pixel."""
        return (f"pixel {self.pixel.x},{self.pixel.y}", "place", "red", "green", "blue")

    @property
    def pixel_rows(self) -> list[Row]:
        """The numbers of one pixel, stage by stage; places are [row, column]."""
        pixel = self.pixel
        rows: list[Row] = []
        if pixel.picture is not None and pixel.decoded is not None:
            x, y = pixel.picture
            rows.append(("decoded", f"[{y}, {x}]", *(str(v) for v in pixel.decoded)))
        at = f"{pixel.y}, {pixel.x}]"
        rows.append(("input", f"[{at}", *(str(v) for v in pixel.input)))
        rows.append(("/ 255", "", *(f"{v:.4f}" for v in pixel.unit)))
        rows.append(("- mean", "", *(f"{v:.4f}" for v in pixel.centred)))
        rows.append(("/ std: tensor", f"[0, :, {at}", *(f"{v:.4f}" for v in pixel.tensor)))
        return rows

    def to_json(self) -> dict[str, Any]:
        """What was seen as JSON-ready values."""
        return {
            "path": str(self.asked.picture),
            "stages": [stage.to_json() for stage in self.stages],
            "pixel": self.pixel.to_json(),
            "page": None if self.asked.html is None else str(self.asked.html),
        }


def look(predictor: Predictor, asked: Look) -> Looked:
    """Follow the picture and write the page that is asked for.

    Raises `ImageError` for a bad picture and `UsageError` for a pixel outside of the input.
    """
    way = follow(predictor, asked.picture)
    pixel = pixel_at(way, read_place(asked.pixel))
    if asked.html is not None:
        write_html(asked.html, way, pixel)
    return Looked(asked, stages_of(way), pixel)
