"""What self-contained pages share that needs no Jinja: the style, scripts, embedded pictures."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

from PIL import Image

TEMPLATES = Path(__file__).parent / "templates"


def base_style() -> str:
    """The style of every page: colours, light and dark, tables, figures."""
    return (TEMPLATES / "base.css").read_text(encoding="utf-8")


def one_script(*files: Path) -> tuple[str, str]:
    """The files one after the other as one strict function, and the source expression that lets
    a page run this script and no other (CSP level 2)."""
    body = "\n".join(file.read_text(encoding="utf-8") for file in files)
    text = f'"use strict";\n(() => {{\n{body}}})();\n'
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return text, f"sha256-{digest}"


def data_address(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a `data:` address; `kind` and `options` are those of Pillow's `save`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
