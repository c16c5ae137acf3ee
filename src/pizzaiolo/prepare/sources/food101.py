"""`food101:pizza`: classes of the Food-101 data set against a sample of its others.

Food-101 (Bossard, Guillaumin, Van Gool, ECCV 2014): 101 dishes, 1,000 photos each. Its own test
pictures are treated like the others: the split is made by `prepare`, which groups look-alikes.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import tarfile
import urllib.error
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from ...config import PrepareConfig
from ...console import log
from ...core.bundle import cache_folder
from ...errors import SourceError, nearest
from ...model.torchvision_fix import ensure_torchvision
from ..candidate import Candidate

ensure_torchvision()
from torchvision.datasets import Food101  # noqa: E402

_NAMES = """
apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap
bread_pudding breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche
cheesecake cheese_plate chicken_curry chicken_quesadilla chicken_wings chocolate_cake
chocolate_mousse churros clam_chowder club_sandwich crab_cakes creme_brulee croque_madame cup_cakes
deviled_eggs donuts dumplings edamame eggs_benedict escargots falafel filet_mignon fish_and_chips
foie_gras french_fries french_onion_soup french_toast fried_calamari fried_rice frozen_yogurt
garlic_bread gnocchi greek_salad grilled_cheese_sandwich grilled_salmon guacamole gyoza hamburger
hot_and_sour_soup hot_dog huevos_rancheros hummus ice_cream lasagna lobster_bisque
lobster_roll_sandwich macaroni_and_cheese macarons miso_soup mussels nachos omelette onion_rings
oysters pad_thai paella pancakes panna_cotta peking_duck pho pizza pork_chop poutine prime_rib
pulled_pork_sandwich ramen ravioli red_velvet_cake risotto samosa sashimi scallops seaweed_salad
shrimp_and_grits spaghetti_bolognese spaghetti_carbonara spring_rolls steak strawberry_shortcake
sushi tacos takoyaki tiramisu tuna_tartare waffles
"""
CLASSES = tuple(_NAMES.split())
_STALLED = 60.0  # a server that sends nothing for so long has gone, seconds
_NETWORK = (
    urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException,
    RuntimeError, tarfile.TarError, EOFError, zlib.error,
)  # fmt: skip


def read_food101(source: str, config: PrepareConfig) -> Iterator[Candidate]:
    """The pictures that `food101:NAME,NAME` means.

    `config.per_class` of each class that is named, and as many of all others together, evenly:
    as `not_NAME`, or as `other` where several are named. The same seed draws the same pictures,
    and a larger `per_class` only adds to them. Downloads 5 GB once; raises `SourceError`.
    """
    names = _names(source)
    images = _images()
    found = {folder.name: [p.name for p in folder.glob("*.jpg")] for folder in images.iterdir()}
    if missing := [name for name in names if not found.get(name)]:
        raise SourceError(f"{images} has no {missing[0]}", hint="remove this folder and try again")
    for label, name, file in draw(found, names, config.per_class, config.seed):
        yield Candidate(images / name / file, f"food101:{name}/{file}", label)


def _names(source: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in source.partition(":")[2].split(","))
    for name in names:
        if name not in CLASSES:
            hint = nearest(name, CLASSES) if name else "for example food101:pizza"
            raise SourceError(f"Food-101 has no class {name!r}", hint=hint)
    if len(set(names)) < len(names):
        raise SourceError(f"{source} names a class twice", hint="name each class once")
    return names


def draw(
    found: Mapping[str, Sequence[str]], names: Sequence[str], per_class: int, seed: int
) -> list[tuple[str, str, str]]:
    """(label, class, file) of the drawn files: the named classes, then all others together."""

    def order(*words: str) -> bytes:
        return sha256("/".join((str(seed), *words)).encode()).digest()

    ranked = {
        name: sorted(files, key=lambda file: order(name, file)) for name, files in found.items()
    }
    drawn = [(name, name, file) for name in names for file in ranked[name][:per_class]]
    others = sorted(set(found) - set(names), key=order)
    rest = f"not_{names[0]}" if len(names) == 1 else "other"
    # In rounds: each of the other classes gives one before any gives another.
    rounds = max((len(ranked[name]) for name in others), default=0)
    turns = [(rest, n, ranked[n][i]) for i in range(rounds) for n in others if i < len(ranked[n])]
    return drawn + turns[:per_class]


def _images() -> Path:
    """The folder with Food-101's class folders; downloaded once, whole or not at all."""
    root = cache_folder() / "food101"
    images = root / "food-101" / "images"
    if not images.is_dir():
        draft = root / "unfinished"
        shutil.rmtree(draft / "food-101", ignore_errors=True)  # half-unpacked looks whole
        log.info("downloading Food-101, 5 GB, into %s", root)
        _download(draft)
        (draft / "food-101").replace(root / "food-101")
        shutil.rmtree(draft, ignore_errors=True)
    return images


def _download(root: Path) -> None:
    try:
        with _patience(_STALLED):
            Food101(root, split="train", download=True)
    except _NETWORK as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceError(
            f"Food-101 can't be downloaded: {why}",
            hint="check the connection and try again, or name a folder that holds its classes",
        ) from None


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """New sockets wait so long for the other side; torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
