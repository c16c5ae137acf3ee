"""Labels: from probabilities to the answer that a person reads."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.labels import CLOSE, NOT_SURE, UNLIKE, Labels, guess_positive, human
from pizzaiolo.errors import ModelFileError, UsageError

PIZZA = Labels(("not_pizza", "pizza"), positive="pizza")


@pytest.mark.parametrize(
    ("threshold", "pizza", "label"),
    [
        (0.5, 0.5, "pizza"),
        (0.5, 0.499, "not_pizza"),
        (0.1, 0.1, "pizza"),
        (0.1, 0.2, "pizza"),
        (0.9, 0.89, "not_pizza"),
        (0.0, 0.0, "pizza"),
        (1.0, 1.0, "pizza"),
    ],
)
@pytest.mark.parametrize("order", [("not_pizza", "pizza"), ("pizza", "not_pizza")])
def test_two_classes_are_cut_at_the_threshold(
    threshold: float, pizza: float, label: str, order: tuple[str, str]
) -> None:
    labels = Labels(order, positive="pizza", threshold=threshold)
    by_name = {"pizza": pizza, "not_pizza": 1 - pizza}
    answer = labels.decide([by_name[name] for name in order])
    assert answer.label == label
    assert answer.confidence == by_name[label]  # of the answer, not of the larger one
    assert answer.verdict == human(label)


@pytest.mark.parametrize(
    ("pizza", "unsure"), [(0.29, False), (0.3, True), (0.5, True), (0.69, True), (0.7, False)]
)
@pytest.mark.parametrize("order", [("not_pizza", "pizza"), ("pizza", "not_pizza")])
def test_the_reject_band_looks_at_the_positive_class(
    pizza: float, unsure: bool, order: tuple[str, str]
) -> None:
    labels = Labels(order, positive="pizza", reject_band=(0.3, 0.7))
    by_name = {"pizza": pizza, "not_pizza": 1 - pizza}
    answer = labels.decide([by_name[name] for name in order])
    assert (answer.verdict == NOT_SURE) == unsure
    assert answer.label in order  # the class stays known


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [
        (0.2, "Not pizza"),
        (0.49, "Not pizza"),
        (0.5, "Not sure"),
        (0.94, "Not sure"),
        (0.95, "Pizza"),
    ],
)
def test_a_thing_is_said_only_when_it_is_sure(probability: float, verdict: str) -> None:
    labels = Labels(("not_pizza", "pizza"), positive="pizza").unsure_below(0.95)
    assert labels.decide([1 - probability, probability]).verdict == verdict


@pytest.mark.parametrize(
    "labels",
    [
        Labels(("cat", "dog"), positive="cat"),
        Labels(("not_pizza", "pizza"), positive="not_pizza"),
        Labels(("not_pizza", "pizza")),
        Labels(("other", "pizza", "soup")),
        Labels(("not_pizza", "pizza"), positive="pizza", threshold=0.97),
    ],
)
def test_other_questions_and_stricter_thresholds_stay(labels: Labels) -> None:
    assert labels.unsure_below(0.95) == labels


def test_of_many_classes_the_likeliest_wins_and_ties_go_to_the_first() -> None:
    labels = Labels(("a", "b", "c"), reject_band=(0.0, 0.5))
    assert labels.decide([0.2, 0.2, 0.6]).verdict == "C"
    assert labels.decide([0.4, 0.4, 0.2]) == labels.decide((0.4, 0.4, 0.2))
    assert labels.decide([0.4, 0.4, 0.2]).label == "a"
    assert labels.decide([0.4, 0.4, 0.2]).verdict == NOT_SURE


def test_two_classes_without_a_positive_one_are_compared() -> None:
    labels = Labels(("cat", "dog"), threshold=0.9)
    assert labels.binary_positive is None
    assert [labels.decide(p).label for p in ([0.6, 0.4], [0.4, 0.6], [0.5, 0.5])] == [
        "cat", "dog", "cat"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("novelty", "verdict"), [(None, "Pizza"), (2.0, "Pizza"), (2.1, NOT_SURE), (math.inf, NOT_SURE)]
)
def test_a_novel_picture_is_not_sure(novelty: float | None, verdict: str) -> None:
    """Pain: sure of itself on unrelated pictures."""
    labels = Labels(PIZZA.names, positive="pizza", max_novelty=2.0)
    assert labels.decide([0.0, 1.0], novelty).verdict == verdict
    assert PIZZA.decide([0.0, 1.0], novelty).verdict == "Pizza"  # without a limit none is novel


@pytest.mark.parametrize(
    ("pizza", "novelty", "reason"),
    [(0.9, 1.0, None), (0.1, None, None), (0.6, 1.0, CLOSE), (0.9, 2.1, UNLIKE), (0.6, 3.0, UNLIKE),
     (0.1, 3.0, UNLIKE)],
)  # fmt: skip
def test_not_sure_has_a_reason_and_other_verdicts_have_none(
    pizza: float, novelty: float | None, reason: str | None
) -> None:
    labels = Labels(PIZZA.names, "pizza", reject_band=(0.4, 0.7), max_novelty=2.0)
    answer = labels.decide([1 - pizza, pizza], novelty)
    assert answer.reason == reason and (answer.verdict == NOT_SURE) == (reason is not None)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=6))
def test_the_answer_is_always_a_class_of_highest_probability(probabilities: list[float]) -> None:
    labels = Labels(tuple(f"class {i}" for i in range(len(probabilities))))
    answer = labels.decide(probabilities)
    assert answer.confidence == max(probabilities)
    assert labels.index(answer.label) == probabilities.index(max(probabilities))


@pytest.mark.parametrize(
    ("name", "shown"),
    [("not_pizza", "Not pizza"), ("pizza", "Pizza"), ("élan", "Élan"), ("_", "_"), ("", ""),
     ("hot_dog", "Hot dog"), ("BBQ", "BBQ"), ("🍕", "🍕")],
)  # fmt: skip
def test_human(name: str, shown: str) -> None:
    assert human(name) == shown


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (("not_pizza", "pizza"), "pizza"),
        (("pizza", "not pizza"), "pizza"),
        (("No-Dog", "dog"), "dog"),
        (("non_defect", "defect"), "defect"),
        (("other", "pizza"), "pizza"),
        (("Background", "bird"), "bird"),
        (("cat", "dog"), "cat"),
        (("notebook", "phone"), "notebook"),
        (("nothotdog", "hotdog"), "hotdog"),
        (("not_a", "not_b"), "not_a"),
        (("a", "b", "c"), None),
    ],
)
def test_guess_positive(names: tuple[str, ...], positive: str | None) -> None:
    assert guess_positive(names) == positive


@pytest.mark.parametrize(
    "labels",
    [
        PIZZA,
        Labels(("a", "b", "c")),
        Labels(("b", "a"), "a", 0.25, (0.1, 0.25), 3.5),
        Labels(('"quoted"', "new\nline", "🍕", "p_x"), None, 0.5, (0.0, 0.4)),
    ],
)
def test_round_trip_keeps_the_order(labels: Labels) -> None:
    """Pain: class names lost or shuffled between training and the answer."""
    assert Labels.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


@pytest.mark.parametrize("names", [(), ("a",), ("a", "a"), ("a", 1), "ab", None])
def test_names_are_two_or_more_and_differ(names: object) -> None:
    with pytest.raises(UsageError, match=r"names|classes"):
        Labels(names)  # type: ignore[arg-type]


def test_the_positive_class_is_one_of_the_names() -> None:
    with pytest.raises(UsageError, match="'c' is none of"):
        Labels(("a", "b"), positive="c")


DAMAGE = {
    "names": ["pizza", None, ["a"], ["a", "a"], [1, 2], {"a": 1}, [["a"], ["b"]]],
    "positive": ["c", 1, ["pizza"]], "threshold": ["0.5", None, 1.5, -0.1, float("nan"), [0.5]],
    "reject_band": [0.5, [0.5], [0.1, 0.2, 0.3], ["a", "b"], "01", [float("nan"), 1]],
    "max_novelty": ["3", [1], float("nan")], "treshold": [0.5],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, vs in DAMAGE.items() for v in vs])
def test_damaged_labels_of_a_card_are_refused(key: str, value: object) -> None:
    with pytest.raises(ModelFileError, match="labels in the card are damaged"):
        Labels.from_dict({**PIZZA.to_dict(), key: value})


@pytest.mark.parametrize("values", [None, 7, [], [1], "text", {}])
def test_labels_that_are_no_mapping_are_refused(values: object) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        Labels.from_dict(values)  # type: ignore[arg-type]
