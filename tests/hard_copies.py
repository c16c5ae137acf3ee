"""Pictures full of detail, and copies of them as they are found in people's folders."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from pizzaiolo.prepare.inspect import GREY_SIDE, perceptual_hash
from pizzaiolo.prepare.likeness import SIDE, Greys, shrunk

Change = Callable[[Image.Image, random.Random], Image.Image]


def texture(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Spots, bars and clouds of all sizes; another seed gives another picture."""
    noise, image = np.random.default_rng(seed), Image.new("RGB", size)
    for cells, share in ((4, 1.0), (9, 0.6), (20, 0.5), (45, 0.35)):
        colours = Image.fromarray(noise.integers(0, 256, (cells, cells, 3), np.uint8))
        image = Image.blend(image, colours.resize(size, Image.Resampling.BICUBIC), share)
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = noise.integers(0, size[0]), noise.integers(0, size[1])
        w, h = noise.integers(6, 50, 2)
        colour = tuple(noise.integers(0, 256, 3).tolist())
        shape = draw.ellipse if noise.random() < 0.5 else draw.rectangle
        shape((x - w, y - h, x + w, y + h), outline=colour, width=3)
    return image


def saved_again(image: Image.Image, chance: random.Random) -> Image.Image:
    """Made smaller, and compressed as JPEG."""
    scale = chance.uniform(0.6, 1)
    size = (round(image.width * scale), round(image.height * scale))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=chance.randint(50, 90)
    )
    return Image.open(buffer)


def _crop(keep: float, places: tuple[float, ...]) -> Change:
    def change(image: Image.Image, chance: random.Random) -> Image.Image:
        w, h = image.size
        x, y = (chance.choice(places) * (1 - keep) * side for side in (w, h))
        return image.crop((round(x), round(y), round(x + keep * w), round(y + keep * h)))

    return change


def _frame(image: Image.Image, chance: random.Random) -> Image.Image:
    width = round(chance.uniform(0.05, 0.1) * min(image.size))
    return ImageOps.expand(image, width, chance.choice(["white", "black", "#b04020"]))


def _caption(image: Image.Image, chance: random.Random, below: bool = False) -> Image.Image:
    w, h = image.size
    bar, dark = round(h * chance.uniform(0.12, 0.2)), chance.random() < 0.5
    paper, ink = ("black", "white") if dark else ("white", "black")
    result = ImageOps.pad(image, (w, h + bar), color=paper, centering=(0, 0)) if below else image
    draw, top = ImageDraw.Draw(result := result.copy()), h if below else h - bar
    draw.rectangle((0, top, w, top + bar), fill=paper)
    draw.text((w // 20, top + bar // 4), "The best in town since 1921", fill=ink)
    return result


CHANGES: dict[str, Change] = {
    "mirror": lambda image, _: ImageOps.mirror(image),
    "crop of the middle": _crop(0.88, (0.5,)),
    "crop of a corner": _crop(0.88, (0, 1)),
    "crop of 12 % at each edge": _crop(0.76, (0.5,)),
    "frame": _frame,
    "caption over": _caption,
    "caption below": lambda image, chance: _caption(image, chance, below=True),
    "grey": lambda image, _: image.convert("L").convert("RGB"),
    "turned": lambda image, chance: image.rotate(chance.choice([-3, 3]), Image.Resampling.BICUBIC),
    "turned, whole": lambda image, chance: image.rotate(
        chance.choice([-3, 3]), Image.Resampling.BICUBIC, expand=True, fillcolor="white"
    ),
    "mirror and crop": lambda image, chance: _crop(0.88, (0, 0.5, 1))(
        ImageOps.mirror(image), chance
    ),
    "crop and caption": lambda image, chance: _caption(_crop(0.88, (0.5,))(image, chance), chance),
}


def hard_copy(image: Image.Image, change: str, seed: int) -> Image.Image:
    """The picture changed, made smaller and saved again."""
    chance = random.Random(f"{change} {seed}")
    return saved_again(CHANGES[change](image, chance), chance)


def grey(image: Image.Image) -> Greys:
    """The small grey picture, uint8 [64, 64]."""
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)


def hashes(greys: Greys) -> tuple[np.ndarray, np.ndarray]:
    """The pHashes of grey pictures [N, 64, 64] and of their mirror images, uint64 [N] each."""
    small = shrunk(greys, GREY_SIDE)
    both = ([perceptual_hash(g) for g in small], [perceptual_hash(g[:, ::-1]) for g in small])
    return np.array(both[0], np.uint64), np.array(both[1], np.uint64)
