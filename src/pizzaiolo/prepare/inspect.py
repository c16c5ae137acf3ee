"""One look at every file: can it be read, what is in it; its upright copy is written at once."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..config import PrepareConfig
from ..core.image import Limits, read_bytes, read_header, read_image
from ..core.preprocess import resize_short_side
from ..errors import ImageError, StorageError, explain_os_error
from .collect import Candidate

GREY_SIDE = 32  # the small grey picture that hashes and checks look at
_AS_REASON = {"too_many_pixels": "unreadable", "too_many_bytes": "unreadable"}


@dataclass(frozen=True)
class Finding:
    """What one look found. `grey` is float32 [32, 32], 0 to 255; None where unreadable."""

    candidate: Candidate
    reason: str | None = None
    detail: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    format: str | None = None
    mode: str | None = None
    size: tuple[int, int] | None = None
    phash: int | None = None
    grey: NDArray[np.float32] | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None


def inspect_all(
    candidates: Sequence[Candidate], staging: Path, config: PrepareConfig
) -> Iterator[Finding]:
    """Look at every file, in processes, in order; copies go to `staging`/<sha256>.<format>."""
    staging.mkdir(parents=True, exist_ok=True)
    workers = min(config.workers or os.cpu_count() or 1, max(1, len(candidates) // 16))
    if workers == 1:
        for candidate in candidates:
            yield inspect_one(candidate, staging, config)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        tasks = ((c, staging, config) for c in candidates)
        yield from pool.map(_inspect_task, tasks, chunksize=16)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _inspect_task(task: tuple[Candidate, Path, PrepareConfig]) -> Finding:
    return inspect_one(*task)


def inspect_one(candidate: Candidate, staging: Path, config: PrepareConfig) -> Finding:
    """Look at one file. A fault of the file is a finding with a reason; a full disk is raised."""
    limits = Limits(config.max_bytes, config.max_pixels, config.min_side)
    try:
        data = read_bytes(candidate.file, limits)
        return _look(candidate, data, limits, staging, config)
    except ImageError as error:
        reason = _AS_REASON.get(error.code, error.code)
        return Finding(candidate, reason, error.message, *_identity(candidate.file))
    except StorageError:
        raise
    except Exception as error:  # a decoder's own fault must not stop the other files
        detail = f"{type(error).__name__}: {error}"
        return Finding(candidate, "unreadable", detail, *_identity(candidate.file))


def _identity(file: Path) -> tuple[str | None, int | None]:
    try:
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        return digest.hexdigest(), file.stat().st_size
    except OSError:
        return None, None


def _look(
    candidate: Candidate, data: bytes, limits: Limits, staging: Path, config: PrepareConfig
) -> Finding:
    header = read_header(data, limits)
    image = read_image(data, limits, config.size)
    grey = _small_grey(image)
    sha256 = hashlib.sha256(data).hexdigest()
    turned = header.orientation >= 5
    width, height = (header.height, header.width) if turned else (header.width, header.height)
    detail_grey = np.asarray(_fit(image, 256).convert("L"), np.float32)
    contrast = float(detail_grey.std())
    blank = contrast < config.blank_range
    if not blank:
        _write_copy(image, staging / f"{sha256}.{config.format}", config)
    return Finding(
        candidate,
        "blank" if blank else None,
        f"grey values spread by {contrast:.1f} of 255" if blank else None,
        sha256,
        len(data),
        header.format,
        header.mode,
        (width, height),
        perceptual_hash(grey),
        grey,
        float(detail_grey.mean()) / 255,
        contrast / 255,
        _sharpness(detail_grey),
    )


def _fit(image: Image.Image, side: int) -> Image.Image:
    return resize_short_side(image, side) if min(image.size) > side else image


def _small_grey(image: Image.Image) -> NDArray[np.float32]:
    size = (GREY_SIDE, GREY_SIDE)
    small = image.convert("L").resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small, np.float32)


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


def perceptual_hash(grey: NDArray[np.float32]) -> int:
    """pHash, 64 bits: which of the 8 x 8 lowest DCT terms lie over their median (Zauner 2010)."""
    low = (_DCT @ grey.astype(np.float64) @ _DCT.T).ravel()
    bits = low > np.median(low[1:])
    return int("".join("1" if b else "0" for b in bits), 2)


def _write_copy(image: Image.Image, path: Path, config: PrepareConfig) -> None:
    # An unfinished copy is harmless: the data set counts only once dataset.json is written.
    small = _fit(image, config.size)
    try:
        if config.format == "png":
            small.save(path, "PNG", compress_level=3)
        else:
            small.save(path, "JPEG", quality=config.quality, subsampling=0)
    except OSError as error:
        raise explain_os_error(error) from None
