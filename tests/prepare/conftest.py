"""Small pictures that differ, and folders of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare import inspect

Draw = Callable[..., Image.Image]
MakeFolder = Callable[..., Path]


def _draw(seed: int, size: tuple[int, int] = (80, 64)) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """A picture of soft colours; another seed gives one that looks like no other."""
    return _draw


@pytest.fixture(scope="session")
def make_folder() -> MakeFolder:
    """A folder of class folders with `count` pictures each, every one different."""

    def make(
        root: Path, classes: Sequence[str] = ("a", "b"), count: int = 8, seed: int = 0
    ) -> Path:
        for place, name in enumerate(classes):
            (root / name).mkdir(parents=True)
            for i in range(count):
                _draw(seed + 1000 * place + i).save(root / name / f"{i}.png")
        return root

    return make


@pytest.fixture(scope="session")
def alone() -> PrepareConfig:
    """Settings without worker processes and PyTorch, which take seconds to start."""
    return PrepareConfig(workers=1, features=False)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own: nothing is known beforehand."""
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path / "cache"))
    inspect._looks.cache_clear()
