"""A threshold for a stated aim: the best of all that can be tried, or None and the reason."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from pizzaiolo.errors import UsageError
from pizzaiolo.evaluate.threshold import (
    POINTS,
    Aim,
    choose,
    cost_aim,
    cost_curve,
    cuts,
    mean_cost,
    parse_aim,
    parse_costs,
    precision_recall_curve,
)

scored = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8).map(lambda i: i / 8) | st.floats(0, 1)),
    min_size=2,
    max_size=40,
)


def arrays(pairs: list[tuple[bool, float]]) -> tuple[Any, Any]:
    positive, scores = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    assume(0 < positive.sum() < len(positive))
    return positive, scores


@settings(deadline=None, max_examples=40)
@given(scored)
def test_the_counts_are_those_of_answering_with_the_threshold(
    pairs: list[tuple[bool, float]],
) -> None:
    positive, scores = arrays(pairs)
    table = cuts(positive, scores)
    assert (np.diff(table.thresholds) > 0).all() or table.thresholds[1] == 0
    assert ((table.thresholds >= 0) & (table.thresholds <= 1)).all()
    for row, threshold in enumerate(table.thresholds):
        answered = scores >= threshold
        assert table.hits[row] == (answered & positive).sum()
        assert table.false[row] == (answered & ~positive).sum()
        options = {"zero_division": 0}
        assert table.precision[row] == pytest.approx(
            sk.precision_score(positive, answered, **options)
        )
        assert table.recall[row] == pytest.approx(sk.recall_score(positive, answered, **options))
        assert table.f1[row] == pytest.approx(sk.f1_score(positive, answered, **options))


TRIED = np.concatenate([np.linspace(0, 1, 21), np.linspace(0, 1, 17)])


@settings(deadline=None, max_examples=40)
@given(scored)
def test_no_other_threshold_has_a_higher_f1(pairs: list[tuple[bool, float]]) -> None:
    positive, scores = arrays(pairs)
    found = choose(Aim("f1"), positive, scores)
    assert found.threshold is not None and found.reason is None
    assert found.f1 == pytest.approx(sk.f1_score(positive, scores >= found.threshold))
    assert found.f1 >= max(sk.f1_score(positive, scores >= t) for t in TRIED) - 1e-12


@settings(deadline=None, max_examples=40)
@given(scored, st.floats(0, 10), st.floats(0, 10))
def test_no_other_threshold_costs_less(
    pairs: list[tuple[bool, float]], false: float, missed: float
) -> None:
    positive, scores = arrays(pairs)

    def paid(threshold: float) -> float:
        answered = scores >= threshold
        return float((false * (answered & ~positive) + missed * (~answered & positive)).mean())

    found = choose(Aim("cost", false=false, missed=missed), positive, scores)
    assert found.threshold is not None and found.cost == pytest.approx(paid(found.threshold))
    assert found.cost <= min(map(paid, TRIED)) + 1e-12


@settings(deadline=None, max_examples=40)
@given(scored, st.floats(0.05, 1))
def test_a_wished_precision_is_reached_with_the_highest_recall(
    pairs: list[tuple[bool, float]], wish: float
) -> None:
    positive, scores = arrays(pairs)
    found = choose(Aim("precision", wish), positive, scores)
    tried = [scores >= t for t in TRIED]
    able = [
        sk.recall_score(positive, a)
        for a in tried
        if (a & positive).any() and sk.precision_score(positive, a) >= wish
    ]
    if found.threshold is None:
        assert not able and f"a precision of {wish:.1%}" in (found.reason or "")
        return
    answered = scores >= found.threshold
    assert sk.precision_score(positive, answered) >= wish
    assert found.recall == pytest.approx(sk.recall_score(positive, answered))
    assert found.recall >= max(able, default=0) - 1e-12


@settings(deadline=None, max_examples=40)
@given(scored, st.floats(0.05, 1))
def test_a_wished_recall_is_always_reached_with_the_highest_precision(
    pairs: list[tuple[bool, float]], wish: float
) -> None:
    positive, scores = arrays(pairs)
    found = choose(Aim("recall", wish), positive, scores)
    assert found.threshold is not None and found.recall is not None and found.recall >= wish
    able = [
        sk.precision_score(positive, scores >= t)
        for t in TRIED
        if (scores >= t).any() and sk.recall_score(positive, scores >= t) >= wish
    ]
    assert found.precision is not None and found.precision >= max(able, default=0) - 1e-12


def test_of_equally_good_thresholds_the_middle_one_is_taken() -> None:
    positive = np.array([False, False, True, True])
    found = choose(Aim("f1"), positive, np.array([0.1, 0.3, 0.9, 0.95]))
    assert found.threshold == pytest.approx(0.6) and found.f1 == 1
    assert choose(Aim("recall", 1.0), positive, np.full(4, 0.7)).threshold == 0


@pytest.mark.parametrize(
    ("positive", "scores", "reason"),
    [
        ([True, True], [0.2, 0.9], "one class"),
        ([False, False], [0.2, 0.9], "one class"),
        ([True, False], [0.2, np.nan], "no numbers"),
        ([], [], "no pictures"),
    ],
)
@pytest.mark.parametrize("aim", [Aim("f1"), Aim("precision", 0.9), Aim("recall", 0.9), Aim("cost")])
def test_where_it_is_undefined_the_reason_is_told(
    positive: list[bool], scores: list[float], reason: str, aim: Aim
) -> None:
    found = choose(aim, np.array(positive, bool), np.array(scores, float))
    assert found.threshold is None and reason in (found.reason or "")


def test_a_precision_out_of_reach_names_the_highest() -> None:
    positive, scores = np.array([True, True, False]), np.array([0.5, 0.6, 0.9])
    found = choose(Aim("precision", 0.99), positive, scores)
    assert found.threshold is None
    assert found.reason == (
        "no threshold reaches a precision of 99.0%: the highest is 66.7%, at a threshold of 0.000"
    )


@pytest.mark.parametrize(
    ("text", "aim"),
    [
        ("f1", Aim("f1")),
        ("precision=0.95", Aim("precision", 0.95)),
        (" recall = 1 ", Aim("recall", 1.0)),
    ],
)
def test_aims_are_read(text: str, aim: Aim) -> None:
    assert parse_aim(text) == aim


@pytest.mark.parametrize(
    "text", ["", "f2", "f1=3", "precision", "precision=", "precision=95", "recall=0", "recall=nan"]
)
def test_an_aim_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_aim(text)


def test_costs_are_read_as_prices_of_mistakes() -> None:
    names = ("not_pizza", "pizza")
    prices = parse_costs("false_pizza=5, missed_pizza=1", names)
    assert prices.tolist() == [[0, 5], [1, 0]]
    assert cost_aim(prices, 1) == Aim("cost", false=5, missed=1)
    assert cost_aim(prices, 0) == Aim("cost", false=1, missed=5)
    assert parse_costs("false_pizza=5", names).tolist() == [[0, 5], [1, 0]]
    assert parse_costs("false_pizza=2,missed_not_pizza=1", names).tolist() == [[0, 3], [1, 0]]


def test_costs_of_several_classes() -> None:
    prices = parse_costs("missed_b=4", ("a", "b", "c"))
    assert prices.tolist() == [[0, 1, 1], [4, 0, 4], [1, 1, 0]]
    matrix = np.array([[8, 1, 0], [1, 8, 1], [0, 0, 9]])
    assert mean_cost(matrix, prices) == pytest.approx((1 + 4 + 4) / 28)


@pytest.mark.parametrize(
    "text",
    ["", "pizza=5", "false_piza=5", "false_pizza", "false_pizza=-1", "false_pizza=inf",
     "false_pizza=1,false_pizza=2", "false_pizza=0,missed_pizza=0"],
)  # fmt: skip
def test_costs_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_costs(text, ("not_pizza", "pizza"))


def test_a_misspelt_cost_names_the_nearest() -> None:
    with pytest.raises(UsageError) as error:
        parse_costs("false_piza=5", ("not_pizza", "pizza"))
    assert "'false_pizza'" in (error.value.hint or "")


@settings(deadline=None, max_examples=40)
@given(scored)
def test_curves_show_what_thresholds_reach(pairs: list[tuple[bool, float]]) -> None:
    positive, scores = arrays(pairs)
    for point in precision_recall_curve(positive, scores):
        answered = scores >= point["threshold"]
        assert point["precision"] == pytest.approx(sk.precision_score(positive, answered))
        assert point["recall"] == pytest.approx(sk.recall_score(positive, answered))
    for point in cost_curve(positive, scores, Aim("cost", false=5)):
        answered = scores >= point["threshold"]
        expected = (5 * (answered & ~positive) + (~answered & positive)).mean()
        assert point["cost"] == pytest.approx(expected)


def test_curves_of_many_pictures_are_thinned_and_of_none_are_empty() -> None:
    generator = np.random.default_rng(0)
    positive, scores = generator.random(5000) < 0.5, generator.random(5000)
    curve = precision_recall_curve(positive, scores)
    assert 150 <= len(curve) <= POINTS and curve[0]["recall"] == 1
    assert len(cost_curve(positive, scores, Aim("cost"))) <= POINTS
    undefined = np.array([np.nan, 0.5])
    assert precision_recall_curve(np.array([True, False]), undefined) == []
    assert cost_curve(np.array([True, False]), undefined, Aim("cost")) == []
    assert precision_recall_curve(np.zeros(3, bool), np.zeros(3)) == []
