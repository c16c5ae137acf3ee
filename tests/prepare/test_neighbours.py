"""Nearest neighbours of embeddings: exact for few, in cells for many."""

import numpy as np
import pytest

from pizzaiolo.prepare import neighbours
from pizzaiolo.prepare.duplicates import groups_of
from pizzaiolo.prepare.neighbours import LEAST_COSINE, NEIGHBOURS, nearest


def crowd(count: int, width: int, seed: int = 0) -> np.ndarray:
    """Embeddings as a backbone gives them: none is negative, and they lie in clusters."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(20, width))
    mixed = centres[random.integers(0, 20, count)] + random.normal(size=(count, width))
    return np.maximum(mixed, 0).astype(np.float32)


def cosines(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return (unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(1)


def test_pairs_are_those_of_a_plain_search() -> None:
    features = crowd(120, 40)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    every = unit @ unit.T
    np.fill_diagonal(every, -1)
    expected = {
        (min(i, j), max(i, j))
        for i, row in enumerate(every)
        for j in np.argsort(-row)[:NEIGHBOURS].tolist()
        if row[j] >= LEAST_COSINE
    }
    assert set(map(tuple, nearest(features).tolist())) == expected


@pytest.mark.parametrize("exact", [0, 10_000], ids=["cells", "products"])
@pytest.mark.parametrize("width", [64, 300])
def test_planted_copies_are_found_first(
    exact: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT", exact)
    features = crowd(1500, width)
    features[-50:] = features[:50] + 0.1 * crowd(50, width, seed=1)
    pairs = nearest(features)
    first = set(map(tuple, pairs[:200].tolist()))
    assert sum((i, 1450 + i) in first for i in range(50)) >= 49
    assert (pairs[:, 0] < pairs[:, 1]).all() and len(np.unique(pairs, axis=0)) == len(pairs)
    near = cosines(features, pairs)
    assert near.min() >= LEAST_COSINE - 0.01 and (np.diff(near) < 0.1).all()


def test_the_cells_give_the_same_pairs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT", 0)
    features = crowd(2000, 300)
    assert np.array_equal(nearest(features), nearest(features.copy()))


@pytest.mark.parametrize("exact", [0, 10_000], ids=["cells", "products"])
def test_equal_embeddings_are_linked_without_all_their_pairs(
    exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT", exact)
    features = np.tile(crowd(4, 16, seed=2), (5_000, 1))
    pairs = nearest(features)
    assert len(pairs) < 6 * len(features)
    roots = groups_of(len(features), pairs)
    assert all(roots[i] == roots[i % 4] for i in range(len(features)))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_embeddings(count: int) -> None:
    assert nearest(np.ones((count, 8), np.float32)).tolist() == [[0, 1]] * (count == 2)


def test_embeddings_of_nothing_are_near_nothing() -> None:
    features = np.zeros((6, 8), np.float32)
    features[3:] = crowd(3, 8)
    assert all((pair < 3).all() or (pair >= 3).all() for pair in nearest(features))
