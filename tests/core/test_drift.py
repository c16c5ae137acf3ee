"""The stability index: near nothing for the same kind of answers, large for others."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.drift import BINS, SHIFTED, STABLE, Reference, Spread, stability
from pizzaiolo.errors import ModelFileError


def test_the_index_by_hand() -> None:
    """Without the added halves: (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5)."""
    expected = 0.3 * np.log(1.6) - 0.3 * np.log(0.4)
    found = stability([0.5, 0.5], 10**7, [8 * 10**6, 2 * 10**6])
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_same_kind_of_answers_is_stable_and_another_is_not() -> None:
    random = np.random.default_rng(0)
    spread = Spread.of(random.beta(8, 1, 300))

    def index(values: np.ndarray) -> float:
        counts = np.bincount([spread.bin(v) for v in values], minlength=len(spread.shares))
        return stability(spread.shares, 300, counts.tolist())

    same = [index(random.beta(8, 1, 2000)) for _ in range(50)]
    assert np.median(same) < STABLE / 2 and max(same) < STABLE
    assert index(random.beta(3, 1, 2000)) > SHIFTED


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_every_number_has_a_bin_and_the_shares_are_whole(values: list[float]) -> None:
    numbers = np.asarray(values)
    spread = Spread.of(numbers)
    assert sum(spread.shares) == pytest.approx(1) and len(spread.shares) <= BINS
    assert len(spread.edges) == len(spread.shares) - 1
    counts = np.bincount([spread.bin(v) for v in values], minlength=len(spread.shares))
    assert np.allclose(counts / len(values), spread.shares)
    assert all(0 <= spread.bin(v) < len(spread.shares) for v in (-1.0, 2.0))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0))
def test_the_index_is_never_negative_and_nothing_for_the_same(counts: list[int]) -> None:
    shares = [count / sum(counts) for count in counts]
    assert stability(shares, sum(counts), counts) == pytest.approx(0, abs=1e-12)
    assert stability(shares, sum(counts), counts[::-1]) >= 0


def test_a_reference_survives_the_card() -> None:
    made = Reference.of(["Pizza", "Not pizza", "Pizza"], np.array([0.9, 0.8, 1.0]), None)
    assert made.verdicts == {"Pizza": 2 / 3, "Not pizza": 1 / 3}
    assert Reference.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    told = Reference.of(["Pizza"], np.array([1.0]), np.array([0.4]))
    assert Reference.from_dict(told.to_dict()) == told and told.novelty is not None


@pytest.mark.parametrize(
    "change",
    [
        {"verdicts": {}}, {"verdicts": 3}, {"confidence": None}, {"pictures": "x"},
        {"confidence": {"edges": [0.5], "shares": [1.0], "mean": 0}},
        {"confidence": {"edges": [0.5, 0.1], "shares": [0.1, 0.2, 0.7], "mean": 0}},
        {"novelty": {"edges": []}},
    ],
)  # fmt: skip
def test_a_damaged_reference_is_refused(change: dict[str, Any]) -> None:
    facts = Reference.of(["Pizza"], np.array([1.0]), None).to_dict()
    with pytest.raises(ModelFileError, match="reference"):
        Reference.from_dict(facts | change)
