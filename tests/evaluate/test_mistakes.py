"""Mistakes: their neighbours, and the buckets that say what is behind them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate.mistakes import (
    AGREEING,
    HARD,
    NEAREST,
    SURE,
    UNLIKE,
    WRONG_LABEL,
    Features,
    Training,
    buckets,
    find_mistakes,
    nearest,
    similarity_floor,
)

LABELS = Labels(("not_pizza", "pizza"), positive="pizza")


def clouds(each: int = 60, seed: int = 0) -> Training:
    """Two classes, each a cloud around a point of its own."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], each)
    centres = np.array([[1.0, 0, 0, 0, 3, 3], [0, 1.0, 0, 0, 3, 3]])[labels]
    embeddings = (centres + random.normal(0, 0.15, centres.shape)).astype(np.float32)
    return Training(embeddings, labels, [str(i) for i in range(2 * each)])


def answers(pizza: list[float], truth: list[int], labels: Labels = LABELS) -> Predictions:
    names = tuple(f"{i}.jpg" for i in range(len(pizza)))
    probabilities = np.stack([1 - np.array(pizza), np.array(pizza)], axis=1)
    return Predictions(labels, "test", names, np.array(truth), probabilities, names, names)


# --- neighbours ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 8), st.integers(0, 50))
def test_the_nearest_are_those_of_the_highest_cosine(
    known: int, asked: int, count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    training = random.normal(2, 1, (known, 3)).astype(np.float32)
    embeddings = random.normal(2, 1, (asked, 3)).astype(np.float32)
    places, cosines = nearest(embeddings, training, count)
    centre = training.mean(axis=0)
    for i in range(asked):
        a, b = embeddings[i] - centre, training - centre
        lengths = np.linalg.norm(a) * np.linalg.norm(b, axis=1)
        exact = np.divide(b @ a, lengths, out=np.zeros(known, np.float32), where=lengths > 1e-6)
        best = np.sort(exact)[::-1][:count]
        np.testing.assert_allclose(cosines[i], best, atol=1e-4)
        np.testing.assert_allclose(exact[places[i]], best, atol=1e-4)
        assert len(set(places[i].tolist())) == min(count, known)


def test_many_pictures_are_compared_a_part_at_a_time() -> None:
    training, asked = clouds(), clouds(each=150, seed=1)
    places, _ = nearest(asked.embeddings, training.embeddings)
    alone = [nearest(e[None], training.embeddings)[0][0] for e in asked.embeddings[:20]]
    assert places.shape == (300, NEAREST) and (places[:20] == alone).all()
    assert (training.labels[places] == asked.labels[:, None]).mean() > 0.95


def test_about_one_training_picture_in_a_hundred_lies_below_the_floor() -> None:
    training = clouds(each=300)
    floor = similarity_floor(training)
    _, cosines = nearest(training.embeddings, training.embeddings, 2)
    assert (cosines[:, 1] < floor).mean() == pytest.approx(0.01, abs=0.005)


def test_near_duplicates_are_no_neighbours_for_the_floor() -> None:
    """Pain: a training set full of bursts makes every new picture look strange."""
    once = clouds(each=100)
    twice = Training(
        np.concatenate([once.embeddings, once.embeddings]),
        np.concatenate([once.labels, once.labels]), [*once.groups, *once.groups],
    )  # fmt: skip
    assert similarity_floor(twice) == pytest.approx(similarity_floor(once), abs=0.05)
    blind = replace(twice, groups=[str(i) for i in range(400)])
    assert similarity_floor(blind) > 0.99


@pytest.mark.parametrize("groups", [["a"], ["a", "a", "a"]])
def test_without_neighbours_nothing_is_called_far(groups: list[str]) -> None:
    alone = Training(np.ones((len(groups), 3), np.float32), np.zeros(len(groups), int), groups)
    assert similarity_floor(alone) == -1


# --- buckets -------------------------------------------------------------------------------------

SHARES = st.floats(0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(SHARES, SHARES, st.booleans()), min_size=1, max_size=20))
def test_the_rules_of_the_buckets(rows: list[tuple[float, float, bool]]) -> None:
    confidence, agreement, far = (np.array(column) for column in zip(*rows, strict=True))
    for (sure, agrees, is_far), kind in zip(rows, buckets(confidence, agreement, far), strict=True):
        if is_far:
            assert kind == UNLIKE
        else:
            assert (kind == WRONG_LABEL) == (sure >= SURE and agrees >= AGREEING)


@pytest.fixture
def planted() -> tuple[Predictions, Features, Training]:
    """Four mistakes: a flipped label, one in between, one like nothing, one unsure; two right."""
    training = clouds()
    pizza, dish = training.embeddings[90], training.embeddings[10]
    between = (training.embeddings[:60].mean(0) + training.embeddings[60:].mean(0)) / 2
    between[2] += 0.1
    strange = np.array([0.5, 0.5, 9, -9, 3, 3], np.float32)
    embeddings = np.stack([pizza, between, strange, pizza, pizza, dish]).astype(np.float32)
    return (
        answers([0.99, 0.95, 0.97, 0.6, 0.99, 0.01], [0, 0, 0, 0, 1, 0]), embeddings, training
    )  # fmt: skip


def test_each_mistake_lands_in_its_bucket(
    planted: tuple[Predictions, Features, Training],
) -> None:
    found = find_mistakes(*planted)
    assert [(m.row, m.bucket) for m in found] == [
        (0, WRONG_LABEL), (2, UNLIKE), (1, found[2].bucket), (3, HARD)
    ]  # fmt: skip
    first = found[0]
    assert (first.truth, first.predicted) == ("not_pizza", "pizza")
    assert (first.p_truth, first.p_predicted) == pytest.approx((0.01, 0.99))
    assert first.nearest[0] == 90 and first.similarity[0] == pytest.approx(1, abs=1e-5)
    assert len(first.nearest) == NEAREST and first.agreement == 1
    assert list(first.similarity) == sorted(first.similarity, reverse=True)
    assert json.loads(json.dumps(first.to_json()))["bucket"] == WRONG_LABEL
    assert first.why == "5 of the 5 nearest training pictures are Pizza"
    assert found[1].why == "no training picture is like it"


def test_a_picture_over_the_cut_of_novelty_is_unlike_training(
    planted: tuple[Predictions, Features, Training],
) -> None:
    predictions, embeddings, training = planted
    novel = replace(
        predictions, labels=replace(LABELS, max_novelty=5.0),
        novelty=np.array([9.0, 0, 0, 0, 9, 9]),
    )  # fmt: skip
    assert find_mistakes(novel, embeddings, training)[0].bucket == UNLIKE


def test_flipped_labels_of_sure_answers_are_called_wrong_labels() -> None:
    training, asked = clouds(), clouds(each=50, seed=2)
    flipped = np.arange(100) % 10 == 0
    pizza = np.where(asked.labels == 1, 0.97, 0.03)
    truth = np.where(flipped, 1 - asked.labels, asked.labels)
    found = find_mistakes(answers(pizza.tolist(), truth.tolist()), asked.embeddings, training)
    assert {m.row for m in found} == set(np.flatnonzero(flipped).tolist())
    assert sum(m.bucket == WRONG_LABEL for m in found) >= 8


def test_no_mistakes_and_no_training_pictures_are_no_trouble() -> None:
    right = answers([0.9, 0.1], [1, 0])
    nothing = np.zeros((2, 6), np.float32)
    assert find_mistakes(right, nothing, clouds()) == []
    wrong = answers([0.99, 0.1], [0, 0])
    (mistake,) = find_mistakes(wrong, nothing, None)
    assert mistake.nearest == () and mistake.bucket == HARD
    assert mistake.why == "nothing to compare it with"
