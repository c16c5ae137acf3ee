"""What a picture may be given as: a path, a file's bytes, a Pillow picture or a NumPy array."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.image import Limits, check_sides, to_rgb, upright
from ..core.preprocess import Preprocess
from ..errors import ImageError
from .sources import expand, in_store

Pixels = NDArray[np.uint8]
Source = os.PathLike[str] | str | bytes | bytearray | Image.Image | Pixels


@dataclass(frozen=True)
class Given:
    """A picture on its way: its `file` (path or bytes), then `pixels` [H, W, 3] or an `error`."""

    path: str | None = None
    file: Path | str | bytes | None = None
    pixels: Pixels | None = None
    error: dict[str, str] | None = None

    def read(self, preprocess: Preprocess, limits: Limits) -> Given:
        """The picture with its pixels, or with what is wrong with its file."""
        if self.file is None:
            return self
        try:
            return replace(
                self, file=None, pixels=preprocess.load(_file(self.file, limits), limits)
            )
        except ImageError as error:
            return replace(self, file=None, error=_said(error))


def _file(file: Path | str | bytes, limits: Limits) -> Path | str | bytes:
    """A file as it is, or the bytes of one in a store."""
    if not isinstance(file, str) or not in_store(file):
        return file
    from ..core.stores import read

    return read(file, limits.max_bytes)


def take(source: object, preprocess: Preprocess, limits: Limits) -> Given:
    """A source as it is now: a picture or an array may be closed or overwritten afterwards."""
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return Given(path, path)
    if isinstance(source, bytes | bytearray | memoryview):
        return Given(file=bytes(source))
    try:
        return Given(pixels=preprocess(_picture(source, limits)))
    except ImageError as error:
        return Given(error=_said(error))


def each(sources: Iterable[Source | None] | Source) -> Iterable[Source | None]:
    """The sources one after the other; a path stands for what is behind it, folder or glob."""
    if isinstance(sources, str | os.PathLike):
        return expand([os.fsdecode(sources)])
    if isinstance(sources, bytes | bytearray | Image.Image):
        return [sources]
    if isinstance(sources, np.ndarray) and sources.ndim < 4:
        return [sources]
    return sources


def _picture(source: object, limits: Limits) -> Image.Image:
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if not isinstance(source, Image.Image):
        raise ImageError(
            f"the picture is of type {type(source).__name__}, expected a path, bytes, "
            "a Pillow picture or a NumPy array",
            code="not_an_image",
        )
    check_sides(*source.size, limits)
    try:
        source.load()
        return to_rgb(upright(source))
    except Exception as error:  # decoders raise many kinds
        raise ImageError(f"the picture is damaged: {error}", code="unreadable") from None


def _from_array(array: NDArray[np.generic]) -> Image.Image:
    colour = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (colour or array.ndim == 2) or not array.size:
        raise ImageError(
            f"the array is {array.dtype} {list(array.shape)}, "
            "expected uint8 [height, width, 3] (RGB) or [height, width] (grey)",
            code="not_an_image",
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _said(error: ImageError) -> dict[str, str]:
    return {"code": error.code, "message": error.message}
