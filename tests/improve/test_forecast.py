"""The forecast: the curve that made the errors is found, and is sound wherever it is asked."""

from math import isfinite

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pizzaiolo.improve.diagnose.forecast import FAR, Forecast, forecast

SIZES = np.array([95.0, 190.0, 330.0, 480.0, 670.0, 950.0])
ERRORS = arrays(np.float64, len(SIZES), elements=st.floats(0, 1))
CURVES = st.builds(
    Forecast, st.floats(0, 0.5), st.floats(0, 2), st.floats(0.05, 2), st.floats(10, 1e5)
)


@given(st.floats(0, 0.1), st.floats(0.3, 1.0), st.floats(0.25, 0.7))
def test_a_curve_without_noise_is_followed(floor: float, factor: float, exponent: float) -> None:
    errors = floor + factor * SIZES**-exponent
    found = forecast(SIZES, errors, 100_000)
    for times in (1, 2, 4):
        n = times * SIZES[-1]
        assert found.at(n).value == pytest.approx(1 - floor - factor * n**-exponent, abs=0.004)


@given(ERRORS)
def test_accuracy_never_falls_with_more_pictures_and_lies_between_0_and_1(
    errors: np.ndarray,
) -> None:
    found = forecast(SIZES, errors, 1000)
    values = [found.at(n).value or 0.0 for n in (1, 10, 100, 1000, 1e4, 1e6)]
    assert values == sorted(values)
    assert values[0] >= 0 and values[-1] <= 1


@given(CURVES, st.floats(0.5, 1.0))
def test_so_many_pictures_do_reach_the_wish_and_fewer_do_not(found: Forecast, wish: float) -> None:
    needed = found.needed(wish)
    if needed is None:
        assert (found.at(1e9).value or 0.0) < wish or found.floor >= 1 - wish - 1e-12
    elif needed.pictures < 1e14:
        assert (found.at(needed.pictures).value or 0.0) >= wish - 1e-9
        if needed.pictures > 1:
            assert (found.at((needed.pictures - 1) * 0.999).value or 0.0) < wish + 1e-9
        assert (
            needed.far == (needed.pictures > FAR * found.most + 1)
            or abs(needed.pictures - FAR * found.most) < 2
        )


@given(CURVES, st.floats(0.5, 0.999), st.floats(0, 0.2))
def test_a_higher_wish_never_takes_fewer(found: Forecast, wish: float, more: float) -> None:
    first, second = found.needed(wish), found.needed(min(1.0, wish + more))
    assert second is None or (first is not None and first.pictures <= second.pictures)


def test_a_floor_above_the_wish_is_never_reached() -> None:
    assert Forecast(0.05, 1.0, 0.5, 1000.0).needed(0.96) is None
    assert Forecast(0.05, 1.0, 0.5, 1000.0).needed(0.94) is not None


def test_far_is_what_no_one_can_see() -> None:
    assert Forecast(0.0, 1.0, 0.5, 1000.0).needed(0.995).far  # type: ignore[union-attr]
    near = Forecast(0.0, 1.0, 0.5, 1000.0).needed(0.98)
    assert near is not None and not near.far and near.pictures == pytest.approx(2500, abs=1)


@given(st.floats(0.01, 0.4))
def test_with_few_sizes_simpler_curves_are_taken(error: float) -> None:
    one = forecast(np.array([100.0]), np.array([error]), 500)
    assert one.at(10_000).value == pytest.approx(1 - error)
    two = forecast(np.array([100.0, 400.0]), np.array([2 * error, error]), 500)
    assert two.floor == 0 and (two.at(1600).value or 0.0) > 1 - error


def test_errors_that_rise_give_a_flat_curve() -> None:
    found = forecast(SIZES, np.linspace(0.05, 0.08, len(SIZES)), 1000)
    assert found.factor == 0 and found.gain(2).value == 0


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_the_interval_holds_the_forecast_and_widens_with_distance(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = 0.02 + 0.4 * SIZES**-0.4
    drawn = np.clip(truth + random.normal(0, 0.006, (200, len(SIZES))), 0, 1)
    found = forecast(SIZES, drawn[0], 1000, drawn)
    near, far = found.at(1000), found.at(20_000)
    for figure in (near, far):
        assert figure.low is not None and figure.high is not None and figure.value is not None
        assert figure.low <= figure.value <= figure.high
    gain = found.gain(2)
    assert gain.low is not None and gain.high is not None
    assert 0 <= gain.low <= (gain.value or 0.0) <= gain.high


def test_what_some_curves_never_reach_has_no_upper_end() -> None:
    draws = np.array([[0.0, 1.0, 0.5]] * 90 + [[0.05, 1.0, 0.5]] * 10)
    needed = Forecast(0.0, 1.0, 0.5, 1000.0, draws).needed(0.97)
    assert needed is not None and needed.high is None and isfinite(needed.low)
