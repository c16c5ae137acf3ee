"""The review sheet of a data set in shards: its pictures are seen, from the folder and served."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from pizzaiolo.core.manifest import Dataset
from pizzaiolo.prepare.run import prepare
from toy_review import CONFIG, served, write_photos

Visit = Callable[..., AbstractContextManager[Any]]
ALL_SEEN = """(paths) => paths.every((path) => [...document.images].some(
    (image) => image.alt === path && image.complete && image.naturalWidth))"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("shards")
    prepare(write_photos(folder / "photos"), folder / "D", replace(CONFIG, shards="webdataset"))
    return Dataset.open(folder / "D")


def see(page: Any, data: Dataset) -> None:
    """Wait until every kept picture is seen."""
    page.evaluate("[...document.images].forEach((image) => { image.loading = 'eager'; })")
    kept = [row.path for row in data.rows if row.kept]
    page.wait_for_function(ALL_SEEN, arg=kept, timeout=10_000)


def test_pictures_in_shards_are_seen_from_the_folder(data: Dataset, visit: Visit) -> None:
    with visit((data.root / "review.html").as_uri()) as page:
        see(page, data)
        assert page.locator("img[src^='images/']").count() == 0


def test_pictures_in_shards_are_served_whole(data: Dataset, visit: Visit) -> None:
    with served(data.root) as (address, _), visit(address) as page:
        see(page, data)
        assert page.locator("img[src^='images/train-00000.tar']").count() > 0
