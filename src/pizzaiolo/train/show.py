"""A grid of training pictures as the network sees them: a row a picture, a column an epoch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..config import TrainConfig
from ..core.bundle import write_bytes
from ..core.labels import human
from ..core.preprocess import Preprocess
from ..errors import PizzaioloError, UsageError
from .augment import mix, seeded
from .data import Pictures, Split, evaluation_pictures, training_pictures
from .sampling import repeats

ROWS, DRAWS = 6, 7
SMALLEST, LARGEST = 96, 192  # side of a picture in the grid, pixels
GAP, LINE, HEADING = 12, 17, 26  # pixels
FONT_SIZE = 13
PAPER, INK, SOFT = "#fbf9f5", "#22201d", "#655f57"
KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True)
class Cell:
    """A picture, uint8 [H, W, 3], and what stands beneath it, line by line."""

    pixels: NDArray[np.uint8]
    caption: tuple[str, ...]


def show_batch(
    split: Split, preprocess: Preprocess, config: TrainConfig, names: Sequence[str], file: Path
) -> None:
    """Write the grid as a picture, by its suffix PNG, JPEG or WebP.

    Raises `UsageError` for another suffix, `DatasetError` naming a picture that can't be read.
    """
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise UsageError(
            f"can't write {file}: its name ends in {file.suffix!r}, expected {', '.join(KINDS)}",
            hint="for example --show-batch batch.png",
        )
    buffer = io.BytesIO()
    Image.fromarray(batch_grid(split, preprocess, config, names)).save(buffer, kind)
    write_bytes(file, buffer.getvalue())


def batch_grid(
    split: Split,
    preprocess: Preprocess,
    config: TrainConfig,
    names: Sequence[str],
    rows: int = ROWS,
    draws: int = DRAWS,
) -> NDArray[np.uint8]:
    """The grid as pixels, uint8 [H, W, 3]: each picture as served, then in its first epochs.

    What training draws for these pictures is drawn here too; mixing takes them as one batch.
    Recipe head draws nothing: with it the grid holds more pictures instead.
    """
    places = _chosen(split, config.seed)
    served = evaluation_pictures(split, preprocess)
    if config.recipe == "head":
        parts = [places[i : i + rows] for i in range(0, rows * (1 + draws), rows)]
        plain = [("", _served(served, part, names)) for part in parts if part]
        return _paint(plain, "recipe head sees the pictures as served: nothing is random")
    places = places[:rows]
    training = training_pictures(split, preprocess, config)
    columns = [("as served", _served(served, places, names))]
    for epoch in range(1, draws + 1):
        training.epoch.fill_(epoch)
        columns.append((f"epoch {epoch}", _drawn(training, places, names, config)))
    return _paint(columns, _title(config))


def _chosen(split: Split, seed: int) -> list[int]:
    """All pictures in a random order in which the classes take turns."""
    order = torch.randperm(len(split), generator=seeded(seed))
    turns = repeats(torch.tensor(split.targets)[order])
    return [int(place) for place in order[turns.argsort(stable=True)]]


def _read(data: Pictures, places: list[int]) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [N, H, W, 3] and class indices [N]."""
    items = []
    for place in places:
        item = data[place]
        if isinstance(item, PizzaioloError):
            raise item
        items.append(item)
    return torch.stack([pixels for pixels, _ in items]), torch.stack([y for _, y in items])


def _served(data: Pictures, places: list[int], names: Sequence[str]) -> list[Cell]:
    pictures, targets = _read(data, places)
    captions = [(human(names[target]),) for target in targets.tolist()]
    return [Cell(p.numpy(), c) for p, c in zip(pictures, captions, strict=True)]


def _drawn(
    data: Pictures, places: list[int], names: Sequence[str], config: TrainConfig
) -> list[Cell]:
    pictures, targets = _read(data, places)
    generator = seeded(config.seed, int(data.epoch), 0)
    # Mixing commutes with the normalisation, so plain pixels show what the network gets.
    mixed, soft = mix(pictures.permute(0, 3, 1, 2).float(), targets, len(names), config, generator)
    pixels = mixed.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()
    mixing = bool(config.mixup or config.cutmix)
    captions = [_shares(shares, names) if mixing else () for shares in soft]
    return [Cell(p, c) for p, c in zip(pixels, captions, strict=True)]


def _shares(soft: Tensor, names: Sequence[str]) -> tuple[str, ...]:
    """The classes of a soft target [C] in words, the largest first; at most two."""
    top = soft.topk(min(2, len(soft)))
    shares = zip(top.values.tolist(), top.indices.tolist(), strict=True)
    return tuple(f"{100 * share:.0f} % {human(names[i])}" for share, i in shares if share >= 0.005)


def _title(config: TrainConfig) -> str:
    names = ("mixup", "cutmix", "erase")
    used = [f"{name} {value:g}" for name in names if (value := getattr(config, name))]
    return ", ".join((f"augment {config.augment}", *used, f"seed {config.seed}"))


def _paint(columns: list[tuple[str, list[Cell]]], title: str) -> NDArray[np.uint8]:
    (_, first), *others = columns
    size = first[0].pixels.shape[0]
    side = min(LARGEST, size * -(-SMALLEST // size))  # small ones are shown by whole multiples
    lines = max(len(cell.caption) for _, column in columns for cell in column)
    count, width = len(first), GAP + len(columns) * (side + GAP)
    room = side if any(cell.caption for _, column in others for cell in column) else width - 2 * GAP
    height = 2 * HEADING + GAP + count * (side + lines * LINE + GAP)
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (GAP, GAP // 2 + 2), title, width - 2 * GAP, INK)
    for x, (heading, column) in enumerate(columns):
        left = GAP + x * (side + GAP)
        _write(draw, (left, HEADING + GAP), heading, side, SOFT)
        for y, cell in enumerate(column):
            top = 2 * HEADING + GAP // 2 + y * (side + lines * LINE + GAP)
            canvas.paste(_fitted(cell.pixels, side), (left, top))
            for number, line in enumerate(cell.caption):
                _write(draw, (left, top + side + 3 + number * LINE), line, room, INK)
    return np.asarray(canvas)


def _fitted(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    enlarged = side > pixels.shape[0]
    filter = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((side, side), filter)


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, colour: str
) -> None:
    """One line of text, cut where it would be wider than `width` pixels."""
    shown, font = " ".join(text.split())[:width], _font()
    while shown and draw.textlength(shown, font) > width:
        shown = shown.removesuffix("…")[:-1].rstrip() + "…" if len(shown) > 1 else ""
    draw.text(place, shown, colour, font)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which comes with matplotlib and knows more scripts than Pillow's own font."""
    found = find_spec("matplotlib")
    if found and found.origin:
        file = Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), FONT_SIZE)
    return ImageFont.load_default(FONT_SIZE)
