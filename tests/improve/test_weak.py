"""Unequal classes, classes taken for others, slices and hard pictures, on held-out answers."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.improve.diagnose.balance import find_balance
from pizzaiolo.improve.diagnose.weak import confusion_pairs, find_weak, hardest_pictures
from toy_study import answer, make_folds, make_rows

LABELS = Labels(("bread", "pizza", "salad"))


def table(truth: np.ndarray, predicted: np.ndarray, sure: float = 0.8) -> Predictions:
    """Answers of three classes, each as sure."""
    chances = np.full((len(truth), 3), (1 - sure) / 2)
    chances[np.arange(len(truth)), predicted] = sure
    names = tuple(f"{i}.jpg" for i in range(len(truth)))
    return Predictions(LABELS, "validation", names, truth, chances, names)


ANSWERS = st.integers(3, 60).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 2), min_size=n, max_size=n) for _ in range(2)))
)


@given(ANSWERS)
def test_pairs_are_the_mistakes_the_commonest_first(answers: tuple[list[int], list[int]]) -> None:
    truth, predicted = (np.array(part) for part in answers)
    pairs = confusion_pairs(table(truth, predicted))
    assert sum(pair.n for pair in pairs) == (truth != predicted).sum()
    assert [pair.n for pair in pairs] == sorted((pair.n for pair in pairs), reverse=True)
    for pair in pairs:
        assert pair.truth != pair.predicted and pair.low <= pair.share <= pair.high
        assert pair.of == (truth == LABELS.index(pair.truth)).sum()


@given(ANSWERS)
def test_the_hardest_come_first(answers: tuple[list[int], list[int]]) -> None:
    truth, predicted = (np.array(part) for part in answers)
    hard = hardest_pictures(table(truth, predicted), 10)
    assert len(hard) == min(10, len(truth))
    assert [h.p_truth for h in hard] == sorted(h.p_truth for h in hard)
    wrong = (truth != predicted).sum()
    assert all(h.truth != h.predicted for h in hard[:wrong])


def test_a_rare_class_that_pays_is_told() -> None:
    truth = np.repeat([0, 1, 2], [200, 180, 30])
    predicted = truth.copy()
    predicted[-15:] = 0  # half of the salads
    found = find_balance(table(truth, predicted))
    assert (found.rarest, found.counts["salad"], found.worse) == ("salad", 30, True)
    assert found.recall == 0.5 and found.others == 1


def test_a_rare_class_that_is_as_good_does_not_count_as_worse() -> None:
    truth = np.repeat([0, 1, 2], [200, 180, 30])
    found = find_balance(table(truth, truth))
    assert found.uneven and not found.worse


def test_equal_classes_are_never_to_blame() -> None:
    truth = np.repeat([0, 1, 2], 50)
    predicted = truth.copy()
    predicted[-25:] = 0
    found = find_balance(table(truth, predicted))
    assert not found.uneven and not found.worse


def test_a_slice_that_is_worse_is_found_and_no_other() -> None:
    folds = make_folds(1190)
    rows = make_rows(folds)
    dark = np.array([(row.brightness or 0.0) < 0.25 for row in rows])
    outcome = answer(folds, 6.0, 0)
    spoilt = outcome.probabilities.copy()
    flip = np.flatnonzero(dark)[::3]
    spoilt[flip] = spoilt[flip, ::-1]
    found = find_weak(replace(outcome, probabilities=spoilt).predictions(folds), rows)
    assert [part.by for part in found.worse] == ["brightness"]
    assert found.worse[0].name.startswith("dark")


def test_pictures_that_the_manifest_lacks_are_left_out_of_slices_only() -> None:
    folds = make_folds(100)
    predictions = answer(folds, 1.0, 0).predictions(folds)
    found = find_weak(predictions, [])
    assert found.slices == () and found.hardest
    assert found.to_json()["worse"] == []
