"""Novelty in the card: the score is a distance, and damaged facts are refused in words."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.novelty import MOST, MOST_TEXT, Novelty, normalised
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError

FEATURES, RANK = 6, 3


def novelty(**changes: Any) -> Novelty:
    noise = np.random.default_rng(0)
    directions = np.linalg.qr(noise.normal(size=(FEATURES, FEATURES)))[0][:RANK]
    facts: dict[str, Any] = {
        "mean": noise.normal(0, 0.2, FEATURES).astype(np.float32),
        "directions": directions.astype(np.float32),
        "centres": noise.normal(0, 0.2, (2, RANK)).astype(np.float32),
        "variances": np.array([0.3, 0.2, 0.1], np.float32),
        "rest": 0.01,
        "scale": 2.0,
    }
    return Novelty(**{**facts, **changes})


FACTS = novelty().to_facts()


def test_the_score_is_the_mahalanobis_distance_to_the_nearest_class() -> None:
    own, noise = novelty(), np.random.default_rng(1)
    embeddings = noise.normal(size=(20, FEATURES))
    covariance = (own.directions.T * own.variances) @ own.directions
    covariance += own.rest * (np.eye(FEATURES) - own.directions.T @ own.directions)
    away = normalised(embeddings) - own.mean
    steps = away[:, None] - own.centres @ own.directions
    squares = np.einsum("ncd,de,nce->nc", steps, np.linalg.inv(covariance), steps)
    expected = np.sqrt(squares.min(axis=1)) / own.scale
    np.testing.assert_allclose(own.scores(embeddings), expected, rtol=1e-3)


def test_facts_are_json_and_a_round_trip_loses_no_more_than_rounding() -> None:
    embeddings = np.random.default_rng(2).normal(size=(9, FEATURES))
    again = Novelty.from_facts(json.loads(json.dumps(FACTS)))
    np.testing.assert_allclose(again.scores(embeddings), novelty().scores(embeddings), rtol=0.02)
    assert again.to_facts() == FACTS  # rounded once and for all


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=6, max_size=6))
def test_every_embedding_has_a_finite_score(values: list[float]) -> None:
    scores = novelty().scores(np.array([values], np.float32))
    assert scores.shape == (1,) and 0 <= scores[0] <= MOST
    json.dumps(scores.tolist(), allow_nan=False)


def test_what_is_no_number_is_as_new_as_can_be() -> None:
    assert novelty().scores(np.full((1, FEATURES), np.nan, np.float32)).tolist() == [MOST]


@given(st.floats(0.01, 1000))
def test_the_length_of_an_embedding_says_nothing(factor: float) -> None:
    embeddings = np.random.default_rng(3).normal(size=(3, FEATURES))
    one, other = novelty().scores(embeddings), novelty().scores(factor * embeddings)
    np.testing.assert_allclose(one, other, rtol=1e-3)


def test_no_pictures_have_no_scores() -> None:
    assert novelty().scores(np.zeros((0, FEATURES), np.float32)).shape == (0,)


@pytest.mark.parametrize("shape", [(2, FEATURES + 1), (FEATURES,), (1, 2, FEATURES)])
def test_embeddings_of_another_model_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFileError, match="6 features"):
        novelty().scores(np.zeros(shape, np.float32))


def text(values: Any) -> str:
    return base64.b64encode(np.asarray(values, "<f2").tobytes()).decode()


DAMAGE: dict[str, list[Any]] = {
    "kind": ["knn", None, 3],
    "features": [0, -1, 7, 5, True, 6.0, "6", None, 10**12],
    "mean": [None, 3, "", "!", "AAA", text([0] * 5), text([np.inf] * 6), text([np.nan] * 6), [0.0]],
    "directions": [None, "", text([0] * 17), text([np.inf] * 18), "A" * (MOST_TEXT + 4)],
    "centres": [None, "", text([0] * 5), text([np.nan] * 6), {"a": 1}],
    "variances": [None, [], [1.0, 1.0], [1.0, 1.0, 0], [1.0, 1.0, -1], [1.0, 1.0, "1"], {"a": 1},
                  [1.0, 1.0, float("nan")], [1.0] * 7, [True, 1.0, 1.0], [1.0, 1.0, 1e300]],
    "rest": [None, 0, -1.0, "1", float("inf"), float("nan"), 10**400, True],
    "scale": [None, 0, -1.0, "1", float("nan"), [1.0]],
}  # fmt: skip


def test_every_fact_is_in_the_table_of_damage() -> None:
    assert set(DAMAGE) == set(FACTS)


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, vs in DAMAGE.items() for v in vs])
def test_damaged_facts_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ModelFileError, match="novelty facts in the card are damaged"):
        Novelty.from_facts({**FACTS, key: value})


@pytest.mark.parametrize("key", list(FACTS))
def test_missing_facts_are_refused(key: str) -> None:
    with pytest.raises(ModelFileError, match="novelty facts in the card are damaged"):
        Novelty.from_facts({k: v for k, v in FACTS.items() if k != key})


def test_a_card_with_damaged_novelty_is_refused() -> None:
    card = Card(Labels(("a", "b")), Preprocess(), {"name": "cnn"}, novelty=FACTS)
    assert Card.from_json(card.to_json()) == card
    damaged = card.with_(novelty={**FACTS, "rest": 0})
    with pytest.raises(ModelFileError, match="novelty facts in the card are damaged"):
        Card.from_json(damaged.to_json())
