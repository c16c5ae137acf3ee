"""Pictures for the page, as small JPEGs: as large as its budget of bytes allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ...core.image import read_image
from ...core.page import thumbnail
from ...errors import ImageError
from ..mistakes import HARD, UNLIKE, WRONG_LABEL
from .facts import Facts, Leak, Neighbour, Picture, Shown

PAGE_BYTES = 5_000_000  # the whole page
BUDGET = 4_500_000  # its pictures, as they stand in it (base64)
MOST_ASPECT = 2.0  # longer pictures are cut to this
MOST_NEAR = 5
MOST_LEAKS = 12
MOST_CHANGED = 12  # pictures that only one of two models gets right, on each side
SAMPLE = 12  # mistakes that the size of all is estimated by
STRIP, STRIP_SIDE = 4, 72  # small pictures on the first screen, pixels
BUCKETS = {
    WRONG_LABEL: (
        "The label may be wrong",
        "Their nearest training pictures side with the model. If you agree, mark the label.",
    ),
    UNLIKE: (
        "Unlike the training pictures",
        "Training has seen nothing of the kind: add such pictures.",
    ),
    HARD: ("Hard", "The label looks right, and training has seen the like."),
    "": ("Mistakes", "The most confident first: some of their labels may be wrong."),
}


@dataclass(frozen=True)
class Level:
    """Short sides of the large and the small pictures, pixels, and the JPEG quality."""

    large: int
    small: int
    quality: int


LEVELS = (
    Level(256, 72, 82), Level(224, 68, 78), Level(200, 64, 74), Level(168, 60, 70),
    Level(136, 56, 64), Level(104, 48, 58),
)  # fmt: skip


@dataclass(frozen=True)
class Album:
    """The pictures of the page: the groups of mistakes in order, and how much room they take.

    Each picture is a mapping for the template; `lost` counts those that had no room.
    """

    groups: Sequence[Mapping[str, Any]]
    strip: Sequence[Mapping[str, Any]]
    unsure: Sequence[Mapping[str, Any]]
    leaks: Sequence[Mapping[str, Any]]
    changed: Sequence[Mapping[str, Any]]
    size: int
    side: int
    lost: int = 0


def album(facts: Facts, budget: int = BUDGET) -> Album:
    """The gallery at the largest size whose pictures fit into `budget` bytes of the page."""
    read, found = _Reader(), None
    for level in LEVELS:
        if level != LEVELS[-1] and _estimate(facts, read, level) > budget:
            continue
        found = _Album(read, level, budget).of(facts)
        if not found.lost:
            break
    assert found is not None  # the last level is always tried
    return found


def _estimate(facts: Facts, read: _Reader, level: Level) -> float:
    """About how many bytes the pictures take at a level, by a few of the mistakes."""
    mistakes = facts.mistakes
    sample = mistakes[:: max(1, len(mistakes) // SAMPLE)]
    used = _Album(read, level, PAGE_BYTES).of(replace(facts, mistakes=sample)).size
    return used * max(1.0, len(mistakes) / max(1, len(sample)))


class _Reader:
    """Reads each picture once, at the largest side that the page may show."""

    def __init__(self) -> None:
        self.known: dict[int, Image.Image | None] = {}

    def __call__(self, picture: Picture | None) -> Image.Image | None:
        if picture is None:
            return None
        if id(picture) not in self.known:
            self.known[id(picture)] = _read(picture)
        return self.known[id(picture)]


def _read(picture: Picture) -> Image.Image | None:
    try:
        image = (
            read_image(picture, short_side=LEVELS[0].large)
            if isinstance(picture, Path)
            else picture.convert("RGB")
        )
    except ImageError:
        return None
    return _bounded(image)


def _bounded(image: Image.Image) -> Image.Image:
    """The middle of a picture that is longer than `MOST_ASPECT`."""
    width, height = (min(side, round(MOST_ASPECT * min(image.size))) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


class _Album:
    """One try: the pictures at one level, until the budget is used up."""

    def __init__(self, read: _Reader, level: Level, budget: int) -> None:
        self.read, self.level, self.left = read, level, budget
        self.budget, self.lost = budget, 0

    def of(self, facts: Facts) -> Album:
        """Mistakes first: they need the room most."""
        strip = [
            {"shown": m, "picture": self.jpeg(m.picture, STRIP_SIDE)}
            for m in by_bucket(facts.mistakes)[:STRIP]
        ]
        groups = [
            {"name": name, "title": title, "text": text, "pictures": list(map(self.shown, part))}
            for name, (title, text) in BUCKETS.items()
            if (part := [m for m in facts.mistakes if _bucket(m) == name])
        ]
        leaks = [self.leak(leak) for leak in facts.leaks[:MOST_LEAKS]]
        changed = [
            {
                "title": title,
                "of": len(part),
                "pictures": list(map(self.shown, part[:MOST_CHANGED])),
            }
            for title, part in _changed(facts)
            if part
        ]
        unsure = [self.shown(shown) for shown in facts.unsure]
        used = self.budget - self.left
        return Album(groups, strip, unsure, leaks, changed, used, self.level.large, self.lost)

    def jpeg(self, picture: Picture | None, side: int) -> str | None:
        """A picture as a `data:` address; None where it can't be read or has no room."""
        image = self.read(picture)
        address = None if image is None else thumbnail(image, side, self.level.quality)
        if address is None or len(address) > self.left:
            self.lost += address is not None
            return None
        self.left -= len(address)
        return address

    def shown(self, shown: Shown) -> dict[str, Any]:
        """What a card of the gallery holds."""
        return {
            "shown": shown,
            "picture": self.jpeg(shown.picture, self.level.large),
            "heat": self.jpeg(shown.heat, self.level.large),
            "near": [self.neighbour(n) for n in shown.near[:MOST_NEAR]],
        }

    def neighbour(self, near: Neighbour) -> dict[str, Any]:
        """A small picture with its label."""
        return {"near": near, "picture": self.jpeg(near.picture, self.level.small)}

    def leak(self, leak: Leak) -> dict[str, Any]:
        """A tested picture and its copy in training."""
        pictures = (self.jpeg(p, self.level.small) for p in (leak.picture, leak.copy))
        return {"leak": leak, "pictures": tuple(pictures)}


def _changed(facts: Facts) -> list[tuple[str, Sequence[Shown]]]:
    found = facts.against
    if found is None:
        return []
    return [("Right here, wrong there", found.gained), ("Wrong here, right there", found.lost)]


def _bucket(shown: Shown) -> str:
    return shown.bucket if shown.bucket in BUCKETS else ""


def by_bucket(mistakes: Sequence[Shown]) -> list[Shown]:
    """The mistakes in the order in which the page shows them."""
    return [m for name in BUCKETS for m in mistakes if _bucket(m) == name]
