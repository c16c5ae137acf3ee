"""The one image path, second half: an upright RGB picture becomes uint8 [H, W, 3].

The transform is data (`Preprocess`), stored in the card of every model file. Pillow and NumPy
only; the normalisation is inside the exported graph and stands here for those who want to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import from_dict, to_dict
from ..errors import ModelFileError, UsageError
from ..settings import Config, option
from .image import Limits, read_image

MODES = ("crop", "pad", "squash")
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
PAD_COLOUR = (128, 128, 128)
# A crop shows at most the middle of a long picture: more of it would only cost memory (a line of
# 1 x 20,000 pixels would become 256 x 5,000,000).
MAX_ASPECT = 8
MAX_SIDE = 8192  # of what a model sees, pixels


@dataclass(frozen=True)
class Preprocess(Config):
    """Everything between an upright RGB picture and the numbers that the model sees.

    `mode` says how a picture becomes square: `crop` resizes the short side to `short_side` and
    takes the centre `size` x `size`; `pad` fits the long side and fills with grey; `squash`
    ignores the aspect. Sides are pixels; `mean` and `std` are per channel, of values in 0..1.
    """

    size: int = option(224, low=1, high=MAX_SIDE)
    short_side: int = option(256, low=1, high=MAX_SIDE)
    mode: str = option("crop", choices=MODES)
    filter: str = option("bicubic", choices=tuple(FILTERS))
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size > self.short_side:
            raise UsageError(
                f"preprocessing size is {self.size} of short side {self.short_side}, "
                "expected size <= short side"
            )
        if not len(self.mean) == len(self.std) == 3 or min(self.std) <= 0:
            raise UsageError(
                f"normalisation is mean {self.mean} and std {self.std}, "
                "expected three numbers each, and std over 0"
            )

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """An upright RGB picture as uint8 [size, size, 3]."""
        return np.asarray(self.square(image), dtype=np.uint8)

    def square(self, image: Image.Image) -> Image.Image:
        """The picture resized with anti-aliasing and made `size` x `size`, still a picture."""
        resized = self.resized(image)
        if self.mode == "squash":
            return resized
        if self.mode == "pad":
            canvas = Image.new("RGB", (self.size, self.size), PAD_COLOUR)
            free = (self.size - resized.width, self.size - resized.height)
            canvas.paste(resized, (free[0] // 2, free[1] // 2))
            return canvas
        left, top = (resized.width - self.size) // 2, (resized.height - self.size) // 2
        return resized.crop((left, top, left + self.size, top + self.size))

    def resized(self, image: Image.Image) -> Image.Image:
        """The picture resized with anti-aliasing, before it is cropped or padded."""
        if self.mode == "crop":
            return resize_short_side(_middle(image), self.short_side, self.filter)
        scale = self.size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        size = (self.size, self.size) if self.mode == "squash" else (width, height)
        return _resize(image, size, self.filter)

    def load(self, source: Path | str | bytes, limits: Limits = Limits()) -> NDArray[np.uint8]:
        """A path or bytes as uint8 [size, size, 3]: the whole image path in one call.

        Raises `ImageError` for what can't be read.
        """
        return self(read_image(source, limits, self.short_side))

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [N, H, W, 3] as float32 [N, 3, H, W], (x / 255 - mean) / std."""
        unit = pixels.astype(np.float32) / np.float32(255)
        scaled = (unit - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def to_dict(self) -> dict[str, Any]:
        """The transform as JSON-ready values."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """The transform from the card's values."""
        try:
            return from_dict(cls, values)
        except (TypeError, UsageError) as error:
            raise ModelFileError(f"the preprocessing in the card is damaged: {error}") from None


def _middle(image: Image.Image) -> Image.Image:
    """The middle of a very long picture, about `MAX_ASPECT` times as long as wide."""
    most = MAX_ASPECT * min(image.size)
    # A whole number of pixels goes on either side, so the centre stays where it is.
    x, y = (max(0, side - most) // 2 for side in image.size)
    return image.crop((x, y, image.width - x, image.height - y)) if x or y else image


def resize_short_side(image: Image.Image, side: int, filter: str = "bicubic") -> Image.Image:
    """The picture with its short side at `side` pixels, aspect kept, anti-aliased."""
    scale = side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    return _resize(image, (width, height), filter)


def _resize(image: Image.Image, size: tuple[int, int], filter: str) -> Image.Image:
    if image.size == size:
        return image
    # Pillow widens the filter when it shrinks (anti-aliasing); torch tensors by default do not.
    return image.resize(size, FILTERS[filter])
