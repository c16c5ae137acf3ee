"""Self-contained HTML pages: one shell, one style, pictures embedded, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from ..errors import ImageError
from .bundle import write_text
from .image import read_image
from .preprocess import resize_short_side
from .shell import TEMPLATES, data_address, one_script

DECISIONS = TEMPLATES / "decisions.js"  # what pages share on which a person decides


def write_page(path: Path, template: Path, values: dict[str, Any]) -> None:
    """Fill a Jinja template that extends `base.html` and write the page, whole or not at all.

    Every value is escaped. Filters: `percent` (0.123 -> 12.3 %), `number` (1234 -> 1,234) and
    `breakable` (a path that may go on in the next line).
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %"
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["breakable"] = _breakable
    write_text(path, environment.get_template(template.name).render(values))


def page_script(*files: Path) -> dict[str, Markup | str]:
    """`script`, the files one after the other as one strict function, and its `script_hash`: the
    source expression that lets a page run this script and no other (CSP level 2)."""
    text, digest = one_script(*files)
    return {"script": Markup(text), "script_hash": digest}


def _breakable(path: str) -> Markup:
    return Markup(escape(path).replace("/", Markup("/<wbr>")).replace("_", Markup("_<wbr>")))


def thumbnail(source: Path | Image.Image, side: int = 160, quality: int = 72) -> str | None:
    """A picture as a small JPEG `data:` address, or None where it can't be read."""
    try:
        image = source if isinstance(source, Image.Image) else read_image(source, short_side=side)
    except ImageError:
        return None
    small = resize_short_side(image, side) if min(image.size) > side else image
    return data_address(small, "JPEG", quality=quality)
