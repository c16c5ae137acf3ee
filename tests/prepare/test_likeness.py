"""Is one picture a copy of the other? Hard copies by kind, strangers, and what can go wrong."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hard_copies import CHANGES, grey, hard_copy, texture
from pizzaiolo.demo.sample import render_sample
from pizzaiolo.prepare import likeness as module
from pizzaiolo.prepare.duplicates import COPY
from pizzaiolo.prepare.likeness import Greys, likeness, shrunk

NUMBER = 20
PAIRED = np.arange(2 * NUMBER).reshape(-1, 2)


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Textures and rendered pizzas."""
    seeds = range(NUMBER // 2)
    return [*map(texture, seeds), *(render_sample("pizza", seed, 200) for seed in seeds)]


def pairs_of(count: int) -> np.ndarray:
    return np.array(list(combinations(range(count), 2)), np.int64)


@pytest.mark.parametrize("change", CHANGES)
def test_hard_copies_are_seen(change: str, pictures: list[Image.Image]) -> None:
    both = [p for i, image in enumerate(pictures) for p in (image, hard_copy(image, change, i))]
    found = likeness(np.stack([grey(p) for p in both]), PAIRED)
    assert np.mean(found >= COPY) >= 0.9, found.round(2)


def test_strangers_stay_apart(pictures: list[Image.Image]) -> None:
    """Pain: different images above the threshold (imagededup#86)."""
    greys = np.stack([grey(p) for p in [*pictures, *(texture(s) for s in range(100, 150))]])
    assert likeness(greys, pairs_of(len(greys))).max() < COPY


def test_a_plate_is_not_a_copy_of_another_plate() -> None:
    """Discs on plain ground agree at their rims, whatever lies on them."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    greys = []
    for seed in range(12):
        cells = np.random.default_rng(seed).integers(60, 200, (12, 12), np.uint8)
        food = np.asarray(Image.fromarray(cells).resize((64, 64), Image.Resampling.BICUBIC))
        radius = 0.6 + 0.02 * (seed % 4)
        greys.append(np.where(x**2 + y**2 < radius**2, food, 240).astype(np.uint8))
    assert likeness(np.stack(greys), pairs_of(len(greys))).max() < COPY


@pytest.mark.parametrize("flat", [0, 128, 255])
def test_flat_pictures_are_copies_of_nothing(flat: int) -> None:
    greys = np.full((4, 64, 64), flat, np.uint8)
    greys[1, :32], greys[2] = flat ^ 255, grey(texture(1))
    assert likeness(greys, pairs_of(4)).max() < COPY


@given(seed=st.integers(0, 10_000), change=st.sampled_from(sorted(CHANGES)), data=st.data())
@settings(max_examples=30, deadline=None)
def test_the_answer_depends_on_the_two_pictures_alone(
    seed: int, change: str, data: st.DataObject
) -> None:
    """Not on which comes first, nor on what else is asked, nor on brightness and contrast."""
    image = texture(seed)
    greys = np.stack([grey(image), grey(hard_copy(image, change, seed)), grey(texture(seed + 1))])
    found = likeness(greys, np.array([[0, 1], [1, 2]]))
    again = likeness(greys, np.array([[1, 0]]))
    assert again == pytest.approx(found[:1], abs=0.05)
    gain, shift = data.draw(st.floats(0.5, 0.9)), data.draw(st.floats(0, 20))
    greys[1] = (greys[1] * gain + shift).astype(np.uint8)
    assert likeness(greys, np.array([[0, 1]])) == pytest.approx(found[:1], abs=0.1)
    assert found.min() >= 0 and found.max() <= 1


def test_more_pairs_than_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 4)
    monkeypatch.setattr(module, "ALIGNED_AT_ONCE", 1)
    greys = np.stack([grey(texture(0)), grey(texture(1)), grey(texture(0).resize((90, 80)))])
    few = np.array([[0, 1], [0, 2], [1, 2]])
    found = likeness(greys, np.tile(few, (9, 1))).reshape(-1, 3)
    assert np.ptp(found, axis=0) == pytest.approx(0, abs=1e-4)
    assert (found[0] >= COPY).tolist() == [False, True, False]


def test_no_pairs() -> None:
    assert likeness(np.zeros((0, 64, 64), np.uint8), np.zeros((0, 2), np.int64)).shape == (0,)


def test_shrunk_pictures_are_averages() -> None:
    greys: Greys = np.random.default_rng(0).integers(0, 256, (2, 64, 64), np.uint8)
    found = shrunk(greys, 16)
    assert found.shape == (2, 16, 16) and found.dtype == np.float32
    assert found[1, 2, 3] == pytest.approx(greys[1, 8:12, 12:16].mean())
    assert (shrunk(greys, 64) == greys).all()
