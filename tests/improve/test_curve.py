"""The learning curve: nested parts, whole groups, and a forecast that keeps its word."""

from time import monotonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from pizzaiolo.evaluate.influence import group_codes
from pizzaiolo.improve.diagnose.curve import Curve, learning_curve, nested
from pizzaiolo.improve.folds import Folds
from pizzaiolo.improve.heads import Roles
from toy_study import make_folds

FOLDS = make_folds(1000)
CODES = group_codes(FOLDS.groups)


class Student:
    """A linear model on features whose classes overlap; remembers what it was asked."""

    def __init__(self, folds: Folds, seed: int = 0, apart: float = 0.3) -> None:
        noise = np.random.default_rng(seed).normal(size=(len(folds), 60))
        noise[:, :20] += apart * (2 * folds.truth[:, None] - 1)
        self.features, self.folds, self.seen = noise, folds, list[Roles]()

    def __call__(self, parties: Roles) -> np.ndarray:
        self.seen.append(parties)
        model = LogisticRegression(C=0.1)
        model.fit(self.features[parties.training], self.folds.truth[parties.training])
        found: np.ndarray = model.predict_proba(self.features[parties.asked])
        return found


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 99))
def test_parts_are_nested_and_keep_groups_and_classes(one: float, two: float, seed: int) -> None:
    rows = FOLDS.rows(1, 2, 3)
    small, large = (nested(rows, FOLDS.truth, CODES, s, (seed,)) for s in sorted((one, two)))
    assert set(small) <= set(large) <= set(rows)
    assert set(FOLDS.truth[small]) == set(FOLDS.truth[rows])
    outside = np.setdiff1d(rows, small)
    assert not set(CODES[small]) & set(CODES[outside])
    share = min(one, two)
    assert len(small) == pytest.approx(share * len(rows), abs=max(8.0, 0.05 * len(rows)))


def test_the_judged_are_never_learnt_from_and_all_are_asked() -> None:
    student = Student(FOLDS)
    curve = learning_curve(student, FOLDS, parts=((0.2, 2), (1.0, 1)))
    for parties in student.seen:
        assert not np.intersect1d(
            parties.asked, np.union1d(parties.training, parties.validation)
        ).size
    assert curve.right.shape == (2, len(FOLDS))
    assert curve.pictures == pytest.approx([0.2 * 800, 800], rel=0.05)
    assert len(student.seen) == 15


def test_after_the_deadline_nothing_is_drawn_anew() -> None:
    student = Student(FOLDS)
    learning_curve(student, FOLDS, parts=((0.2, 3), (0.5, 2)), deadline=monotonic())
    assert len(student.seen) == 10


def test_with_two_folds_the_validation_split_judges_alone() -> None:
    folds = make_folds(200)
    halves = Folds(**{**vars_of(folds), "fold": (np.arange(200) % 4 > 0).astype(np.int64)})
    curve = learning_curve(Student(halves), halves, parts=((0.5, 1), (1.0, 1)))
    assert curve.right.shape == (2, 50) and np.isfinite(curve.right).all()


def vars_of(folds: Folds) -> dict[str, object]:
    names = ("labels", "pictures", "paths", "digests", "groups", "fold")
    return {name: getattr(folds, name) for name in names}


@pytest.mark.parametrize("seed", range(4))
def test_half_of_the_pictures_foretell_what_all_of_them_bring(seed: int) -> None:
    curve = learning_curve(Student(FOLDS, seed), FOLDS, seed)
    told = curve.forecast(most=0.5).at(curve.pictures[-1])
    assert told.value == pytest.approx(curve.accuracy[-1], abs=0.015)
    assert told.low is not None and told.high is not None
    assert told.low <= curve.accuracy[-1] <= told.high
    assert curve.accuracy[-1] > curve.accuracy[0] + 0.02  # there was something to foretell


def test_a_curve_is_told_size_by_size() -> None:
    right = np.array([[0.5, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    curve = Curve(np.array([0.1, 1.0]), np.array([3.0, 30.0]), right, np.arange(4))
    first, last = curve.to_json()
    assert (first["share"], first["pictures"], first["accuracy"]["value"]) == (0.1, 3.0, 0.625)
    assert last["accuracy"]["value"] == 1 and last["accuracy"]["low"] < 1
