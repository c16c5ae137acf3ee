"""What a picture becomes on its way to an answer: every tensor, as a table or as a page."""

from .look import Look, Looked, look
from .maps import MAX_STAGES
from .page import write_html
from .pixel import Pixel, pixel_at
from .stages import Stage, inspect, stages_of
from .way import Way, follow

__all__ = [
    "MAX_STAGES", "Look", "Looked", "Pixel", "Stage", "Way", "follow", "inspect", "look",
    "pixel_at", "stages_of", "write_html",
]  # fmt: skip
