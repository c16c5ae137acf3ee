"""A picture like nothing in training is answered "Not sure", with the reason and the score."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.novelty import Novelty
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError
from pizzaiolo.predict import Answer, Pixels, Predictor

LABELS = Labels(("not_pizza", "pizza"), "pizza", reject_band=(0.5, 0.7), max_novelty=1.0)
NOVELTY = Novelty(  # training lay along (1, 1, 0), a little spread
    mean=np.array([0.7, 0.7, 0], np.float32),
    directions=np.array([[0.7, -0.7, 0]], np.float32),
    centres=np.zeros((1, 1), np.float32),
    variances=np.array([0.1], np.float32),
    rest=0.1,
    scale=1.0,
)


class MeanColour:
    """An engine: the embedding is the mean colour; the redder, the more a pizza."""

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        colour = pixels.mean((1, 2), dtype=np.float32) / 255
        return np.stack([1 - colour[:, 0], colour[:, 0]], 1), colour


def predictor(**changes: object) -> Predictor:
    card = Card(LABELS, Preprocess(32, 32), {"name": "colour"}, novelty=NOVELTY.to_facts())
    return Predictor(card.with_(**changes), MeanColour())


def picture(*colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


YELLOW, BLUE, VIOLET, OLIVE = (255, 250, 0), (0, 0, 255), (255, 0, 255), (150, 150, 0)


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


def test_a_line_for_people_gives_the_reason() -> None:
    own = Answer("p.jpg", "pizza", 0.8, "Not sure", {"pizza": 0.8}, 1.3, "unlike training")
    assert own.line == "Not sure      80.0%  p.jpg (unlike training)"
    assert replace(own, reason=None, verdict="Pizza").line == "Pizza         80.0%  p.jpg"
    assert Answer("p.jpg", error={"code": "x", "message": "gone"}).line.endswith("p.jpg: gone")


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
