"""A picture as a file's bytes, for tests."""

import io
from typing import Any

from PIL import Image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
