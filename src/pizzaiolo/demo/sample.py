"""The demo's folder of pictures: two classes, and faults planted on purpose."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ..core.bundle import write_bytes
from .others import KINDS, other
from .pizzas import pizza
from .scene import light, table

SUPERSAMPLE = 1.3


@dataclass(frozen=True)
class PlantedFaults:
    """What was planted, as paths relative to the folder."""

    exact_copies: tuple[str, ...]
    near_copies: tuple[str, ...]
    unreadable: tuple[str, ...]
    not_images: tuple[str, ...]
    blank: tuple[str, ...]
    wrong_labels: tuple[str, ...]
    conflicts: tuple[str, ...]


def render_sample(kind: str, seed: int, size: int = 320) -> Image.Image:
    """One picture, RGB `size` x `size`: "pizza", or one of the other things by name."""
    random = np.random.default_rng([seed, *kind.encode()])
    canvas = table(random, round(size * SUPERSAMPLE))
    if kind == "pizza":
        pizza(canvas, random)
    else:
        other(canvas, random, kind)
    pixels = (light(canvas, random) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS)
    if random.random() < 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.8, 2)))
    return picture


def write_sample_folder(
    folder: Path,
    per_class: int = 150,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PlantedFaults:
    """Render `per_class` pictures into folder/pizza and folder/not_pizza, then plant faults.

    The same seed writes the same bytes. `progress` is called with pictures done and in all.
    """
    others = sorted(KINDS)
    for i in range(per_class):
        for place, (label, kind) in enumerate(
            (("pizza", "pizza"), ("not_pizza", others[i % len(others)]))
        ):
            data = _photo(kind, seed * 100_003 + i)
            write_bytes(folder / label / f"{label}_{i:04}.jpg", data)
            progress(2 * i + place + 1, 2 * per_class)
    return _plant(folder, seed, per_class)


def _photo(kind: str, seed: int) -> bytes:
    """A rendered picture as a JPEG of varied size, shape and quality."""
    random = np.random.default_rng([seed, 7])
    side = int(random.integers(300, 400))
    picture = render_sample(kind, seed, side)
    cut = int(random.integers(0, side // 6))
    box = (0, 0, side, side - cut) if random.random() < 0.5 else (0, 0, side - cut, side)
    return _jpeg(picture.crop(box), int(random.integers(80, 96)))


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _plant(folder: Path, seed: int, per_class: int) -> PlantedFaults:
    names = [f"{label}/{label}_{i:04}.jpg" for i in range(9) for label in ("pizza", "not_pizza")]
    exact = _copies(folder, names[:4])
    near = _near_copies(folder, names[4:8])
    truncated = "pizza/half_sent.jpg"
    write_bytes(folder / truncated, (folder / names[8]).read_bytes()[:4000])
    write_bytes(folder / "not_pizza/recipe.jpg", b"Flour, water, salt, yeast and patience.\n")
    write_bytes(folder / "pizza/lens_cap.jpg", _jpeg(Image.new("RGB", (320, 320), (9, 8, 8)), 90))
    wrong = ("not_pizza/misfiled_1.jpg", "not_pizza/misfiled_2.jpg")
    for k, name in enumerate(wrong):
        write_bytes(folder / name, _photo("pizza", seed * 100_003 + per_class + k))
    both = ("pizza/argued.jpg", "not_pizza/argued.jpg")
    for name in both:
        write_bytes(folder / name, _photo("naan", seed * 100_003 + per_class + 9))
    return PlantedFaults(
        exact, near, (truncated,), ("not_pizza/recipe.jpg",), ("pizza/lens_cap.jpg",), wrong, both
    )


def _copies(folder: Path, names: list[str]) -> tuple[str, ...]:
    copies = [name.replace(".jpg", "_copy.jpg") for name in names]
    for name, copy in zip(names, copies, strict=True):
        write_bytes(folder / copy, (folder / name).read_bytes())
    return tuple(copies)


def _near_copies(folder: Path, names: list[str]) -> tuple[str, ...]:
    """The same pictures smaller, brighter and compressed again."""
    copies = [name.replace(".jpg", "_small.jpg") for name in names]
    for name, copy in zip(names, copies, strict=True):
        with Image.open(folder / name) as picture:
            small = picture.resize((picture.width * 2 // 3, picture.height * 2 // 3))
        write_bytes(folder / copy, _jpeg(ImageEnhance.Brightness(small).enhance(1.15), 70))
    return tuple(copies)
