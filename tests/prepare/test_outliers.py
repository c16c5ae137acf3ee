"""Strangers among clusters of points, and graphics among pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pizzaiolo.core.preprocess import resize_short_side
from pizzaiolo.model.embedded import embedded_classifier
from pizzaiolo.model.features import embed, pretrained_embedder
from pizzaiolo.model.torchvision_fix import timm
from pizzaiolo.prepare import outliers as module
from pizzaiolo.prepare.outliers import (
    GRAPHIC,
    PRINTED,
    Outliers,
    graphic_signs,
    neighbour_distance,
    outliers,
    printed_head,
)
from pizzaiolo.prepare.quality import straight_lines
from toy_embeddings import Data, any_data

WIDTH, LITE0 = 24, "tf_efficientnet_lite0"
Points = NDArray[np.float32]


def clusters(classes: int, each: int, seed: int = 0) -> tuple[Points, list[str]]:
    """`each` points a class, near their class's centre."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 3, (classes, WIDTH))
    codes = np.repeat(np.arange(classes), each)
    features = centres[codes] + random.normal(0, 1, (len(codes), WIDTH))
    return features.astype(np.float32), [f"c{code}" for code in codes]


def strangers(count: int) -> Points:
    return np.random.default_rng(99).normal(0, 3, (count, WIDTH)).astype(np.float32)


def look(
    features: Points,
    labels: list[str],
    groups: list[str] | None = None,
    signs: NDArray[np.float64] | None = None,
) -> Outliers:
    count = len(labels)
    groups = [f"g{i}" for i in range(count)] if groups is None else groups
    return outliers(features, labels, groups, np.zeros(count) if signs is None else signs)


@pytest.mark.parametrize(("classes", "each", "odd"), [(1, 40, 2), (2, 100, 8), (100, 12, 10)])
def test_strangers_are_found(classes: int, each: int, odd: int) -> None:
    features, labels = clusters(classes, each)
    found = look(
        np.concatenate([features, strangers(odd)]), labels + labels[:: len(labels) // odd][:odd]
    )
    planted = set(range(len(labels), len(labels) + odd))
    assert set(found.indices) >= planted
    assert len(found.indices) <= odd + 1 + 0.01 * len(labels)


@pytest.mark.parametrize(("classes", "each"), [(2, 6), (1, 12), (2, 50), (2, 1000), (100, 6)])
def test_a_clean_data_set_has_next_to_no_outliers(classes: int, each: int) -> None:
    features, labels = clusters(classes, each)
    assert len(look(features, labels).indices) <= 1 + 0.01 * len(labels)


def test_a_class_of_many_things_is_not_measured_by_a_uniform_one() -> None:
    features, labels = clusters(1, 100)
    found = look(np.concatenate([features, strangers(100)]), labels + ["mixed"] * 100)
    assert len(found.indices) <= 2


@pytest.mark.parametrize("together", [True, False])
def test_copies_of_a_stranger_vouch_for_it_only_outside_its_group(together: bool) -> None:
    features, labels = clusters(2, 60)
    copies = np.repeat(strangers(1), 12, axis=0)
    groups = [f"g{i}" for i in range(120)] + [("same" if together else f"s{i}") for i in range(12)]
    found = look(np.concatenate([features, copies]), labels + ["c0"] * 12, groups)
    flagged = np.isin(np.arange(120, 132), found.indices)
    assert flagged.all() if together else not flagged.any()


@pytest.mark.parametrize(
    ("share", "flagged"), [(0.05, 1.0), (0.2, 1.0), (0.5, 0.0), (0.9, 0.0), (1.0, 0.0)]
)
def test_graphics_are_outliers_only_where_they_are_rare(share: float, flagged: float) -> None:
    features, labels = clusters(2, 100)
    random = np.random.default_rng(0)
    signs = random.normal(0.5, 0.7, 200)
    count = round(100 * share)
    signs[:count] = random.normal(5, 0.5, count)
    found = look(features, labels, signs=signs)
    rate = np.isin(np.arange(count), found.indices).mean()
    assert rate == pytest.approx(flagged, abs=0.08)  # some are far from their class as well
    assert (found.indices >= count).sum() <= 1


def test_the_surest_come_first_and_a_graphic_is_surer_the_plainer_it_is() -> None:
    features, labels = clusters(2, 50)
    signs = np.zeros(104)
    signs[[0, 101, 102, 103]] = GRAPHIC + 0.1, GRAPHIC + 40, GRAPHIC + 80, 0
    found = look(np.concatenate([features, strangers(4)]), labels + ["c1"] * 4, signs=signs)
    assert {0, 100, 101, 102, 103} <= {*found.indices.tolist()}
    assert found.indices[:2].tolist() == [102, 101]
    assert np.all(np.diff(found.scores) <= 0) and np.all((found.scores > 0.5) & (found.scores <= 1))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_names_make_a_difference(seed: int) -> None:
    random = np.random.default_rng(seed)
    features, labels = clusters(3, 20, seed)
    features, labels = np.concatenate([features, strangers(3)]), [*labels, "c0", "c1", "c2"]
    signs = random.normal(1.5, 1, 63)
    groups = [f"g{g}" for g in random.integers(0, 40, 63)]
    one, mixed = look(features, labels, groups, signs), random.permutation(63)
    names = {"c0": "z", "c1": "b", "c2": "a"}
    other = look(
        features[mixed],
        [names[labels[i]] for i in mixed],
        [groups[i] for i in mixed],
        signs[mixed],
    )
    assert sorted(mixed[other.indices]) == sorted(one.indices) and len(one.indices)
    assert other.scores == pytest.approx(one.scores, abs=1e-4)


@given(data=any_data(), seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_any_small_data_gives_a_ranking(data: Data, seed: int) -> None:
    signs = np.random.default_rng(seed).uniform(-1, 2, len(data.labels))
    found = look(*data, signs)
    assert len({*found.indices}) == len(found.indices) == len(found.scores)
    assert np.all((found.scores > 0.5) & (found.scores <= 1)) and np.all(np.diff(found.scores) <= 0)
    if (data.features == data.features[:1]).all():  # nothing differs from anything
        assert not len(found.indices)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_neighbour_distance_is_that_of_all_pairs(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 5)).astype(np.float32)
    group = random.integers(0, max(1, count // 2), count)
    expected = np.full(count, np.nan)
    for i in range(count):
        others = features[group != group[i]]
        if len(others):
            norms = np.linalg.norm(others, axis=1) * np.linalg.norm(features[i])
            expected[i] = np.sort(1 - others @ features[i] / norms)[:10].mean()
    found = neighbour_distance(features, group)
    assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_a_large_class_is_compared_in_blocks_with_a_part_of_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, labels = clusters(2, 500)
    features, labels = np.concatenate([features, strangers(6)]), labels + ["c0"] * 6
    group = np.arange(1006)
    whole = neighbour_distance(features, group)
    monkeypatch.setattr(module, "BLOCK", 64)
    assert neighbour_distance(features, group) == pytest.approx(whole, abs=1e-5)
    monkeypatch.setattr(module, "COMPARED_MOST", 100)
    found = look(features, labels)
    assert set(found.indices) >= set(range(1000, 1006))
    assert len(found.indices) <= 6 + 10


def canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (340, 256), 230)
    return image, ImageDraw.Draw(image)


def test_straight_lines_are_frames_and_panels_not_texture_or_slopes() -> None:
    framed, draw = canvas()
    draw.rectangle((0, 20, 340, 230), fill=60)
    draw.rectangle((30, 0, 120, 256), fill=10)
    sloped, draw = canvas()
    draw.polygon([(0, 60), (340, 0), (340, 200), (0, 250)], fill=60)
    noise = np.random.default_rng(0).normal(128, 20, (256, 340)).clip(0, 255).astype(np.uint8)
    lines = [straight_lines(np.asarray(image)) for image in (framed, sloped, noise)]
    assert lines[0] > 1.5
    assert max(lines[1:]) < 0.5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_straight_lines_are_a_share(height: int, width: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    found = straight_lines(grey)
    assert 0 <= found <= 2
    assert straight_lines(grey.T) == pytest.approx(found)
    assert straight_lines(np.full_like(grey, 9)) == 0


def test_printed_classes_are_those_of_imagenet() -> None:
    info = timm().data.ImageNetInfo()
    names = {index: info.index_to_description(index).split(",")[0] for index in PRINTED}
    assert names == PRINTED


def test_graphic_signs_are_the_mean_of_the_printed_logits_and_the_lines() -> None:
    random = np.random.default_rng(0)
    features, lines = random.random((3, 1280), np.float32), random.random(3)
    layer = embedded_classifier(LITE0).get_classifier()
    with torch.inference_mode():
        logits = layer(torch.from_numpy(features)).numpy()
    expected = logits[:, list(PRINTED)].mean(axis=1) + lines
    found = graphic_signs(features, printed_head(LITE0), lines)
    assert found == pytest.approx(expected, abs=1e-4)


def page(photo: Image.Image) -> Image.Image:
    """A page as a shop's web site has it: a bar, lines of text, and a row of pictures."""
    image = Image.new("RGB", (800, 640), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 800, 60), fill=(190, 20, 30))
    draw.text((20, 15), "Fresh from the oven", fill="white", font_size=28)
    for place in range(4):
        image.paste(photo.resize((160, 130)), (30 + 190 * place, 90))
        draw.text((30 + 190 * place, 230), "Special offer 9.99", fill="black", font_size=17)
    for line in range(12):
        text = "ingredients: wheat flour, water, tomatoes, cheese, yeast, salt, oregano, basil"
        draw.text((30, 280 + 28 * line), text, fill=(60, 60, 60), font_size=18)
    return image


def test_a_page_of_pictures_and_text_stands_out_of_the_pictures(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    files = sorted((photos / "pizza").glob("pizza_*.jpg"))[:12]
    pictures = [Image.open(file).convert("RGB") for file in files]
    copies = [*pictures, page(pictures[0])]
    small = [resize_short_side(image, 256) if min(image.size) > 256 else image for image in copies]
    names = [tmp_path / f"{place}.png" for place in range(len(small))]
    for image, name in zip(small, names, strict=True):
        image.save(name)
    features = embed(pretrained_embedder(LITE0, torch.device("cpu")), names, cache, "pictures")
    lines = np.array([straight_lines(np.asarray(image.convert("L"))) for image in small])
    signs = graphic_signs(features, printed_head(LITE0), lines)
    found = look(features, ["pizza"] * len(small), signs=signs)
    assert found.indices.tolist()[:1] == [12]
