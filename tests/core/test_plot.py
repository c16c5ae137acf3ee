"""Plots: round numbers on the axes, and text that stays text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.plot import Line, Panel, axis, log_axis, short, svg


@given(st.lists(st.floats(-1e12, 1e12), max_size=30), st.booleans(), st.sampled_from([1.0, 0.01]))
def test_an_axis_shows_all_values_with_a_few_ticks(
    values: list[float], whole: bool, unit: float
) -> None:
    found = axis("x", values if unit == 1.0 else [abs(math.sin(v)) for v in values], whole=whole)
    assert found.low < found.high and 1 <= len(found.ticks) <= 12
    assert list(found.ticks) == sorted(set(found.ticks))
    slack = 1e-6 * (found.high - found.low)
    assert all(found.low - slack <= tick <= found.high + slack for tick in found.ticks)
    if unit == 1.0:
        assert all(found.low - slack <= value <= found.high + slack for value in values)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.12, 0.48], ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        ([0.0, 1.0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([1200.0, 4700.0], ["1,000", "2,000", "3,000", "4,000", "5,000"]),
        ([0.3], ["0.285", "0.290", "0.295", "0.300", "0.305", "0.310", "0.315"]),
        ([math.nan, math.inf], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_ticks_are_round_numbers(values: list[float], ticks: list[str]) -> None:
    found = axis("loss", values)
    assert [found.write(tick) for tick in found.ticks] == ticks


@pytest.mark.parametrize(("first", "last", "ticks"), [(1, 3, "123"), (0, 1, "01"), (1, 9, "2468")])
def test_epochs_are_whole_numbers(first: int, last: int, ticks: str) -> None:
    found = axis("epoch", (first, last), whole=True)
    assert "".join(map(found.write, found.ticks)) == ticks
    assert (found.low, found.high) == (first, last)


@pytest.mark.parametrize("values", [[1.0], [0.0], [0.97, 1.0], [0.0, 0.02], [0.5]])
def test_shares_lie_between_none_and_all(values: list[float]) -> None:
    found = axis("share", values, unit=0.01)
    assert -1e-9 <= found.low <= min(values) and max(values) <= found.high <= 1 + 1e-9
    assert found.write(found.ticks[-1]).endswith(" %")


@given(st.lists(st.floats(1e-80, 1e80), min_size=1, max_size=20))
def test_a_log_axis_shows_all_values(values: list[float]) -> None:
    found = log_axis("rate", values)
    assert 0 < found.low < found.high and 2 <= len(found.ticks) <= 20
    assert all(-0.01 <= found.share(value) <= 1.01 for value in (*values, *found.ticks))


@pytest.mark.parametrize(
    ("value", "text"), [(1e-3, "1e-3"), (3.16e-4, "3.2e-4"), (1.0, "1e0"), (20.0, "2e1")]
)
def test_rates_are_written_as_they_are_typed(value: float, text: str) -> None:
    assert short(value) == text


def test_text_is_never_markup() -> None:
    scale = axis("<x>", (0, 1))
    panel = Panel("a & b", scale, scale, (Line('"<i>', [(0, 0)]), Line("y", [])), said="<script>")
    drawn = svg("<title>", [panel])
    assert "<i>" not in drawn and "<script>" not in drawn and "<x>" not in drawn
    assert "a &amp; b" in drawn
