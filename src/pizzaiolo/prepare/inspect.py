"""One look at every file: can it be read, what is in it; its upright copy is written at once."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import PrepareConfig
from ..core.image import Limits, read_bytes, read_header, read_image
from ..core.preprocess import resize_short_side
from ..errors import ImageError, StorageError, explain_os_error
from .collect import Candidate, readable

GREY_SIDE = 32  # the small grey picture that hashes and checks look at
DETAIL_SIDE = 256  # short side at which contrast and sharpness are measured
_AS_REASON = {"too_many_pixels": "unreadable", "too_many_bytes": "unreadable"}


@dataclass(frozen=True)
class Finding:
    """What one look found. `grey` is uint8 [32, 32]; None where unreadable. `size` is upright."""

    candidate: Candidate
    reason: str | None = None
    detail: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    format: str | None = None
    mode: str | None = None
    size: tuple[int, int] | None = None
    phash: int | None = None
    grey: NDArray[np.uint8] | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None


def inspect_one(candidate: Candidate, staging: Path, config: PrepareConfig) -> Finding:
    """Look at one file. A fault of the file is a finding with a reason; a full disk is raised."""
    limits = Limits(config.max_bytes, config.max_pixels, config.min_side)
    try:
        data = read_bytes(candidate.file, limits)
        return _look(candidate, data, limits, staging, config)
    except ImageError as error:
        reason = _AS_REASON.get(error.code, error.code)
        return _failed(candidate, reason, error.message, config.max_bytes)
    except StorageError:
        raise
    except Exception as error:  # a decoder's own fault must not stop the other files
        detail = f"{type(error).__name__}: {error}"
        return _failed(candidate, "unreadable", detail, config.max_bytes)


def _failed(candidate: Candidate, reason: str, detail: str, max_bytes: int) -> Finding:
    # Archives lie in a temporary folder whose name means nothing to a reader.
    detail = readable(detail.replace(str(candidate.file), candidate.file.name))
    try:
        if not candidate.file.is_file():  # opening a pipe would wait for ever
            return Finding(candidate, reason, detail)
        size = candidate.file.stat().st_size
        digest = None
        if size <= max_bytes:
            digest = hashlib.sha256(candidate.file.read_bytes()).hexdigest()
        return Finding(candidate, reason, detail, digest, size)
    except (OSError, ValueError):
        return Finding(candidate, reason, detail)


def _look(
    candidate: Candidate, data: bytes, limits: Limits, staging: Path, config: PrepareConfig
) -> Finding:
    header = read_header(data, limits)
    image = read_image(data, limits, max(config.size, DETAIL_SIDE))
    copy = _fit(image, config.size)
    detail = np.asarray(
        _fit(copy if min(copy.size) >= DETAIL_SIDE else image, DETAIL_SIDE).convert("L"), np.float32
    )
    grey = _small_grey(image)
    sha256 = hashlib.sha256(data).hexdigest()
    contrast = float(detail.std())
    blank = contrast < config.blank_range
    if not blank:
        _write_copy(copy, staging / f"{sha256}.{config.format}", config)
    turned = header.orientation >= 5
    return Finding(
        candidate,
        "blank" if blank else None,
        f"grey values spread by {contrast:.1f} of 255" if blank else None,
        sha256,
        len(data),
        header.format,
        header.mode,
        (header.height, header.width) if turned else (header.width, header.height),
        perceptual_hash(grey),
        grey,
        float(detail.mean()) / 255,
        contrast / 255,
        _sharpness(detail),
    )


def _fit(image: Image.Image, side: int) -> Image.Image:
    """Never enlarged: what a camera didn't see is not made up."""
    return resize_short_side(image, side) if min(image.size) > side else image


def _small_grey(image: Image.Image) -> NDArray[np.uint8]:
    size = (GREY_SIDE, GREY_SIDE)
    small = image.convert("L").resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small, np.uint8)


def _sharpness(grey: NDArray[np.float32]) -> float:
    """The variance of the Laplacian of a grey picture with short side 256 or less."""
    if min(grey.shape) < 3:
        return 0.0
    centre = 4 * grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((centre - around).var())


def _dct_rows(count: int, side: int) -> NDArray[np.float64]:
    """The first `count` rows of the type-II discrete cosine transform, [count, side]."""
    frequency, place = np.arange(count)[:, None], np.arange(side)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * side))


_DCT = _dct_rows(8, GREY_SIDE)


def perceptual_hash(grey: NDArray[np.uint8]) -> int:
    """pHash, 64 bits: which of the 8 x 8 lowest DCT terms lie over their median (Zauner 2010)."""
    # einsum, not BLAS, and rounded: the same bits on every machine and in every process, where a
    # term is nothing but rounding as well (a symmetric picture has many)
    low = np.einsum("ij,jk,lk->il", _DCT, grey.astype(np.float64), _DCT, optimize=False)
    low = low.ravel().round(6)
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _write_copy(copy: Image.Image, path: Path, config: PrepareConfig) -> None:
    buffer = io.BytesIO()
    try:
        if config.format == "png":
            copy.save(buffer, "PNG", compress_level=3)
        else:
            copy.save(buffer, "JPEG", quality=config.quality, subsampling=0)
    except (OSError, ValueError) as error:  # JPEG ends at 65,535 pixels a side
        width, height = copy.size
        raise ImageError(f"no copy of {width} x {height} pixels can be made: {error}") from None
    # An unfinished copy is harmless: the data set counts only once dataset.json is written.
    # Exact duplicates share the name: each process writes its own file and renames it.
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.write_bytes(buffer.getvalue())
        part.replace(path)
    except OSError as error:
        raise explain_os_error(error) from None
