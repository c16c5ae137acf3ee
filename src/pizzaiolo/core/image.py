"""The one image path, first half: bytes or a path become an upright RGB picture.

header check -> decode -> EXIF upright -> mode table -> sRGB. Pillow and NumPy only. Training's
evaluation, predict, serve, export parity and the demo all come through `read_image`.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from ..errors import ImageError

# A JPEG file with several pictures (MPO, as cameras write it) is opened by the JPEG reader.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# Pillow opens MPO by its JPEG reader and raises KeyError for the name itself.
_OPENERS = tuple(name for name in FORMATS if name != "MPO")
_SUFFIXES = ".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .bmp .dib .tif .tiff .avif"
SUFFIXES = frozenset(_SUFFIXES.split(" "))

# Our own pixel limit is checked on the header, below; Pillow's would only repeat it on stderr.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError,
           struct.error, OverflowError, MemoryError, NotImplementedError)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded: file bytes, pixels, and short sides in pixels."""

    max_bytes: int = 100_000_000
    max_pixels: int = 100_000_000
    min_side: int = 1


@dataclass(frozen=True)
class Header:
    """What a file says of itself before anything is decoded (sides in pixels, as stored)."""

    format: str
    width: int
    height: int
    mode: str
    orientation: int


def read_bytes(source: Path | str | bytes, limits: Limits = Limits()) -> bytes:
    """The file's bytes, or an `ImageError` that says why there are none."""
    if isinstance(source, bytes):
        data = source
    else:
        path = Path(source)
        try:
            if not path.is_file():
                what = (
                    "a folder" if path.is_dir() else "missing" if not path.exists() else "no file"
                )
                raise ImageError(f"{path} is {what}, expected a picture", code="unreadable")
            size = path.stat().st_size
            if size > limits.max_bytes:
                raise _too_many_bytes(size, limits)
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"can't read {path}: {error.strerror or error}") from None
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(len(data), limits)
    if not data:
        raise ImageError("the file is empty", code="unreadable")
    return data


def _too_many_bytes(size: int, limits: Limits) -> ImageError:
    message = f"the file has {size:,} bytes, the limit is {limits.max_bytes:,}"
    return ImageError(message, code="too_many_bytes")


def read_image(
    source: Path | str | bytes, limits: Limits = Limits(), short_side: int | None = None
) -> Image.Image:
    """An upright RGB picture from a path or from bytes.

    `short_side` (pixels) lets a JPEG be decoded at a half, quarter or eighth of its size where
    the result is still at least twice that large, so the anti-aliased resize that follows has
    all it needs. Raises `ImageError` with code `unreadable`, `not_an_image`, `too_small`,
    `too_many_pixels` or `too_many_bytes`.
    """
    with _opened(read_bytes(source, limits), limits) as (image, _):
        if short_side:
            _draft(image, 2 * short_side)
        try:
            image.load()
            return to_rgb(upright(image))
        except _DAMAGE as error:
            raise ImageError(f"the picture is damaged: {error}", code="unreadable") from None


def read_header(source: Path | str | bytes, limits: Limits = Limits()) -> Header:
    """Format, sides, mode and EXIF orientation, without decoding the pixels."""
    with _opened(read_bytes(source, limits), limits) as (_, header):
        return header


@contextmanager
def _opened(data: bytes, limits: Limits) -> Iterator[tuple[Image.Image, Header]]:
    try:
        image = Image.open(io.BytesIO(data), formats=_OPENERS)
    except UnidentifiedImageError:
        raise ImageError("the file holds no picture", code="not_an_image") from None
    except Image.DecompressionBombError:
        message = f"the picture has more than {limits.max_pixels:,} pixels"
        raise ImageError(message, code="too_many_pixels") from None
    except _DAMAGE as error:
        raise ImageError(f"the header is damaged: {error}", code="unreadable") from None
    with image:
        header = _header(image)
        _check_sides(header, limits)
        yield image, header


def _header(image: Image.Image) -> Header:
    width, height = image.size
    return Header(image.format or "?", width, height, image.mode, _orientation(image))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _check_sides(header: Header, limits: Limits) -> None:
    width, height = header.width, header.height
    if width * height > limits.max_pixels:
        message = f"the picture has {width} x {height} pixels, the limit is {limits.max_pixels:,}"
        raise ImageError(message, code="too_many_pixels")
    if min(width, height) < limits.min_side:
        message = f"the picture has {width} x {height} pixels, a side under {limits.min_side}"
        raise ImageError(message, code="too_small")


def _draft(image: Image.Image, short_side: int) -> None:
    scale = short_side / min(image.size)
    if image.format in ("JPEG", "MPO") and scale < 1:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says (tag 0x0112, values 1 to 8)."""
    turn = _TURNS.get(_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as RGB in sRGB; what is transparent lies on white."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return _from_deep(image)
    if image.has_transparency_data:
        return _on_white(image)
    if image.info.get("icc_profile") and image.mode in ("RGB", "CMYK", "L"):
        managed = _to_srgb(image)
        if managed is not None:
            return managed
    if image.mode == "P":
        image = image.convert(image.palette.mode if image.palette else "RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit and float greys as 8 bit: the full range 0..65535 (or 0..1) becomes 0..255."""
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        values = values * 255 if top <= 1 else values
    elif image.mode.startswith("I;16") or top > 255:
        values = values / 257
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


_SRGB = ImageCms.createProfile("sRGB")


def _to_srgb(image: Image.Image) -> Image.Image | None:
    """The picture through its ICC profile, or None where the profile is broken or of no use."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if image.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(profile).lower():
            return image
        return ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, *_DAMAGE):
        return None
