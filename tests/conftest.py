"""Pictures and models that many tests share; all made here, none downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the test run's own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["PIZZAIOLO_CACHE"] = str(folder)
    yield folder
    del os.environ["PIZZAIOLO_CACHE"]


@pytest.fixture(scope="session")
def starter(cache: Path) -> Path:
    """The starter's model file, built once a test run."""
    from pizzaiolo.starter import starter_file

    return starter_file()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rendered pictures with planted faults: pizza/ and not_pizza/."""
    from pizzaiolo.demo.sample import write_sample_folder

    folder = tmp_path_factory.mktemp("rendered") / "photos"
    write_sample_folder(folder, per_class=40, seed=7)
    return folder


@pytest.fixture(scope="session")
def pizza_file(photos: Path) -> Path:
    """One good rendered pizza."""
    return photos / "pizza" / "pizza_0010.jpg"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared photos; skips where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared photos (../shared/data) are not here")
    return SHARED
