"""What the best is best in, and the difference of two settings in it."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.errors import UsageError
from pizzaiolo.evaluate.compare import compare
from pizzaiolo.improve.aim import AIMS, Aim

LABELS = Labels(("not_pizza", "pizza"), positive="pizza")
THREE = Labels(("a", "b", "c"))


def table(truth, probabilities, labels: Labels = LABELS, per_group: int = 1) -> Predictions:
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, dtype=float)
    if probabilities.ndim == 1:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    names = tuple(str(i) for i in range(len(truth)))
    groups = tuple(str(i // per_group) for i in range(len(truth)))
    return Predictions(labels, "validation", names, truth, probabilities, groups)


def pair(seed: int, skill: float = 0.0, count: int = 300, per_group: int = 1):
    """Two models on the same pictures, the second surer of the truth by `skill`."""
    draw = np.random.default_rng(seed)
    many = count // per_group
    truth = np.repeat(draw.integers(0, 2, many), per_group)
    shared = np.repeat(draw.normal(0, 1.5, many), per_group)
    sides = 2 * truth - 1
    own = [np.repeat(draw.normal(0, 1.0, many), per_group) for _ in range(2)]
    scores = [1.8 * sides + shared + own[0], (1.8 + skill) * sides + shared + own[1]]
    return tuple(table(truth, 1 / (1 + np.exp(-s)), per_group=per_group) for s in scores)


def several(seed: int) -> tuple[Predictions, Predictions]:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 3, 200)
    found = []
    for _ in range(2):
        scores = draw.normal(size=(200, 3)) + 1.2 * np.eye(3)[truth]
        found.append(table(truth, np.exp(scores) / np.exp(scores).sum(1)[:, None], THREE))
    return found[0], found[1]


def test_values_are_those_of_scikit_learn() -> None:
    first, _ = pair(0)
    assert Aim.of("accuracy").value(first) == (first.predicted == first.truth).mean()
    assert Aim.of("f1").value(first) == pytest.approx(f1_score(first.truth, first.predicted))
    expected = log_loss(first.truth, first.probabilities)
    assert Aim.of("log_loss").value(first) == pytest.approx(expected)
    many, _ = several(0)
    macro = f1_score(many.truth, many.predicted, average="macro")
    assert Aim.of("f1").value(many) == pytest.approx(macro)


def test_an_unknown_aim_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="'acuracy', which is not known") as error:
        Aim.of("acuracy")
    assert "accuracy" in (error.value.hint or "")


def test_accuracy_differs_as_the_comparison_of_evaluate_says() -> None:
    first, second = pair(1, skill=0.5)
    found, expected = Aim.of("accuracy").difference(first, second), compare(first, second)
    assert (found.value, found.low, found.high, found.p_value) == (
        expected.difference, expected.low, expected.high, expected.p_value,
    )  # fmt: skip


@pytest.mark.parametrize("name", AIMS)
@pytest.mark.parametrize("tables", [pair(2, skill=0.4), several(3)], ids=["two", "three"])
def test_the_difference_is_that_of_the_values(name: str, tables) -> None:
    aim = Aim.of(name)
    found = aim.difference(*tables)
    assert found.value == pytest.approx(aim.value(tables[1]) - aim.value(tables[0]))
    assert found.low < found.value < found.high and found.pictures == len(tables[0])
    back = aim.difference(tables[1], tables[0])
    assert (back.value, back.low, back.high) == pytest.approx(
        (found.turned.value, found.turned.low, found.turned.high)
    )
    assert back.p_value == pytest.approx(found.p_value)


def test_a_gain_is_over_nought_where_the_second_is_better() -> None:
    first, second = pair(4, skill=2.0)
    for name in AIMS:
        gain = Aim.of(name).gain(first, second)
        assert gain.value > 0 and gain.low > 0 and gain.p_value < 0.05, name
    loss = Aim.of("log_loss")
    assert loss.difference(first, second).value == -loss.gain(first, second).value
    assert loss.better(0.5, 0.4) and not loss.better(0.4, 0.5)
    assert Aim.of("f1").better(0.4, 0.5) and not Aim.of("f1").better(0.5, 0.5)


@pytest.mark.parametrize("name", AIMS)
@pytest.mark.parametrize("per_group", [1, 3])
def test_an_interval_holds_the_true_difference_nineteen_times_of_twenty(
    name: str, per_group: int
) -> None:
    aim, times = Aim.of(name), 200
    true = aim.gain(*pair(99, skill=0.5, count=200_000)).value
    found = [aim.gain(*pair(i, 0.5, 300, per_group)) for i in range(times)]
    held = np.mean([gain.low <= true <= gain.high for gain in found])
    assert 0.91 <= held <= 0.99


@pytest.mark.parametrize("name", ["f1", "log_loss"])
def test_equal_settings_seldom_seem_to_differ(name: str) -> None:
    p_values = [Aim.of(name).gain(*pair(i)).p_value for i in range(200)]
    assert np.mean(np.array(p_values) < 0.05) < 0.09


@pytest.mark.parametrize("name", AIMS)
def test_a_setting_does_not_differ_from_itself(name: str) -> None:
    first, _ = pair(5)
    found = Aim.of(name).difference(first, first)
    assert found.value == 0 and found.p_value == 1 and found.low <= 0 <= found.high
    if name != "log_loss":
        assert found.low < 0 < found.high, "other pictures may show a difference"


@pytest.mark.parametrize("name", AIMS)
def test_the_order_of_the_pictures_does_not_matter(name: str) -> None:
    first, second = pair(6, skill=0.4)
    mixed = np.random.default_rng(0).permutation(len(second))
    moved = Predictions(
        LABELS, "validation", tuple(second.paths[i] for i in mixed), second.truth[mixed],
        second.probabilities[mixed], tuple(second.groups[i] for i in mixed),
    )  # fmt: skip
    a, b = Aim.of(name).difference(first, second), Aim.of(name).difference(first, moved)
    assert (a.value, a.low, a.high, a.p_value) == pytest.approx((b.value, b.low, b.high, b.p_value))


def test_other_pictures_are_refused() -> None:
    first, second = pair(7)
    fewer = table(second.truth[:-1], second.probabilities[:-1])
    with pytest.raises(UsageError, match="different pictures"):
        Aim.of("f1").difference(first, fewer)
