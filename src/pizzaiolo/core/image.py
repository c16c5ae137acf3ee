"""The one image path, first half: bytes or a path become an upright RGB picture.

header check -> decode -> EXIF upright -> mode table -> sRGB. Pillow and NumPy only. Training's
evaluation, predict, serve, export parity and the demo all come through `read_image`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import ImageError
from .shards import find_place, read_place

# Pillow's JPEG reader opens MPO too: a JPEG with more pictures behind it, as phones write it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SUFFIXES = ".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .bmp .dib .tif .tiff .avif .heic .heif"
SUFFIXES = frozenset(_SUFFIXES.split(" "))

# Pillow warns of odd metadata and of many pixels, without the file's name. What matters is an
# `ImageError` here, and our own pixel limit is checked on the header, below.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded: file bytes, pixels, and short sides in pixels."""

    max_bytes: int = 100_000_000
    max_pixels: int = 100_000_000
    min_side: int = 1


@dataclass(frozen=True)
class Header:
    """What a file says of itself before anything is decoded.

    Sides are pixels before the turn that `orientation` (EXIF, 1 to 8) asks for. `captured` is
    when the camera's clock says it was taken (ISO 8601) and `camera` is its make and model.
    """

    format: str
    width: int
    height: int
    mode: str
    orientation: int
    captured: str | None = None
    camera: str | None = None


def read_bytes(source: Path | str | bytes, limits: Limits = Limits()) -> bytes:
    """The file's bytes, or an `ImageError` that says why there are none."""
    data = source if isinstance(source, bytes) else _read_path(Path(source), limits)
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(len(data), limits)
    if not data:
        raise ImageError("the file is empty", code="unreadable")
    return data


def _read_path(path: Path, limits: Limits) -> bytes:
    try:
        if path.is_file():
            size = path.stat().st_size
            if size > limits.max_bytes:
                raise _too_many_bytes(size, limits)
            return path.read_bytes()
        place = find_place(path)
        if place is None:
            what = "a folder" if path.is_dir() else "missing" if not path.exists() else "no file"
            raise ImageError(f"{path} is {what}, expected a picture", code="unreadable")
    except OSError as error:
        raise ImageError(f"can't read {path}: {error.strerror or error}") from None
    if place.size > limits.max_bytes:
        raise _too_many_bytes(place.size, limits)
    return read_place(place)


def _too_many_bytes(size: int, limits: Limits) -> ImageError:
    message = f"the file has {size:,} bytes, the limit is {limits.max_bytes:,}"
    return ImageError(message, code="too_many_bytes")


def read_image(
    source: Path | str | bytes, limits: Limits = Limits(), short_side: int | None = None
) -> Image.Image:
    """An upright RGB picture from a path or from bytes.

    `short_side` (pixels) lets a JPEG be decoded at a half, quarter or eighth of its size where
    the result is still at least that large. The decoder leaves out the high frequencies of each
    block, which is an anti-aliased resize of its own; accuracy is the same (docs/concepts).
    Raises `ImageError` with code `unreadable`, `not_an_image`, `too_small`, `too_many_pixels` or
    `too_many_bytes`.
    """
    return read_picture(source, limits, short_side)[0]


def read_picture(
    source: Path | str | bytes, limits: Limits = Limits(), short_side: int | None = None
) -> tuple[Image.Image, Header]:
    """The picture as `read_image` gives it, and what its file says of itself."""
    with _opened(read_bytes(source, limits), limits) as (image, header):
        if short_side:
            _draft(image, short_side)
        try:
            image.load()
            return to_rgb(upright(image, header.orientation)), header
        except Exception as error:  # decoders raise many kinds
            raise ImageError(f"the picture is damaged: {error}", code="unreadable") from None


def read_header(source: Path | str | bytes, limits: Limits = Limits()) -> Header:
    """Format, sides, mode and EXIF orientation, without decoding the pixels."""
    with _opened(read_bytes(source, limits), limits) as (_, header):
        return header


_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis")  # ISO/IEC 23008-12, annex B


def _readers(data: bytes) -> tuple[str, ...]:
    """The names of Pillow's readers that may open the file: HEIC has one of its own, an extra."""
    if data[4:8] != b"ftyp" or not any(brand in data[8:64] for brand in _HEIC_BRANDS):
        return FORMATS
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        message = "HEIC, as iPhones write it, needs one more package: pip install 'pizzaiolo[heic]'"
        raise ImageError(message, code="not_an_image") from None
    register_heif_opener()
    return ("HEIF",)


@contextmanager
def _opened(data: bytes, limits: Limits) -> Iterator[tuple[Image.Image, Header]]:
    readers = _readers(data)
    try:
        image = Image.open(io.BytesIO(data), formats=readers)
    except UnidentifiedImageError:
        message = f"the file holds no picture of a known kind ({', '.join(FORMATS)})"
        raise ImageError(message, code="not_an_image") from None
    except Image.DecompressionBombError as error:  # over twice Image.MAX_IMAGE_PIXELS
        raise ImageError(str(error), code="too_many_pixels") from None
    except Exception as error:
        raise ImageError(f"the header is damaged: {error}", code="unreadable") from None
    with image:
        header = _header(image)
        check_sides(header.width, header.height, limits)
        yield image, header


def _header(image: Image.Image) -> Header:
    width, height = image.size
    captured, camera = _shot(image)
    return Header(
        image.format or "?", width, height, image.mode, _orientation(image), captured, camera
    )


def _shot(image: Image.Image) -> tuple[str | None, str | None]:
    """When and with what a photo was taken, by EXIF; nothing where that is absent or odd."""
    try:
        exif = image.getexif()
        if not exif:
            return None, None
        names = [str(exif.get(tag) or "").strip(" \0") for tag in (0x010F, 0x0110)]
        taken = _taken(exif)
    except Exception:
        return None, None
    camera = " ".join(name for name in names if name)
    return _iso_time(taken), camera if camera and camera.isprintable() else None


def _taken(exif: Image.Exif) -> str:
    """The text of DateTimeOriginal. Of all that a camera writes beside it nothing is decoded,
    as `Exif.get_ifd` would: that takes a fifth of a small photo's own decoding."""
    place, file = exif.get(0x8769), getattr(exif, "fp", None)
    if not isinstance(place, int) or file is None:  # TIFF has no block of EXIF
        return str(exif.get_ifd(0x8769).get(0x9003) or "").strip(" \0") if place else ""
    details = ImageFileDirectory_v2(exif.head)
    file.seek(place)
    details.load(file)
    return str(details.get(0x9003) or "").strip(" \0")


def _iso_time(taken: str) -> str | None:
    day, _, clock = taken.partition(" ")
    try:
        if len(day) == 10 and len(clock) == 8:  # as it should be; ten times as fast
            return datetime.fromisoformat(f"{day.replace(':', '-')}T{clock}").isoformat()
        return datetime.strptime(taken, "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow gives its sides upright and turns it while it decodes
        return 1
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def check_sides(width: int, height: int, limits: Limits) -> None:
    """Raise `ImageError` for more pixels, or a shorter side, than the limits allow."""
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


def upright(image: Image.Image, orientation: int | None = None) -> Image.Image:
    """The picture turned as its EXIF orientation says (tag 0x0112, values 1 to 8)."""
    turn = _TURNS.get(_orientation(image) if orientation is None else orientation)
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as RGB in sRGB; what is transparent lies on white."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        return _from_deep(image)
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        image = _on_white(image)
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    managed = (_to_srgb(image, profile) if profile else None) or image
    return managed if managed.mode == "RGB" else managed.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit and float greys as 8 bit: the full range 0..65535 (or 0..1) becomes 0..255."""
    values = np.asarray(image, dtype=np.float64)
    top = float(values.max(initial=0.0, where=np.isfinite(values)))
    if image.mode == "F" and top <= 1:
        values = values * 255
    elif image.mode.startswith("I;16") or top > 255:
        values = values / 257
    grey = np.rint(np.nan_to_num(values.clip(0, 255))).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


_SRGB = ImageCms.createProfile("sRGB")


def _to_srgb(image: Image.Image, icc: bytes) -> Image.Image | None:
    """The picture through its ICC profile, or None where the profile is broken or of no use."""
    try:
        transform = _transform(icc, image.mode)
        return image if transform is None else ImageCms.applyTransform(image, transform)
    except Exception:
        return None


@lru_cache(maxsize=16)  # one takes ten times as long to make as a small photo to decode
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None for RGB that is sRGB already."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(profile).lower():
        return None
    return ImageCms.buildTransform(profile, _SRGB, mode, "RGB")
