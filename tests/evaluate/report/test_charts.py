"""Charts: the points lie where the figures are, and every chart says what it is."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.evaluate.report.charts import MOST_POINTS, PLOT, Chart, charts_of, thinned
from pizzaiolo.evaluate.report.facts import Facts, Novelty
from toy_report import CARD, calibration, decision, facts, novelty, result

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: Chart) -> ET.Element:
    return ET.fromstring(chart.picture)


def points(chart: Chart, kind: str) -> list[tuple[float, float]]:
    """Points of the polyline of a colour, pixels."""
    lines = drawn(chart).iter(f"{SVG}polyline")
    found = next(line for line in lines if kind in (line.get("class") or "").split())
    pairs = (pair.split(",") for pair in (found.get("points") or "").split())
    return [(float(x), float(y)) for x, y in pairs]


def ring(chart: Chart) -> tuple[float, float]:
    (circle,) = (c for c in drawn(chart).iter(f"{SVG}circle") if c.get("class") == "ring")
    return float(circle.get("cx") or "nan"), float(circle.get("cy") or "nan")


def test_every_chart_is_sound_and_named() -> None:
    found = charts_of(facts())
    assert list(found) == ["confidence", "decision", "novelty", "robustness"]
    assert [len(charts) for charts in found.values()] == [2, 3, 1, 6]
    for chart in (chart for charts in found.values() for chart in charts):
        picture = drawn(chart)
        title = picture.find(f"{SVG}title")
        assert picture.get("role") == "img" and title is not None and title.text
        assert chart.title and chart.caption and "style" not in chart.picture
        assert not re.search(r"\bnan\b|\binf\b", chart.picture)


def test_without_figures_there_are_no_charts() -> None:
    assert not any(charts_of(Facts(result(), CARD)).values())


def test_reliability_lies_on_the_diagonal_where_it_is_right() -> None:
    exact = [(p, p, 20.0) for p in np.linspace(0.5, 1.0, 10)]
    (chart,) = charts_of(Facts(result(), CARD, reliability=exact))["confidence"]
    (low, bottom), (high, top) = points(chart, "guide")
    for x, y in points(chart, "second"):
        assert (x - low) / (high - low) == pytest.approx((bottom - y) / (bottom - top), abs=0.01)


def test_reliability_before_and_after_is_told_apart() -> None:
    chart = charts_of(facts(decision=None, roc=()))["confidence"][0]
    assert ">before<" in chart.picture and ">after<" in chart.picture
    before, after = (points(chart, colour) for colour in ("first", "second"))
    assert all(b[1] > a[1] for b, a in zip(before, after, strict=True)), "y runs downwards"
    alone = charts_of(facts(calibration=replace(calibration(), before=())))["confidence"][0]
    assert ">before<" not in alone.picture and ">after<" not in alone.picture


def test_the_rings_are_at_what_is_in_use() -> None:
    found = charts_of(facts())
    x, y = ring(found["decision"][0])  # recall 0.975, precision 0.975
    assert x == pytest.approx(0.975 * PLOT.width, abs=0.1) and 0 <= y < PLOT.height / 2
    x, _ = ring(found["decision"][1])  # threshold 0.5
    assert x == pytest.approx(PLOT.width / 2, abs=0.1)
    assert 0 <= ring(found["confidence"][1])[0] <= PLOT.width


def test_without_figures_of_the_split_there_is_no_ring() -> None:
    made = facts(decision=replace(decision(), coverage=None, answered=None))
    assert 'class="ring"' not in charts_of(made)["confidence"][1].picture


def test_a_histogram_is_of_shares_and_shows_the_cut() -> None:
    (chart,) = charts_of(facts())["novelty"]
    assert ">validation<" in chart.picture and ">test<" in chart.picture
    assert 'class="mark"' in chart.picture and "3.0 %" in chart.caption
    alone = replace(novelty(), validation=())
    (chart,) = charts_of(facts(novelty=alone))["novelty"]
    assert ">validation<" not in chart.picture
    assert charts_of(facts(novelty=Novelty(1.0)))["novelty"] == []


def test_robustness_starts_at_the_clean_accuracy_and_shares_its_axes() -> None:
    found = charts_of(facts())["robustness"]
    starts = {points(chart, "second")[0] for chart in found}
    assert len(starts) == 1 and points(found[0], "guide")[0] == starts.pop()
    assert [len(points(chart, "second")) for chart in found] == [6] * 6
    assert found[0].caption == "97 % → 91 % → 87 % (radius, pixels: 1 to 8)"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=900))
def test_a_thinned_curve_keeps_its_ends_and_its_order(curve: list[tuple[float, float]]) -> None:
    found = thinned(curve, "x", "y")
    assert (found[0], found[-1]) == (curve[0], curve[-1]) and len(found) <= MOST_POINTS
    rest = iter(curve)
    assert all(point in rest for point in found)
    assert found == thinned([{"x": x, "y": y, "z": 0.0} for x, y in curve], "x", "y")
