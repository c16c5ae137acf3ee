"""Lapses: mistakes that come however sure the model is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from pizzaiolo.improve.diagnose.lapse import lapses


def simulated(seed: int, rate: float, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    lead = random.exponential(2.0, count)
    chance = rate + (1 - 2 * rate) * expit(-1.5 * lead)
    return lead, random.random(count) < chance


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.3])
def test_a_planted_rate_is_found(rate: float) -> None:
    found, evidence = lapses(*simulated(0, rate))
    assert found == pytest.approx(rate, abs=0.03)
    assert evidence > 10


@settings(max_examples=15)
@given(st.integers(0, 999))
def test_where_doubt_explains_all_there_are_hardly_any(seed: int) -> None:
    assert lapses(*simulated(seed, 0.0))[0] <= 0.03


@given(st.integers(0, 99), st.floats(0.01, 1000))
def test_the_unit_of_the_lead_makes_no_difference(seed: int, times: float) -> None:
    lead, wrong = simulated(seed, 0.1, 100)
    assert lapses(lead * times, wrong) == pytest.approx(lapses(lead, wrong))


def test_without_leads_nothing_is_told() -> None:
    assert lapses(np.zeros(0), np.zeros(0, bool)) == (0.0, 0.0)
    assert lapses(np.zeros(5), np.ones(5, bool)) == (0.0, 0.0)
