"""The search in blocks gives the very pairs of the search in one memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.prepare import blocks, hamming
from pizzaiolo.prepare.blocks import cut, joined, looked_into, search_blocks, searches
from pizzaiolo.prepare.hamming import CROWD, Hashes, bands, near_pairs, unpack


def close(values: Hashes, distance: int, number: int = 8, shards: int = 3) -> Hashes:
    """As a cluster does it: the hashes of each block look into those that they have to."""
    seen = np.zeros(len(values), np.uint8)
    found = [np.zeros(0, np.uint64)]
    for search in searches(len(values), distance, number):
        pieces, start = [], 0
        for shard in np.array_split(values, shards):
            pieces.append(cut(shard, start, search))
            start += len(shard)
        parts = [joined([piece[u] for piece in pieces]) for u in range(1 << search.prefix)]
        results = [
            search_blocks(search, [parts[u] for u in looked_into(search, t)], seen)
            for t in range(len(parts))
        ]
        found += results
        asked = unpack(np.concatenate(results))[0]
        seen += np.bincount(asked, minlength=len(seen)).astype(np.uint8)
    return np.concatenate(found)


def crowd(count: int, seed: int = 0, bits: int = 4) -> Hashes:
    """Hashes within a few bits of each other, as frames of one camera have them."""
    noise = np.random.default_rng(seed).integers(0, 64, (count, bits)).astype(np.uint64)
    return np.bitwise_or.reduce(np.uint64(1) << noise, axis=1)


@given(
    st.lists(st.tuples(st.sampled_from([0, 2**63 + 5]), st.lists(st.integers(0, 63), max_size=9))),
    st.integers(0, 16),
    st.sampled_from([1, 2, 16]),
)
@settings(max_examples=40, deadline=None)
def test_any_hashes(members: list[tuple[int, list[int]]], distance: int, number: int) -> None:
    hashes = [seed ^ sum({1 << bit for bit in bits}) for seed, bits in members]
    found = near_pairs(hashes, distance, lambda v, d: close(v, d, number))
    assert found.tolist() == near_pairs(hashes, distance).tolist()


@pytest.mark.parametrize("distance", [3, 10])
@pytest.mark.parametrize("count", [2_000, 30_000])
def test_random_hashes_with_planted_copies_and_crowds(
    count: int, distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CHUNK", 700)
    monkeypatch.setattr(hamming, "CHUNK", 500)
    chance = np.random.default_rng(0)
    values = chance.integers(0, 2**64, count, np.uint64)
    values[-count // 50 :] = values[: count // 50] ^ np.uint64(0b1011 << 30)
    values = np.concatenate([values, crowd(1500), crowd(900, 1) ^ values[0], values[:200]])
    values = chance.permutation(np.concatenate([values, np.full(300, 7, np.uint64)]))
    expected = near_pairs(values, distance)
    assert np.array_equal(near_pairs(values, distance, close), expected)
    assert len(expected) > count // 50


@pytest.mark.parametrize("number", [1, 16])
def test_a_crowd_is_thinned_though_it_lies_in_many_blocks(number: int) -> None:
    values = np.unique(crowd(6_000))
    asked = unpack(close(values, 10, number))[0]
    assert np.bincount(asked).max() == CROWD and len(asked) > CROWD * len(values) / 2


@pytest.mark.parametrize("row", [1, 4, 16])
def test_whole_buckets_and_single_hashes_give_the_same(
    row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(0)
    values = np.concatenate([chance.integers(0, 2**64, 4_000, np.uint64), crowd(1_500)])
    expected = near_pairs(values, 9)
    monkeypatch.setattr(hamming, "row_for", lambda *_: row)
    monkeypatch.setattr(hamming, "COLUMNS", 50)
    monkeypatch.setattr(hamming, "ROWS", 7)
    assert np.array_equal(near_pairs(values, 9), expected)


def test_blocks_look_only_into_those_that_may_hold_near_hashes() -> None:
    search = searches(1_000_000, 10, 256)[0]
    assert search.prefix == 8 and bands(1_000_000, 10)[0] == search.band
    into = [looked_into(search, number) for number in range(256)]
    assert into[255] == [255] and into[0][0] == 0
    assert max(map(len, into)) < 100 and sum(map(len, into)) < 256 * 256 / 8
