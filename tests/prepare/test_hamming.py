"""Near hashes: exactly those of a plain comparison of all pairs, without making it."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.prepare import hamming
from pizzaiolo.prepare.duplicates import groups_of
from pizzaiolo.prepare.hamming import (
    CROWD,
    FULL_CLUSTER,
    families,
    hash_bits,
    near_pairs,
    pack,
    unique_pairs,
    unpack,
)  # fmt: skip

words = st.integers(0, 2**64 - 1)


@st.composite
def relatives(draw: st.DrawFn) -> list[int]:
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


def flipped(hashes: np.ndarray, bits: int, seed: int) -> np.ndarray:
    """Each hash with `bits` random bits flipped."""
    chosen = np.argsort(np.random.default_rng(seed).random((len(hashes), 64)), axis=1)[:, :bits]
    return hashes ^ np.bitwise_or.reduce(np.uint64(1) << chosen.astype(np.uint64), axis=1)


@given(hashes=relatives(), distance=st.integers(0, 16))
@settings(max_examples=150, deadline=None)
def test_near_pairs_are_those_of_all_pairs(hashes: list[int], distance: int) -> None:
    assert near_pairs(hashes, distance).tolist() == brute_force(hashes, distance)


@pytest.mark.parametrize("distance", [1, 4, 10, 16])
def test_near_pairs_of_many_hashes_in_chunks(
    distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pain: 40,000 pictures fail (imagededup); here the comparison goes in chunks."""
    monkeypatch.setattr(hamming, "CHUNK", 100)
    hashes = np.random.default_rng(0).integers(0, 2**64, 600, np.uint64)
    hashes[400:500] = flipped(hashes[:100], distance, seed=1)
    hashes[500:] = flipped(hashes[:100], distance + 1, seed=2)
    expected = brute_force([int(h) for h in hashes], distance)
    assert near_pairs(hashes, distance).tolist() == expected
    assert len(expected) >= 100


@pytest.mark.parametrize("count", [300, 6_000, 50_000])
@pytest.mark.parametrize("distance", [3, 10])
def test_every_planted_pair_is_found_whatever_the_number_of_hashes(
    count: int, distance: int
) -> None:
    """The cut into bands depends on the number; the answer must not."""
    hashes = np.random.default_rng(count).integers(0, 2**64, count, np.uint64)
    planted = count // 50
    hashes[-planted:] = flipped(hashes[:planted], distance, seed=3)
    found = set(map(tuple, near_pairs(hashes, distance).tolist()))
    assert found >= {(i, count - planted + i) for i in range(planted)}
    pairs = np.array(sorted(found))
    assert hash_bits(hashes, pairs).max() <= distance and (pairs[:, 0] < pairs[:, 1]).all()


def test_a_crowd_of_equal_hashes_is_linked_without_all_its_pairs() -> None:
    """Pain: the same picture thousands of times eats the memory (cleanvision)."""
    count = 100_000
    hashes = np.full(count, 7, np.uint64)
    hashes[-3:] = 6
    pairs = near_pairs(hashes, 4)
    assert count > FULL_CLUSTER and len(pairs) < 6 * count
    assert set(groups_of(count, pairs)) == {0}


def test_a_crowd_of_close_hashes_is_linked_without_all_its_pairs() -> None:
    """Frames of one camera: thousands of hashes, all within a few bits of each other."""
    count = 5_000
    noise = np.random.default_rng(0).integers(0, 64, (count, 4)).astype(np.uint64)
    hashes = np.unique(np.bitwise_or.reduce(np.uint64(1) << noise, axis=1))
    pairs = near_pairs(hashes, 10)
    assert len(pairs) < 3 * CROWD * len(hashes)
    assert set(groups_of(len(hashes), pairs)) == {0}


@pytest.mark.parametrize("hashes", [[], [1]])
def test_no_pairs_of_none_or_one(hashes: list[int]) -> None:
    assert near_pairs(hashes, 10).shape == (0, 2)


def test_hash_bits_counts_the_bits_that_differ() -> None:
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    assert hash_bits([0, 1, 2**64 - 1], pairs).tolist() == [1, 64, 63]
    assert hash_bits([], np.zeros((0, 2), np.int64)).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=20))
def test_packed_pairs_come_back_ordered_and_once(pairs: list[tuple[int, int]]) -> None:
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    assert np.stack(unpack(pack(left, right)), 1).tolist() == [list(p) for p in pairs]
    expected = sorted({(min(p), max(p)) for p in pairs if p[0] != p[1]})
    assert list(map(tuple, unique_pairs(pack(left, right)).tolist())) == expected


@given(st.lists(st.integers(1, 2 * FULL_CLUSTER), max_size=4))
def test_families_are_held_together(sizes: list[int]) -> None:
    order = np.random.default_rng(0).permutation(sum(sizes))
    pairs = unique_pairs(families(order, np.array(sizes, np.int64)))
    roots = np.array(groups_of(len(order), pairs), np.int64)
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        assert len(set(roots[order[end - size : end]])) == 1
    assert len(set(roots)) == len(sizes)
    large = sum(5 * s for s in sizes if s > FULL_CLUSTER)
    small = sum(s * (s - 1) // 2 for s in sizes if s <= FULL_CLUSTER)
    assert small <= len(pairs) <= small + large
