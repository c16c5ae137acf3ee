"""Slices: bins that hold equal values together, tests that don't cry wolf, and planted weakness."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from pizzaiolo.core.manifest import Row
from pizzaiolo.evaluate.slices import (
    BINS,
    FEWEST,
    LEVEL,
    Slice,
    holm,
    quantile_bins,
    slices,
    worse_slices,
)

NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, np.nan, np.inf]))


def many_rows(count: int, seed: int = 0, folders: int = 1) -> list[Row]:
    """Pictures of two classes, whose measures have nothing to do with one another."""
    random = np.random.default_rng(seed)
    return [
        Row(
            f"shots{i % folders}/{i}.jpg", ("not_pizza", "pizza")[i // 2 % 2],
            width=int(random.integers(200, 3000)), height=int(random.integers(200, 3000)),
            brightness=random.random(), contrast=0.1 + random.random() / 4,
            sharpness=float(random.integers(50, 2000)),
        )
        for i in range(count)
    ]  # fmt: skip


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def of(found: Sequence[Slice], by: str) -> list[Slice]:
    return [s for s in found if s.by == by]


@settings(deadline=None)
@given(arrays(np.float64, st.integers(0, 60), elements=NUMBERS), st.integers(2, 6))
def test_equal_values_share_a_bin_and_larger_ones_never_lie_lower(
    values: NDArray[np.float64], bins: int
) -> None:
    edges, codes = quantile_bins(values, bins)
    known = np.isfinite(values)
    assert (codes[~known] == -1).all() and (codes[known] >= 0).all()
    order = np.argsort(values[known])
    assert (np.diff(codes[known][order]) >= 0).all()
    assert len({(v, c) for v, c in zip(values[known], codes[known], strict=True)}) == len(
        np.unique(values[known])
    )
    used = np.unique(codes[known])
    assert used.tolist() == list(range(len(edges) + 1 if known.any() else 0))
    assert len(used) <= bins


@settings(deadline=None)
@given(st.integers(BINS, 200), st.integers(0, 100))
def test_bins_of_different_values_have_about_equal_mass(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).permutation(count).astype(np.float64)
    sizes = np.bincount(quantile_bins(values)[1])
    assert len(sizes) == BINS and sizes.max() - sizes.min() <= 2


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_corrects_as_its_definition_says(chances: list[float]) -> None:
    corrected = holm(chances)
    for p, own in zip(corrected, chances, strict=True):
        # Rejected at a level where all smaller ones are, each at its own share of the level.
        steps = [sum(c >= other for c in chances) * other for other in chances if other <= own]
        assert p == pytest.approx(min(1.0, max(steps)))
        assert p >= own


def test_one_chance_needs_no_correction() -> None:
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_a_planted_weakness_on_dark_pictures_is_found_and_named() -> None:
    rows, random = many_rows(400), np.random.default_rng(1)
    dark = np.array([(row.brightness or 0) < 0.25 for row in rows])
    right = random.random(400) < np.where(dark, 0.7, 0.97)
    found = slices(rows, right, names(400))
    assert [(s.by, s.worse) for s in found if s.worse] == [("brightness", True)]
    worst = of(found, "brightness")[0]
    assert worst.worse and worst.name.startswith("dark, up to 0.2") and worst.n == 100
    assert worst.low < worst.accuracy < worst.high < worst.rest
    (sentence,) = worse_slices(found)
    assert "brightness: dark" in sentence and f"{worst.accuracy:.1%} of 100" in sentence


def test_a_folder_of_bad_pictures_is_found() -> None:
    rows = many_rows(200, folders=5)
    right = np.array(["shots3/" not in row.path or i % 2 == 0 for i, row in enumerate(rows)])
    worse = [s for s in slices(rows, right, names(200)) if s.worse]
    assert [(s.by, s.name, s.n, s.accuracy, s.rest) for s in worse] == [
        ("folder", "shots3", 40, 0.5, 1.0)
    ]


def test_what_is_better_than_the_rest_is_not_flagged() -> None:
    rows = many_rows(300)
    dark = np.array([(row.brightness or 0) < 0.25 for row in rows])
    right = dark | (np.random.default_rng(0).random(300) < 0.7)
    worse = [s for s in slices(rows, right, names(300)) if s.worse]
    assert not [s for s in worse if s.by == "brightness" and s.accuracy == 1]
    assert not of(slices(rows, right, names(300)), "brightness")[0].worse


@pytest.mark.parametrize("count", [1, 2, 9, 2 * FEWEST - 1])
def test_few_pictures_give_no_flag_however_bad(count: int) -> None:
    rows = many_rows(count)
    right = np.array([(row.brightness or 0) > 0.5 for row in rows], dtype=bool)
    found = slices(rows, right, names(count))
    assert all(s.p is None and not s.worse for s in found)


def test_copies_of_one_mistake_are_one_mistake() -> None:
    """Pain: one bad picture with twenty near-copies condemns the folder it lies in."""
    rows = many_rows(120, folders=2)
    burst = [row.path.startswith("shots1/") and i < 60 for i, row in enumerate(rows)]
    right, alone = ~np.array(burst), names(120)
    together = ["burst" if b else name for b, name in zip(burst, alone, strict=True)]
    assert any(s.by == "folder" and s.worse for s in slices(rows, right, alone))
    assert not any(s.worse for s in slices(rows, right, together))


def test_false_alarms_are_rarer_than_the_level() -> None:
    """Over all slices of a table together, where nothing is worse than anything else."""
    random, alarms, times = np.random.default_rng(0), 0, 150
    for seed in range(times):
        rows = many_rows(200, seed, folders=4)
        alarms += any(s.worse for s in slices(rows, random.random(200) < 0.9, names(200)))
    assert alarms <= LEVEL * times + 2 * (LEVEL * times) ** 0.5


def test_the_chance_is_fishers_times_the_number_of_tests() -> None:
    rows = [replace(row, brightness=None, contrast=None) for row in many_rows(40, folders=2)]
    rows = [replace(row, width=None, label="a") for row in rows]
    right = np.array([i % 2 == 0 or i > 12 for i in range(40)])
    found = slices(rows, right, names(40))
    assert [s.by for s in found] == ["folder", "folder"]
    wrong = int((~right[1::2]).sum())
    raw = fisher_exact([[wrong, 20 - wrong], [0, 20]], alternative="greater").pvalue
    assert found[1].p == pytest.approx(2 * raw)


def test_a_folder_for_each_class_asks_no_second_question() -> None:
    rows = [replace(row, path=f"{row.label}/{i}.jpg") for i, row in enumerate(many_rows(60))]
    found = slices(rows, np.ones(60, dtype=bool), names(60))
    assert len(of(found, "class")) == 2 and not of(found, "folder")


def test_pictures_without_measures_and_perfect_answers_give_no_warning() -> None:
    rows = [Row(f"{i}.jpg", "pizza") for i in range(50)]
    assert slices(rows, np.ones(50, dtype=bool), names(50)) == []
    assert slices([], np.ones(0, dtype=bool), []) == []


def test_contrast_alone_makes_no_picture_sharp() -> None:
    """The Laplacian's variance grows with the square of the contrast."""
    contrasts = [0.125, 0.25, 0.5, 1.0] * 10
    sharp = [
        Row(f"{i}.jpg", "a", sharpness=c * c * 128, contrast=c) for i, c in enumerate(contrasts)
    ]
    assert not of(slices(sharp, np.ones(40, dtype=bool), names(40)), "sharpness")
