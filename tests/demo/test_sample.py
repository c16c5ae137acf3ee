"""The rendered pictures: the same seed gives the same bytes, every kind renders, faults are planted
as stated and found by prepare."""

from collections.abc import Iterator
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.core.image import read_image
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.demo.others import KINDS
from pizzaiolo.demo.sample import PlantedFaults, render_sample, write_sample_folder
from pizzaiolo.errors import ImageError

FEW = 10


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PlantedFaults]:
    folder = tmp_path_factory.mktemp("sample") / "photos"
    return folder, write_sample_folder(folder, FEW, seed=3)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
    }


@pytest.mark.parametrize("kind", ["pizza", *sorted(KINDS)])
def test_every_kind_renders_and_varies(kind: str) -> None:
    one, same, other = (np.asarray(render_sample(kind, seed, 96)) for seed in (1, 1, 2))
    assert one.shape == (96, 96, 3) and one.dtype == np.uint8
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert one.std() > 10 and np.abs(one.astype(int) - other).mean() > 3


@pytest.mark.parametrize("size", [32, 97, 256])
def test_a_picture_has_the_size_that_was_asked(size: int) -> None:
    assert render_sample("pizza", 0, size).size == (size, size)


def test_the_same_seed_writes_the_same_bytes_and_tells_how_far_it_is(
    small: tuple[Path, PlantedFaults], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    again = write_sample_folder(tmp_path, FEW, 3, lambda done, total: told.append((done, total)))
    assert again == small[1] and hashes(tmp_path) == hashes(small[0])
    assert told == [(i, 2 * FEW) for i in range(1, 2 * FEW + 1)]


def test_another_seed_writes_other_pictures(
    small: tuple[Path, PlantedFaults], tmp_path: Path
) -> None:
    write_sample_folder(tmp_path, FEW, seed=4)
    same = set(hashes(tmp_path).values()) & set(hashes(small[0]).values())
    assert len(same) <= 2  # the text and the blank picture


def planted(faults: PlantedFaults) -> Iterator[str]:
    for field in fields(faults):
        yield from getattr(faults, field.name)


def test_every_planted_file_is_there_once(small: tuple[Path, PlantedFaults]) -> None:
    folder, faults = small
    names = list(planted(faults))
    assert len(names) == len(set(names)) and all((folder / name).is_file() for name in names)
    assert len(hashes(folder)) == 2 * FEW + len(names)


def test_faults_are_what_they_are_called(small: tuple[Path, PlantedFaults]) -> None:
    folder, faults = small
    for name in faults.exact_copies:
        original = folder / name.replace("_copy", "")
        assert original.read_bytes() == (folder / name).read_bytes()
    for name in faults.near_copies:
        assert (folder / name.replace("_small", "")).read_bytes() != (folder / name).read_bytes()
    for name, code in (
        (faults.unreadable[0], "unreadable"),
        (faults.not_images[0], "not_an_image"),
    ):
        with pytest.raises(ImageError) as caught:
            read_image(folder / name)
        assert caught.value.code == code
    with Image.open(folder / faults.blank[0]) as blank:
        assert np.asarray(blank).std() < 2
    assert len({(folder / name).read_bytes() for name in faults.conflicts}) == 1
    assert len({name.split("/")[0] for name in faults.conflicts}) == 2


def test_prepare_finds_what_was_planted(dataset: Path, small: tuple[Path, PlantedFaults]) -> None:
    faults = small[1]  # the names do not depend on the seed
    rows = {row.path: row for row in Dataset.open(dataset).rows}
    reasons = {
        "exact_duplicate": faults.exact_copies, "unreadable": faults.unreadable,
        "not_an_image": faults.not_images, "blank": faults.blank, "conflict": faults.conflicts,
    }  # fmt: skip
    for reason, names in reasons.items():
        assert {path for path, row in rows.items() if row.reason == reason} == set(names)
    for name in faults.near_copies:
        copy, original = rows[name], rows[name.replace("_small", "")]
        assert copy.kept and (copy.group, copy.split) == (original.group, original.split)
    assert all(rows[name].kept for name in faults.wrong_labels)
