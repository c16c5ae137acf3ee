"""Robustness: how the accuracy falls when pictures get blurred, noisy, squeezed, dark or turned.

The corruptions work on what the model sees, uint8 [N, H, W, 3], and have five severities, as in
Hendrycks and Dietterich 2019. Pillow and NumPy only, and the same seed spoils in the same way.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..console import log, progress
from ..core.labels import Labels
from .intervals import wilson

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
Spoil = Callable[[Pixels, float, np.random.Generator], Pixels]
Run = Callable[[Pixels], tuple[NDArray[np.float32], NDArray[np.float32]]]

BATCH = 8
MOST, FEWEST = 100, 16  # pictures; of fewer the intervals would say nothing
SECONDS = 15.0
SAFETY = 0.85  # of the budget is planned for: later batches may be slower than the first
GREY = 128
REFERENCE = 224  # the side in pixels for which the radii of blur are given


def blur(pixels: Pixels, radius: float, random: np.random.Generator) -> Pixels:
    """One picture [H, W, 3] out of focus: Gaussian, `radius` in pixels of 224."""
    scaled = radius * min(pixels.shape[:2]) / REFERENCE
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(scaled)), np.uint8)


def noise(pixels: Pixels, deviation: float, random: np.random.Generator) -> Pixels:
    """One picture [H, W, 3] with Gaussian noise; `deviation` is a share of the range of bytes."""
    grain = random.standard_normal(pixels.shape, np.float32) * np.float32(255 * deviation)
    spoilt: Pixels = np.rint((pixels + grain).clip(0, 255)).astype(np.uint8)
    return spoilt


def jpeg(pixels: Pixels, quality: float, random: np.random.Generator) -> Pixels:
    """One picture [H, W, 3] squeezed to a JPEG of that quality (1 to 95) and read again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer).convert("RGB"))


def brightness(pixels: Pixels, stops: float, random: np.random.Generator) -> Pixels:
    """One picture [H, W, 3] exposed `stops` too long or too short, by the toss of a coin."""
    factor = 2.0 ** (stops if random.random() < 0.5 else -stops)
    levels: Pixels = (np.arange(256) * factor).clip(0, 255).round().astype(np.uint8)
    brighter: Pixels = levels[pixels]
    return brighter


def rotation(pixels: Pixels, degrees: float, random: np.random.Generator) -> Pixels:
    """One picture [H, W, 3] turned to the left or right; the corners show its reflection."""
    height, width = pixels.shape[:2]
    margin = max(height, width) // 4 + 1  # covers the corners at every angle
    pads = [(min(margin, side - 1),) * 2 for side in (height, width)]
    canvas = Image.fromarray(np.pad(pixels, [*pads, (0, 0)], mode="reflect"))
    angle = degrees if random.random() < 0.5 else -degrees
    turned = np.asarray(canvas.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(GREY,) * 3))
    return turned[pads[0][0] :, pads[1][0] :][:height, :width]


def occlusion(pixels: Pixels, share: float, random: np.random.Generator) -> Pixels:
    """One picture [H, W, 3] with a grey square over a `share` of its area, anywhere within."""
    sides = [max(1, round(side * share**0.5)) for side in pixels.shape[:2]]
    top, left = (
        int(random.integers(0, side - covered + 1))
        for side, covered in zip(pixels.shape[:2], sides, strict=True)
    )
    spoilt = pixels.copy()
    spoilt[top : top + sides[0], left : left + sides[1]] = GREY
    return spoilt


@dataclass(frozen=True)
class Corruption:
    """A way to spoil pictures; `amounts` are the five severities in the units of `unit`."""

    spoil: Spoil
    amounts: tuple[float, ...]
    unit: str


CORRUPTIONS = {
    "blur": Corruption(blur, (1, 2, 3, 5, 8), "radius, pixels"),
    "noise": Corruption(noise, (0.05, 0.1, 0.18, 0.28, 0.4), "deviation, share of the range"),
    "jpeg": Corruption(jpeg, (50, 30, 18, 10, 5), "quality"),
    "brightness": Corruption(brightness, (0.5, 1, 1.5, 2, 2.5), "stops, up or down"),
    "rotation": Corruption(rotation, (10, 20, 35, 60, 90), "degrees, left or right"),
    "occlusion": Corruption(occlusion, (0.1, 0.2, 0.3, 0.45, 0.6), "share of the area"),
}


@dataclass(frozen=True)
class Point:
    """The accuracy at one severity (1 to 5), 0 to 1, with its 95 % interval (Wilson)."""

    severity: int
    amount: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """The curves of one model: severities 1 to 5 of every corruption, and 0 for all (`clean`).

    `n` pictures were taken of `of`, as many as the budget of seconds allowed; it took `seconds`.
    """

    n: int
    of: int
    seconds: float
    clean: Point
    curves: dict[str, tuple[Point, ...]]

    def to_json(self) -> dict[str, Any]:
        """The panel as metrics.json holds it."""
        values = asdict(self)
        return {
            **values,
            "curves": {name: list(points) for name, points in values["curves"].items()},
        }


def robustness(
    run: Run,
    labels: Labels,
    pixels: Pixels,
    truth: Ints,
    *,
    seconds: float = SECONDS,
    seed: int = 0,
) -> Panel | None:
    """The accuracy of `run` (`Predictor.run`) on spoilt pictures uint8 [N, H, W, 3].

    `truth` [N] holds class indices. The pictures are drawn by class, at most 100, and only as many
    as `seconds` allow by the pace of the first batch. None, with a warning, where that is under 16
    of more. Raises `ValueError` for no pictures.
    """
    if not len(pixels):
        raise ValueError("no pictures to spoil")
    started = perf_counter()
    order = spread(truth, min(MOST, len(truth)), seed)
    each = _pace(run, pixels[order[:BATCH]], seed)
    count = affordable(each, seconds - (perf_counter() - started), len(order))
    if not count:
        needed = each * min(FEWEST, len(order)) / SAFETY
        log.warning("no robustness: it takes %.0f s with this model, of %.0f", needed, seconds)
        return None
    chosen = np.sort(order[:count])
    pictures, answers = pixels[chosen], truth[chosen]
    curves: dict[str, tuple[Point, ...]] = {}
    with progress("robustness", 5 * len(CORRUPTIONS)) as advance:
        clean = _point(0, 0.0, _right(run, labels, _batches(pictures), answers))
        for name in CORRUPTIONS:
            points = []
            for severity, amount in enumerate(CORRUPTIONS[name].amounts, start=1):
                spoilt = _spoilt(name, pictures, severity, seed)
                points.append(_point(severity, amount, _right(run, labels, spoilt, answers)))
                advance()
            curves[name] = tuple(points)
    return Panel(len(chosen), len(pixels), round(perf_counter() - started, 2), clean, curves)


def spread(truth: Ints, count: int, seed: int) -> Ints:
    """`count` rows in an order in which every beginning holds the classes as evenly as it can."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(truth))
    turn = np.empty(len(truth), np.int64)  # how many of its class come before
    for place in np.unique(truth):
        own = shuffled[truth[shuffled] == place]
        turn[own] = np.arange(len(own))
    return shuffled[np.argsort(turn[shuffled], kind="stable")][:count]


def affordable(each: float, seconds: float, count: int) -> int:
    """How many of `count` pictures fit into `seconds`, at `each` seconds for all of a picture.

    None at all, where they would be too few to tell anything.
    """
    fits = min(count, max(0, int(SAFETY * seconds / each)) if each > 0 else count)
    return fits if fits >= min(FEWEST, count) else 0


def spoil(name: str, pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Pictures [N, H, W, 3] spoilt by a corruption at severity 1 to 5; the same for a seed."""
    return np.concatenate(list(_spoilt(name, pixels, severity, seed)))


def _spoilt(name: str, pixels: Pixels, severity: int, seed: int) -> Iterator[Pixels]:
    """The spoilt pictures, a batch at a time."""
    kind = CORRUPTIONS[name]
    amount = kind.amounts[severity - 1]
    random = np.random.default_rng([seed, severity, *name.encode()])
    for batch in _batches(pixels):
        yield np.stack([kind.spoil(picture, amount, random) for picture in batch])


def _ahead(batches: Iterable[Pixels]) -> Iterator[Pixels]:
    """The batches, each of which is spoilt while the one before is answered."""
    with ThreadPoolExecutor(1) as pool:
        stream = iter(batches)
        waiting = pool.submit(next, stream, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, stream, None)
            yield batch


def _batches(pixels: Pixels) -> Iterator[Pixels]:
    return (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))


def _pace(run: Run, pixels: Pixels, seed: int) -> float:
    """Seconds for all severities of one picture; a first answer is slow, so it doesn't count."""
    run(pixels)
    started = perf_counter()
    for name in CORRUPTIONS:
        spoil(name, pixels, 3, seed)
    spoiling = perf_counter() - started
    run(pixels)
    answering = perf_counter() - started - spoiling
    passes = sum(len(kind.amounts) for kind in CORRUPTIONS.values())
    return (5 * spoiling + (passes + 1) * answering) / len(pixels)


def _right(run: Run, labels: Labels, batches: Iterable[Pixels], truth: Ints) -> NDArray[np.bool_]:
    said = [row for batch in _ahead(batches) for row in run(batch)[0].tolist()]
    answers = np.array([labels.index(labels.decide(row).label) for row in said], np.int64)
    return np.equal(answers, truth)


def _point(severity: int, amount: float, right: NDArray[np.bool_]) -> Point:
    low, high = wilson(int(right.sum()), len(right))
    return Point(severity, amount, float(right.mean()), low, high)
