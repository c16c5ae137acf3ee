"""Curves: every figure in its place, the best marked, and no figure that breaks the picture."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.train.curves import learning_curves, rate_curve
from pizzaiolo.train.plan import Epoch

SVG = "{http://www.w3.org/2000/svg}"
HISTORY = (
    Epoch(0, None, 0.9, 0.5, 0.5, 0.0, 1.0),
    Epoch(1, 0.8, 0.5, 0.75, 0.7, 0.1, 1.0),
    Epoch(2, 0.4, 0.3, 0.875, 0.8, 0.1, 1.0),
    Epoch(3, 0.2, 0.4, 0.9, 0.9, 0.0, 1.0),
)


def panels(text: str) -> list[ET.Element]:
    return ET.fromstring(text).findall(f"{SVG}g")


def curves(panel: ET.Element) -> dict[str, list[tuple[float, float]]]:
    """The points of each curve of a panel, in pixels, by its colour."""
    found = {}
    for line in panel.iter(f"{SVG}polyline"):
        numbers = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
        found[line.attrib["class"].split()[-1]] = [(x, y) for x, y in numbers]
    return found


def texts(panel: ET.Element) -> list[str]:
    return [element.text or "" for element in panel.iter(f"{SVG}text")]


def ring(panel: ET.Element) -> tuple[float, float]:
    (circle,) = (c for c in panel.iter(f"{SVG}circle") if c.attrib["class"] == "ring")
    return float(circle.attrib["cx"]), float(circle.attrib["cy"])


def test_losses_and_accuracy_have_a_panel_each() -> None:
    loss, accuracy = panels(learning_curves(HISTORY))
    assert {name: len(points) for name, points in curves(loss).items()} == {
        "first": 3,  # epoch 0 has no training loss
        "second": 4,
    }
    assert len(curves(accuracy)["second"]) == 4
    for name in ("Loss", "training", "validation", "epoch"):
        assert name in texts(loss)
    assert {"Validation accuracy", "epoch"} <= set(texts(accuracy))
    heights = [y for _, y in curves(accuracy)["second"]]
    assert heights == sorted(heights, reverse=True)  # better is higher, and y goes down


def test_the_best_epoch_is_marked_on_both_curves() -> None:
    loss, accuracy = panels(learning_curves(HISTORY))
    assert ring(loss) == curves(loss)["second"][2]
    assert ring(accuracy) == curves(accuracy)["second"][2]
    assert "best: epoch 2" in texts(loss) and "best: 87.5 %" in texts(accuracy)


def test_the_caller_may_know_better_which_is_best() -> None:
    loss, _ = panels(learning_curves(HISTORY, best=3))
    assert ring(loss) == curves(loss)["second"][3] and "best: epoch 3" in texts(loss)


def test_both_schemes_have_their_colours() -> None:
    """A picture that can't be read on a dark page."""
    assert "prefers-color-scheme: dark" in learning_curves(HISTORY)


@pytest.mark.parametrize("history", [(), HISTORY[:1], HISTORY[1:2]])
def test_few_epochs_are_a_picture_too(history: Sequence[Epoch]) -> None:
    loss, accuracy = panels(learning_curves(history))
    assert len(curves(loss)["second"]) == len(curves(accuracy)["second"]) == len(history)


figures = st.floats(-1e80, 1e80) | st.sampled_from([math.nan, math.inf])


@given(st.lists(st.tuples(figures | st.none(), figures, st.floats(0, 1)), max_size=60))
def test_any_history_is_a_whole_picture(rows: list[tuple[float | None, float, float]]) -> None:
    """A loss that is no number, or a huge one, must not spoil the figures that are left."""
    history = [
        Epoch(number, train, abs(validation), share, 0, 0, 0)
        for number, (train, validation, share) in enumerate(rows, 1)
    ]
    loss, accuracy = panels(learning_curves(history))
    assert len(curves(accuracy)["second"]) == len(rows)
    finite = [e for e in history if math.isfinite(e.validation_loss)]
    assert len(curves(loss)["second"]) == len(finite)
    for panel in (loss, accuracy):
        for x, y in (point for points in curves(panel).values() for point in points):
            assert -1 <= x <= 331 and -1 <= y <= 201


@pytest.mark.parametrize("loss", [1e200, -1e308, math.inf, math.nan])
def test_an_absurd_loss_leaves_the_others_to_be_seen(loss: float) -> None:
    worst = Epoch(4, loss, loss, 0.5, 0.5, 0.0, 1.0)
    found, plain = (
        curves(panels(learning_curves(history, best=2))[0])["second"]
        for history in ((*HISTORY, worst), HISTORY)
    )
    assert [y for _, y in found[:4]] == [y for _, y in plain]


RATES = [10.0**exponent for exponent in range(-6, 1)]
LOSSES = [0.7, 0.69, 0.6, 0.4, 0.3, 2.0, 900.0]


def test_the_chosen_rate_is_marked() -> None:
    (panel,) = panels(rate_curve(RATES, LOSSES, 1e-3))
    assert ring(panel) == curves(panel)["second"][3]
    assert "chosen: 1e-3" in texts(panel) and {"1e-6", "1e-3", "1e0"} <= set(texts(panel))


def test_rates_are_spaced_by_their_logarithm() -> None:
    (panel,) = panels(rate_curve(RATES, LOSSES, 1e-3))
    places = [x for x, _ in curves(panel)["second"]]
    steps = [b - a for a, b in pairwise(places)]
    assert max(steps) - min(steps) <= 0.2


def test_a_loss_that_blows_up_does_not_flatten_the_rest() -> None:
    (panel,) = panels(rate_curve(RATES, LOSSES, 1e-3))
    heights = [y for _, y in curves(panel)["second"]]
    assert max(heights[:5]) - min(heights[:5]) > 60  # pixels of 200
    assert min(heights) < 0  # the rest runs out of the frame, which cuts it off


@given(
    st.lists(st.tuples(st.floats(1e-80, 1e3), st.floats()), max_size=50),
    st.none() | st.floats(1e-9, 10),
)
def test_any_search_for_a_rate_is_a_whole_picture(
    tried: list[tuple[float, float]], chosen: float | None
) -> None:
    rates, losses = [rate for rate, _ in tried], [loss for _, loss in tried]
    (panel,) = panels(rate_curve(rates, losses, chosen))
    kept = [loss for loss in losses if math.isfinite(loss)]
    assert len(curves(panel)["second"]) == len(kept)
