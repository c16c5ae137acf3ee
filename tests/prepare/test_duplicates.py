"""Copies: what the hashes say, against a plain comparison of all pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.prepare.duplicates import (
    FULL_CLUSTER,
    alike,
    correlations,
    groups_of,
    hash_bits,
    near_pairs,
    same_photo,
)

words = st.integers(0, 2**64 - 1)


@st.composite
def families(draw: st.DrawFn) -> list[int]:
    """Hashes of which many differ in few bits only."""
    seeds = draw(st.lists(words, min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=9)
    members = st.tuples(st.sampled_from(seeds), flips)
    found = []
    for seed, bits in draw(st.lists(members, max_size=14)):
        for bit in bits:
            seed ^= 1 << bit
        found.append(seed)
    return found


def brute_force(hashes: list[int], distance: int) -> list[list[int]]:
    pairs = combinations(range(len(hashes)), 2)
    return [[i, j] for i, j in pairs if (hashes[i] ^ hashes[j]).bit_count() <= distance]


@given(hashes=families(), distance=st.integers(0, 16))
@settings(max_examples=150, deadline=None)
def test_near_pairs_are_those_of_all_pairs(hashes: list[int], distance: int) -> None:
    assert near_pairs(hashes, distance).tolist() == brute_force(hashes, distance)


def test_near_pairs_of_many_strangers_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pain: 40,000 pictures fail (imagededup); here the comparison goes in blocks."""
    monkeypatch.setattr("pizzaiolo.prepare.duplicates.BLOCK", 1000)
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 600, np.uint64)
    hashes[1::2] = hashes[::2] ^ (np.uint64(1) << random.integers(0, 64, 300).astype(np.uint64))
    assert near_pairs(hashes, 10).tolist() == brute_force([int(h) for h in hashes], 10)


def test_a_crowd_of_equal_hashes_is_linked_without_all_its_pairs() -> None:
    """Pain: the same picture thousands of times eats the memory (cleanvision)."""
    count = 20_000
    hashes = np.full(count, 7, np.uint64)
    hashes[-3:] = 6
    pairs = near_pairs(hashes, 4)
    assert len(pairs) < 3 * count
    assert set(groups_of(count, map(tuple, pairs.tolist()))) == {0}
    assert count > FULL_CLUSTER


@pytest.mark.parametrize("hashes", [[], [1]])
def test_no_pairs_of_none_or_one(hashes: list[int]) -> None:
    assert near_pairs(hashes, 10).shape == (0, 2)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_groups_are_a_partition_named_by_their_smallest(pairs: list[tuple[int, int]]) -> None:
    roots = groups_of(20, pairs)
    assert all(roots[a] == roots[b] for a, b in pairs)
    assert all(roots[root] == root <= item for item, root in enumerate(roots))
    joins = sum(1 for item, root in enumerate(roots) if item != root)
    assert joins <= len(pairs)  # nothing is joined without a pair
    assert groups_of(20, pairs[::-1]) == roots
    assert groups_of(20, [(b, a) for a, b in pairs]) == roots


def test_items_without_pairs_stay_alone() -> None:
    assert groups_of(3, []) == [0, 1, 2] and groups_of(0, []) == []
    assert groups_of(5, [(1, 3), (3, 4)]) == [0, 1, 2, 1, 1]


def test_hash_bits_counts_the_bits_that_differ() -> None:
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    assert hash_bits([0, 1, 2**64 - 1], pairs).tolist() == [1, 64, 63]
    assert hash_bits([], np.zeros((0, 2), np.int64)).tolist() == []


def test_correlations_are_pearsons() -> None:
    random = np.random.default_rng(0)
    greys = random.integers(0, 256, (4, 32, 32), np.uint8)
    greys[2] = greys[0] // 2 + 40  # darker and flatter: the same picture
    greys[3] = 255 - greys[0]
    found = correlations(greys, np.array([[0, 1], [0, 2], [0, 3], [1, 1]]))
    expected = np.corrcoef(greys[0].ravel(), greys[1].ravel())[0, 1]
    assert found == pytest.approx([expected, 1, -1, 1], abs=2e-3)


def test_a_flat_picture_correlates_with_nothing() -> None:
    greys = np.zeros((2, 32, 32), np.uint8)
    greys[1, 0, 0] = 9
    assert correlations(greys, np.array([[0, 0], [0, 1]])).tolist() == [0, 0]


@given(bits=st.integers(0, 64), low=st.floats(-1, 1), high=st.floats(-1, 1))
def test_a_likelier_pair_is_never_refused_for_a_less_likely_one(
    bits: int, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    one, other = (
        alike(np.array([bits]), np.array([low])), alike(np.array([bits]), np.array([high]))
    )  # fmt: skip
    assert one <= other
    assert alike(np.array([bits + 1]), np.array([high])) <= other
    assert same_photo(np.array([bits]), np.array([high])) <= other
