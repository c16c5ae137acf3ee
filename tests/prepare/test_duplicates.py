"""Copies: candidates from hashes and embeddings, verified, and tied together as groups."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from hard_copies import CHANGES, grey, hard_copy, hashes, texture
from pizzaiolo.core.image import read_image
from pizzaiolo.core.preprocess import resize_short_side
from pizzaiolo.model.features import embed, pretrained_embedder
from pizzaiolo.prepare import duplicates
from pizzaiolo.prepare.duplicates import (
    BATCH,
    Copies,
    correlations,
    find_near,
    groups_of,
    near_pairs,
)  # fmt: skip

DISTANCE = 10


def features_of(originals: list[int], noise: float = 0.3) -> np.ndarray:
    """Embeddings of pictures: those of copies of one original are close."""
    chance = np.random.default_rng(0)
    centres = chance.random((max(originals) + 1, 64))
    return (centres[originals] + noise * chance.random((len(originals), 64))).astype(np.float32)


def search(images: list[Image.Image], features: np.ndarray | None = None) -> Copies:
    greys = np.stack([grey(image) for image in images])
    return find_near(*hashes(greys), greys.__getitem__, features, DISTANCE)


@pytest.fixture(scope="module")
def originals() -> list[Image.Image]:
    return [texture(seed) for seed in range(24)]


@pytest.mark.parametrize("change", CHANGES)
def test_hard_copies_join_their_originals_alone(change: str, originals: list[Image.Image]) -> None:
    count = len(originals)
    copies = [hard_copy(image, change, i) for i, image in enumerate(originals)]
    numbers = [*range(count), *range(count)]
    roots = groups_of(2 * count, search([*originals, *copies], features_of(numbers)).near)
    assert all(root == numbers[i] or root == i for i, root in enumerate(roots))
    assert np.mean([roots[count + i] == i for i in range(count)]) >= 0.9


@pytest.mark.parametrize("change", ["mirror", "grey"])
def test_without_embeddings_the_hashes_find_what_they_can(
    change: str, originals: list[Image.Image]
) -> None:
    count = len(originals)
    copies = [hard_copy(image, change, i) for i, image in enumerate(originals)]
    roots = groups_of(2 * count, search([*originals, *copies]).near)
    assert np.mean([roots[count + i] == i for i in range(count)]) >= 0.9


def test_embeddings_alone_make_no_pair(originals: list[Image.Image]) -> None:
    """Two photos of similar dishes look alike to the backbone, and are no copies."""
    found = search(originals, features_of([0] * len(originals)))
    assert len(found.near) == len(found.same) == 0


def test_the_same_photo_is_one_that_was_saved_again_only(originals: list[Image.Image]) -> None:
    image = originals[0].filter(ImageFilter.GaussianBlur(2))
    darker = image.resize((200, 150)).point(lambda value: value * 0.8)
    images = [image, darker, ImageOps.mirror(image),
              hard_copy(image, "crop of the middle", 1), originals[1]]  # fmt: skip
    found = search(images, features_of([0, 0, 0, 0, 1]))
    assert found.same.tolist() == [[0, 1]]
    assert groups_of(5, found.near) == [0, 0, 0, 0, 4]
    assert {(0, 1)} <= set(map(tuple, found.near.tolist()))


def test_the_order_of_the_pictures_changes_no_group(originals: list[Image.Image]) -> None:
    images = [*originals, *(hard_copy(x, "frame", i) for i, x in enumerate(originals))]
    features = features_of([*range(len(originals))] * 2)
    roots = np.array(groups_of(len(images), search(images, features).near))
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = search([images[i] for i in order], features[order])
    again = np.array(groups_of(len(images), shuffled.near))
    together = roots[order][:, None] == roots[order][None]
    assert np.array_equal(again[:, None] == again[None], together)


def test_a_crowd_of_copies_costs_one_look_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of pictures with one hash, half of one photo and half of another."""
    count, looks, most = 4_000, [], []
    monkeypatch.setattr(duplicates, "BATCH", 1000)
    greys = np.stack([grey(texture(0)), grey(texture(0).rotate(180))])
    real = duplicates.likeness

    def likeness(pictures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        looks.append(len(pairs))
        return real(pictures, pairs)

    def ask(indices: np.ndarray) -> np.ndarray:
        most.append(len(indices))
        return greys[indices % 2]

    monkeypatch.setattr(duplicates, "likeness", likeness)
    equal = np.full(count, 99, np.uint64)
    found = find_near(equal, ~equal, ask, None, DISTANCE)
    assert set(groups_of(count, found.near)) == {0, 1}
    assert len(found.near) < 6 * count
    assert max(most) <= 2000 and sum(looks) < 6 * count


def test_only_pictures_of_candidates_are_asked_for() -> None:
    asked: list[int] = []

    def ask(indices: np.ndarray) -> np.ndarray:
        asked.extend(indices.tolist())
        return np.repeat(grey(texture(1))[None], len(indices), 0)

    values = np.random.default_rng(0).integers(0, 2**64, 3 * BATCH // 100, np.uint64)
    values[7] = values[3] ^ np.uint64(1)
    found = find_near(values, ~values, ask, None, DISTANCE)
    assert found.near.tolist() == [[3, 7]]
    assert set(asked) == set(near_pairs(values, DISTANCE).ravel().tolist())


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("embedded", [False, True])
def test_no_pairs_of_none_or_one(count: int, embedded: bool) -> None:
    features = np.ones((count, 8), np.float32) if embedded else None
    none = np.zeros(count, np.uint64)
    found = find_near(none, none, lambda _: np.zeros((0, 64, 64), np.uint8), features, DISTANCE)
    assert found.near.shape == found.same.shape == (0, 2)


def test_hard_copies_of_photos(shared: Path, tmp_path: Path) -> None:
    """60 photos, two hard copies of each, and 140 strangers of the same dishes."""
    files = sorted((shared / "pizza_not_pizza").glob("*/*"))[::7][:200]
    images = [read_image(file) for file in files]
    kinds = sorted(CHANGES)
    numbers = [*range(len(images)), *(i for i in range(60) for _ in range(2))]
    copies = [hard_copy(images[i], kinds[n % len(kinds)], i) for n, i in enumerate(numbers[200:])]
    paths = [tmp_path / f"{n}.jpg" for n in range(len(numbers))]
    for image, path in zip([*images, *copies], paths, strict=True):
        resize_short_side(image, 256).save(path, quality=95)
    embedder = pretrained_embedder("tf_efficientnet_lite0", torch.device("cpu"))
    found = search([*images, *copies], embed(embedder, paths, tmp_path, "copies"))
    roots = groups_of(len(numbers), found.near)
    assert all(numbers[i] == numbers[root] for i, root in enumerate(roots))
    assert np.mean([roots[n] == numbers[n] for n in range(200, len(numbers))]) >= 0.9


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_groups_are_a_partition_named_by_their_smallest(pairs: list[tuple[int, int]]) -> None:
    roots = groups_of(20, pairs)
    assert all(roots[a] == roots[b] for a, b in pairs)
    assert all(roots[root] == root <= item for item, root in enumerate(roots))
    joins = sum(1 for item, root in enumerate(roots) if item != root)
    assert joins <= len(pairs)  # nothing is joined without a pair
    assert groups_of(20, pairs[::-1]) == roots
    assert groups_of(20, np.array(pairs, np.int64).reshape(-1, 2)[:, ::-1]) == roots


def test_items_without_pairs_stay_alone() -> None:
    assert groups_of(3, []) == [0, 1, 2] and groups_of(0, []) == []
    assert groups_of(5, [(1, 3), (3, 4)]) == [0, 1, 2, 1, 1]


def test_correlations_are_pearsons() -> None:
    chance = np.random.default_rng(0)
    greys = chance.integers(0, 256, (4, 32, 32), np.uint8)
    greys[2] = greys[0] // 2 + 40  # darker and flatter: the same picture
    greys[3] = 255 - greys[0]
    found = correlations(greys, np.array([[0, 1], [0, 2], [0, 3], [1, 1]]))
    expected = np.corrcoef(greys[0].ravel(), greys[1].ravel())[0, 1]
    assert found == pytest.approx([expected, 1, -1, 1], abs=2e-3)


def test_a_flat_picture_correlates_with_nothing() -> None:
    greys = np.zeros((2, 32, 32), np.uint8)
    greys[1, 0, 0] = 9
    assert correlations(greys, np.array([[0, 0], [0, 1]])).tolist() == [0, 0]
