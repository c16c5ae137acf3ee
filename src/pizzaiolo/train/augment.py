"""Random changes of training pictures: crops, flips, colours, erased parts, and mixtures.

Everything is drawn from a generator that is given, so that the same seed gives the same pictures
whatever the number of loader processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageStat
from torch import Tensor
from torch.nn.functional import one_hot

from ..config import TrainConfig
from ..core.image import read_image
from ..core.preprocess import Preprocess
from ..errors import ImageError
from ..model.features import damaged, read_pixels
from ..model.torchvision_fix import ensure_torchvision

Transform = Callable[[Path, torch.Generator], Tensor]

CROP = (0.35, 1.0)  # share of the picture that a random crop shows
JITTER = 0.2  # brightness, contrast and saturation vary by this share
GREY = (0.299, 0.587, 0.114)  # what red, green and blue give to the grey value (ITU-R 601-2)


def seeded(*numbers: int) -> torch.Generator:
    """A generator whose draws depend on these numbers and on nothing else."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest))


def evaluation_transform(preprocess: Preprocess) -> Transform:
    """What predict and serve do: a file becomes uint8 [H, W, 3]."""
    return partial(_plain, preprocess)


def _plain(preprocess: Preprocess, file: Path, _: torch.Generator) -> Tensor:
    return torch.from_numpy(np.array(read_pixels(file, preprocess)))


def training_transform(preprocess: Preprocess, config: TrainConfig) -> Transform:
    """What `config.augment` and `config.erase` do: a file becomes uint8 [H, W, 3].

    `light` is a random crop, flip and colours; `trivial` (Müller & Hutter 2021) and `rand`
    (Cubuk et al. 2020) put their own changes in the place of the colours.
    """
    if config.augment == "none" and not config.erase:
        return evaluation_transform(preprocess)
    _eraser(preprocess, config.erase)  # loads torchvision here, not in every loader process
    return partial(_changed, preprocess, config.augment, config.erase)


def _changed(
    preprocess: Preprocess, augment: str, erase: float, file: Path, generator: torch.Generator
) -> Tensor:
    with _drawing_from(generator):
        if augment == "none":
            pixels = np.array(read_pixels(file, preprocess))
        else:
            pixels = np.array(_changes(preprocess, augment)(_read(file)))
        picture = torch.from_numpy(pixels)
        if erase:
            _eraser(preprocess, erase)(picture.permute(2, 0, 1))
    return picture


def _read(file: Path) -> Image.Image:
    try:
        return read_image(file)
    except ImageError as error:
        raise damaged(file, error) from None


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """torchvision draws from the global generator; a fork keeps the rest of training apart."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        yield


@cache
def _changes(preprocess: Preprocess, augment: str) -> Callable[[Image.Image], Image.Image]:
    ensure_torchvision()
    from torchvision.transforms import v2

    smooth = v2.InterpolationMode.BILINEAR
    fill = _mean_colour(preprocess)
    last = {
        "light": jitter_colours,
        "trivial": v2.TrivialAugmentWide(interpolation=smooth, fill=fill),
        "rand": v2.RandAugment(interpolation=smooth, fill=fill),
    }[augment]
    crop = v2.RandomResizedCrop(preprocess.size, CROP, interpolation=smooth, antialias=True)
    changes: Callable[[Image.Image], Image.Image] = v2.Compose(
        [crop, v2.RandomHorizontalFlip(), last]
    )
    return changes


def jitter_colours(picture: Image.Image) -> Image.Image:
    """Random brightness, contrast and saturation of an RGB picture, in one pass.

    Each is affine in a pixel's colour, and together they are the same in any order.
    """
    light, contrast, colour = torch.empty(3).uniform_(1 - JITTER, 1 + JITTER).tolist()
    scale = light * contrast
    shift = light * (1 - contrast) * ImageStat.Stat(picture.convert("L")).mean[0]
    rows = (
        [scale * ((1 - colour) * grey + colour * (i == j)) for j, grey in enumerate(GREY)]
        for i in range(3)
    )
    return picture.convert("RGB", tuple(number for row in rows for number in (*row, shift)))


@cache
def _eraser(preprocess: Preprocess, chance: float) -> Callable[[Tensor], Tensor]:
    """Fills a rectangle of a picture [3, H, W] in place, in `chance` of the calls (Zhong 2020)."""
    ensure_torchvision()
    from torchvision.transforms import v2

    eraser: Callable[[Tensor], Tensor] = v2.RandomErasing(
        chance, value=_mean_colour(preprocess), inplace=True
    )
    return eraser


def _mean_colour(preprocess: Preprocess) -> list[int]:
    return [min(255, max(0, round(255 * mean))) for mean in preprocess.mean]


def mix(
    pictures: Tensor, targets: Tensor, classes: int, config: TrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each picture mixed with its neighbour: float [N, 3, H, W] and soft targets [N, C].

    `config.mixup` blends the two (Zhang et al. 2018), `config.cutmix` lays a rectangle of one on
    the other (Yun et al. 2019); where both are on, each batch draws one of them.
    """
    ensure_torchvision()
    from torchvision.transforms import v2

    kinds = [(v2.MixUp, config.mixup), (v2.CutMix, config.cutmix)]
    # Closer to 0 the Beta distribution has no float32; it is all at 0 and 1 long before.
    wanted = [(kind, max(alpha, 1e-6)) for kind, alpha in kinds if alpha]
    if not wanted:
        return pictures, one_hot(targets, classes).float()
    with _drawing_from(generator):
        kind, alpha = wanted[int(torch.randint(len(wanted), ()))]
        mixed, soft = kind(alpha=alpha, num_classes=classes)(pictures, targets)
    return mixed, soft
