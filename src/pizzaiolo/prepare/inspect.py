"""One look at every file: can it be read, what is in it; its upright copy is written at once."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import PrepareConfig
from ..core.image import Limits, read_bytes, read_picture
from ..core.preprocess import resize_short_side
from ..errors import ImageError, StorageError
from .candidate import Candidate, readable
from .looks import Looks, copy_path, write_copy
from .quality import Quality, channel_moments, measure

GREY_SIDE = 32  # the small grey picture that hashes and checks look at
DETAIL_SIDE = 256  # short side at which contrast and sharpness are measured
MEASURES = tuple(field.name for field in fields(Quality))
_AS_REASON = {"too_many_pixels": "unreadable", "too_many_bytes": "unreadable"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found. `phash` and `mirror` are 64-bit hashes of the picture and of its mirror
    image, None where unreadable. `size` is upright; `channels` are the copy's moments (see
    `channel_moments`).

    `fresh` tells that the content was looked at now and may be remembered.
    """

    candidate: Candidate
    reason: str | None = None
    detail: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    format: str | None = None
    mode: str | None = None
    size: tuple[int, int] | None = None
    phash: int | None = None
    mirror: int | None = None
    quality: Quality | None = None
    channels: tuple[float, ...] | None = None
    captured: str | None = None
    camera: str | None = None
    copy_sha256: str | None = None
    fresh: bool = False

    def facts(self) -> dict[str, Any]:
        """What depends on the content alone, JSON-ready; `recalled` makes it a finding again."""
        quality = self.quality and {name: getattr(self.quality, name) for name in MEASURES}
        names = ("reason", "detail", "sha256", "bytes", "format", "mode", "size", "phash", "mirror",
                 "channels", "captured", "camera", "copy_sha256")  # fmt: skip
        return {**{n: getattr(self, n) for n in names}, "quality": quality}


def recalled(candidate: Candidate, facts: dict[str, Any]) -> Finding:
    """A finding from what was remembered of the content."""
    quality = Quality(**facts["quality"]) if facts["quality"] else None
    tuples = {name: tuple(facts[name]) if facts[name] else None for name in ("size", "channels")}
    return Finding(candidate, **{**facts, **tuples, "quality": quality})


def inspect_one(candidate: Candidate, staging: Path, config: PrepareConfig) -> Finding:
    """Look at one file. A fault of the file is a finding with a reason; a full disk is raised."""
    if candidate.fault:
        return Finding(candidate, *candidate.fault)
    found = Finding(candidate)
    try:
        data = read_bytes(candidate.file, Limits(config.max_bytes))
        found = replace(found, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        facts = _looks(config, staging).recall(found.sha256 or "")
        return recalled(candidate, facts) if facts else _look(found, data, staging, config)
    except ImageError as error:
        return replace(_failed(found, error), fresh=found.sha256 is not None)
    except StorageError:
        raise
    except Exception as error:  # a decoder's own fault must not stop the other files
        return _failed(found, ImageError(f"{type(error).__name__}: {error}"))


@cache
def _looks(config: PrepareConfig, staging: Path) -> Looks:
    return Looks(config, staging)


def _failed(found: Finding, error: ImageError) -> Finding:
    file, size = found.candidate.file, found.bytes
    # Archives lie in a temporary folder whose name means nothing to a reader.
    detail = readable(error.message.replace(str(file), file.name))
    with suppress(OSError, ValueError):
        size = file.stat().st_size if file.is_file() else size
    return replace(found, reason=_AS_REASON.get(error.code, error.code), detail=detail, bytes=size)


def _look(found: Finding, data: bytes, staging: Path, config: PrepareConfig) -> Finding:
    limits = Limits(config.max_bytes, config.max_pixels, config.min_side)
    image, header = read_picture(data, limits, max(config.size, DETAIL_SIDE))
    copy = _fit(image, config.size)
    written = _encoded(copy, config)
    write_copy(copy_path(staging, found.sha256 or "", config), written)
    grey, quality = look_closely(copy if min(copy.size) >= DETAIL_SIDE else image)
    turned, hashes = header.orientation >= 5, perceptual_hashes(grey)
    return replace(
        found,
        format=header.format,
        mode=header.mode,
        size=(header.height, header.width) if turned else (header.width, header.height),
        phash=hashes[0],
        mirror=hashes[1],
        quality=quality,
        channels=channel_moments(np.asarray(copy.histogram())),
        captured=header.captured,
        camera=header.camera,
        copy_sha256=hashlib.sha256(written).hexdigest(),
        fresh=True,
    )


def judged(finding: Finding, config: PrepareConfig) -> Finding:
    """The finding with what the settings say of it: a flat picture is blank."""
    if finding.reason or finding.quality is None:
        return finding
    spread = 255 * finding.quality.contrast
    if spread >= config.blank_range:
        return finding
    return replace(finding, reason="blank", detail=f"grey values spread by {spread:.1f} of 255")


def look_closely(image: Image.Image) -> tuple[NDArray[np.uint8], Quality]:
    """The small grey picture, uint8 [32, 32], and the quality of an upright RGB picture."""
    detail = image.convert("L")
    scale = DETAIL_SIDE / min(image.size)
    if scale < 1:
        width, height = (max(DETAIL_SIDE, round(side * scale)) for side in image.size)
        detail = detail.resize((width, height), Image.Resampling.BOX)
    small = detail.resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX)
    quality = measure(np.asarray(detail), np.asarray(detail.histogram()))
    return np.asarray(small, np.uint8), quality


def _fit(image: Image.Image, side: int) -> Image.Image:
    """Never enlarged: what a camera didn't see is not made up."""
    return resize_short_side(image, side) if min(image.size) > side else image


def _dct_rows(count: int, side: int) -> NDArray[np.float64]:
    """The first `count` rows of the type-II discrete cosine transform, [count, side]."""
    frequency, place = np.arange(count)[:, None], np.arange(side)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * side))


_DCT = _dct_rows(8, GREY_SIDE)
_MIRRORED = np.where(np.arange(8) % 2, -1.0, 1.0)  # a mirror turns the sign of odd frequencies


def perceptual_hash(grey: NDArray[np.uint8]) -> int:
    """pHash, 64 bits: which of the 8 x 8 lowest DCT terms lie over their median (Zauner 2010)."""
    return perceptual_hashes(grey)[0]


def perceptual_hashes(grey: NDArray[np.uint8]) -> tuple[int, int]:
    """The pHash of a grey picture [32, 32] and that of its mirror image."""
    # einsum, not BLAS, and rounded: the same bits on every machine and in every process, where a
    # term is nothing but rounding as well (a symmetric picture has many)
    half = np.einsum("ij,jk->ik", _DCT, grey.astype(np.float64))
    low = np.einsum("ik,lk->il", half, _DCT).round(6)
    return _hash_of(low), _hash_of(low * _MIRRORED)


def _hash_of(low: NDArray[np.float64]) -> int:
    terms = low.ravel()
    bits = terms > np.sort(terms[1:])[31]  # the median of 63
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _encoded(copy: Image.Image, config: PrepareConfig) -> bytes:
    buffer = io.BytesIO()
    try:
        if config.format == "png":
            copy.save(buffer, "PNG", compress_level=3)
        else:
            copy.save(buffer, "JPEG", quality=config.quality, subsampling=0)
    except (OSError, ValueError) as error:  # JPEG ends at 65,535 pixels a side
        width, height = copy.size
        raise ImageError(f"no copy of {width} x {height} pixels can be made: {error}") from None
    return buffer.getvalue()
