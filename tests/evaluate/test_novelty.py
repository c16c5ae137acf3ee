"""Novelty as it is learned: strangers are told, ordinary pictures are not, and few are enough."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.novelty import MOST_TEXT, Novelty
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.evaluate import novelty as learning
from pizzaiolo.evaluate.novelty import FLAGGED, fit, novelty_cut, with_novelty

CARD = Card(Labels(("not_pizza", "pizza"), "pizza"), Preprocess(), {"name": "cnn"})
FEATURES = 48


def pictures(count: int, seed: int, features: int = FEATURES) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings as networks give them: two classes in a few directions, no value below 0."""
    noise, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    targets = noise.integers(0, 2, count)
    basis = fixed.normal(size=(6, features))
    along = noise.normal(size=(count, 6)) + 3 * targets[:, None] * (np.arange(6) == 0)
    values = along @ basis + noise.normal(0, 0.3, (count, features)) + 2
    return np.maximum(values, 0).astype(np.float32), targets


def strangers(count: int, seed: int, features: int = FEATURES) -> np.ndarray:
    noise = np.random.default_rng(seed)
    return np.maximum(noise.normal(0, 3, (count, features)), 0).astype(np.float32)


def learned(**of: int) -> Card:
    training, targets = pictures(of.get("training", 400), 1)
    return with_novelty(CARD, training, targets, pictures(of.get("validation", 200), 2)[0])


def scores(card: Card, embeddings: np.ndarray) -> np.ndarray:
    assert card.novelty is not None
    return Novelty.from_facts(card.novelty).scores(embeddings)


def test_strangers_are_told_from_ordinary_pictures() -> None:
    card = learned()
    assert card.labels.max_novelty == 1
    assert (scores(card, pictures(2000, 3)[0]) > 1).mean() < 0.05
    assert (scores(card, strangers(200, 4)) > 1).mean() > 0.95


def test_the_verdict_on_a_stranger_is_not_sure() -> None:
    card = learned()
    (score,) = scores(card, strangers(1, 5)).tolist()
    decision = card.labels.decide([0.01, 0.99], score)
    assert (decision.verdict, decision.reason) == ("Not sure", "unlike training")


def test_of_validation_pictures_no_more_are_over_the_cut_than_wished() -> None:
    validation = pictures(200, 2)[0]
    over = (scores(learned(), validation) > 1.0001).mean()
    assert 0.005 < over <= FLAGGED


def test_the_card_with_novelty_survives_its_json() -> None:
    card = learned()
    assert Card.from_json(card.to_json()) == card


def test_the_same_pictures_give_the_same_facts() -> None:
    assert learned() == learned()


@pytest.mark.parametrize("features", [1280, 2560, 2688, 9000])
@pytest.mark.parametrize("classes", [2, 40])
def test_the_facts_stay_small_however_wide_the_embedding(features: int, classes: int) -> None:
    embeddings = strangers(120, 1, features)
    facts = fit(embeddings, np.arange(120) % classes)
    assert facts is not None and len(json.dumps(facts)) < MOST_TEXT + 3000
    assert np.isfinite(Novelty.from_facts(facts).scores(embeddings)).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_pictures_teach_nothing(count: int) -> None:
    training, targets = pictures(count, 1)
    assert fit(training, targets) is None
    assert with_novelty(CARD, training, targets, pictures(20, 2)[0]) is CARD


def test_an_embedding_too_wide_for_a_card_teaches_nothing() -> None:
    assert fit(np.ones((6, 150_000), np.float32), np.arange(6) % 2) is None


def test_without_validation_pictures_there_is_no_cut() -> None:
    training, targets = pictures(50, 1)
    assert with_novelty(CARD, training, targets, training[:0]) is CARD


@pytest.mark.parametrize("count", [6, 10, 30])
def test_a_handful_of_pictures_still_knows_its_own(count: int) -> None:
    card = learned(training=count, validation=count)
    assert (scores(card, pictures(500, 3)[0]) <= 1).mean() > 0.8


def test_pictures_that_are_all_the_same_are_no_fault() -> None:
    same = np.ones((50, FEATURES), np.float32)
    card = with_novelty(CARD, same, np.arange(50) % 2, same[:20])
    assert Card.from_json(card.to_json()) == card
    assert scores(card, strangers(20, 1)).min() > 1 and scores(card, same).max() <= 1


def test_a_class_without_training_pictures_is_no_fault() -> None:
    training, targets = pictures(100, 1)
    assert fit(training, targets * 2) is not None


def test_of_very_many_pictures_some_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MOST_PICTURES", 150)
    card = learned(training=600)
    assert (scores(card, strangers(200, 4)) > 1).mean() > 0.9


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0.001, 0.5)
)  # fmt: skip
def test_the_cut_flags_no_more_than_its_share(values: list[float], flagged: float) -> None:
    cut = novelty_cut(np.array(values), flagged)
    assert np.isfinite(cut) and cut > 0
    assert (np.array(values) > cut).mean() <= flagged


def test_the_cut_holds_for_pictures_to_come() -> None:
    """Over many draws the share that is flagged is the one that was asked for."""
    noise = np.random.default_rng(0)
    draws = noise.lognormal(0, 0.3, (2000, 200))
    cuts = np.array([novelty_cut(row, 0.02) for row in draws])
    to_come = noise.lognormal(0, 0.3, 100_000)
    assert np.mean([(to_come > cut).mean() for cut in cuts]) == pytest.approx(0.02, abs=0.002)
