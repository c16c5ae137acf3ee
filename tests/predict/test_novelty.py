"""A picture like nothing in training is answered "Not sure", with the reason and the score."""

from dataclasses import replace

import numpy as np
import pytest

from pizzaiolo.errors import ModelFileError
from pizzaiolo.predict import Pixels, Predictor
from toy_predictor import BLUE, LABELS, OLIVE, VIOLET, YELLOW, MeanColour, picture, predictor


@pytest.mark.parametrize(
    ("colour", "verdict", "reason"),
    [
        (YELLOW, "Pizza", None),
        (VIOLET, "Not sure", "unlike training"),
        (BLUE, "Not sure", "unlike training"),
        (OLIVE, "Not sure", "too close to call"),
    ],
)
def test_the_reason_says_why_it_is_not_sure(
    colour: tuple[int, int, int], verdict: str, reason: str | None
) -> None:
    answer = predictor().predict(picture(*colour))
    assert (answer.verdict, answer.reason) == (verdict, reason)
    assert answer.novelty is not None and (answer.novelty > 1) == (reason == "unlike training")
    assert answer.label in LABELS.names and answer.confidence is not None  # stays known
    assert answer.to_json()["reason"] == reason


def test_many_have_the_scores_of_each() -> None:
    sources = [picture(*colour) for colour in (YELLOW, BLUE, VIOLET, OLIVE) * 3]
    sources.insert(2, b"no picture")
    own = predictor()
    many = list(own.predict_many(sources))
    assert many[2].novelty is None and many[2].reason is None and many[2].error is not None
    single = [own.predict(source).novelty or 0.0 for source in sources]
    assert [a.novelty or 0.0 for a in many] == pytest.approx(single, rel=1e-5)


def test_a_card_without_novelty_gives_none() -> None:
    answer = predictor(novelty=None).predict(picture(*BLUE))
    assert answer.novelty is None and answer.verdict == "Not pizza"


def test_without_a_limit_the_score_is_told_and_changes_nothing() -> None:
    answer = predictor(labels=replace(LABELS, max_novelty=None)).predict(picture(*BLUE))
    assert answer.novelty is not None and answer.novelty > 1 and answer.verdict == "Not pizza"


def test_a_card_of_another_network_is_refused() -> None:
    class Wide(MeanColour):
        def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
            probabilities, colour = super().__call__(pixels)
            return probabilities, np.repeat(colour, 2, axis=1)

    own = Predictor(predictor().card, Wide())
    with pytest.raises(ModelFileError, match="3 features"):
        own.predict(picture(*BLUE))


def test_damaged_facts_are_refused_when_the_model_is_loaded() -> None:
    with pytest.raises(ModelFileError, match="novelty facts"):
        predictor(novelty={"kind": "gaussian"})
