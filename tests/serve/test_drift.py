"""Drift: told from enough answers on, against the answers that the card remembers."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pizzaiolo.core.drift import FEW, SHIFTED, STABLE, Reference
from pizzaiolo.predict import Answer, Predictor
from pizzaiolo.serve.app import create_app
from pizzaiolo.serve.drift import WINDOW, Drift


@pytest.fixture
def judged(predictor: Predictor) -> Predictor:
    """A model whose card tells of 300 answers: half pizza, mostly sure, nothing new."""
    random = np.random.default_rng(0)
    told = Reference.of(
        ["Pizza", "Not pizza"] * 150, random.beta(9, 1, 300), random.normal(1, 0.1, 300)
    )
    return Predictor(predictor.card.with_(decision={"reference": told.to_dict()}), predictor.engine)


def answers(count: int, pizza: float, sure: float, novelty: float) -> list[Answer]:
    random = np.random.default_rng(1)
    return [
        Answer("x", "pizza", float(random.beta(sure, 1)), v, {"pizza": 1.0},
               float(random.normal(novelty, 0.1)))
        for v in np.where(random.random(count) < pizza, "Pizza", "Not pizza").tolist()
    ]  # fmt: skip


def drift(predictor: Predictor, told: list[Answer]) -> Drift:
    found = Drift(predictor.card)
    for answer in told:
        found.add(answer)
    return found


def test_alike_answers_are_stable(judged: Predictor) -> None:
    indices = drift(judged, answers(1000, 0.5, 9, 1.0)).indices()
    assert set(indices) == {"verdict", "confidence", "novelty"}
    assert all(index < STABLE for index in indices.values())


@pytest.mark.parametrize(
    ("pizza", "sure", "novelty", "shifted"),
    [(0.95, 9, 1.0, "verdict"), (0.5, 2, 1.0, "confidence"), (0.5, 9, 1.3, "novelty")],
)
def test_what_shifts_is_told_and_the_rest_is_not(
    judged: Predictor, pizza: float, sure: float, novelty: float, shifted: str
) -> None:
    indices = drift(judged, answers(1000, pizza, sure, novelty)).indices()
    assert {name for name, index in indices.items() if index > SHIFTED} == {shifted}


def test_few_answers_and_bad_pictures_tell_nothing(judged: Predictor) -> None:
    few = drift(judged, answers(FEW - 1, 0.5, 9, 1.0))
    few.add(Answer("x", error={"code": "unreadable", "message": "damaged"}))
    assert few.indices() == {} and few.confidence is not None
    assert drift(judged, []).confidence is None and drift(judged, []).verdicts == {}


def test_only_the_last_answers_count(judged: Predictor) -> None:
    told = answers(500, 1.0, 9, 1.0) + answers(WINDOW, 0.5, 9, 1.0)
    assert drift(judged, told).indices()["verdict"] < STABLE


def test_a_model_that_was_not_evaluated_has_no_index(predictor: Predictor) -> None:
    assert drift(predictor, answers(1000, 0.5, 9, 1.0)).indices() == {}


def test_the_metrics_tell_it(judged: Predictor) -> None:
    app = create_app(judged)
    for answer in answers(1000, 0.95, 9, 1.0):
        app.state.service.drift.add(answer)
    lines = dict(
        line.rsplit(" ", 1) for line in TestClient(app).get("/metrics").text.splitlines()
        if line.startswith(("pizzaiolo_drift", "pizzaiolo_confidence_mean"))
    )  # fmt: skip
    assert float(lines['pizzaiolo_drift{what="verdict"}']) > SHIFTED
    assert float(lines['pizzaiolo_drift{what="confidence"}']) < STABLE
    assert 0.85 < float(lines["pizzaiolo_confidence_mean"]) < 0.95


def test_the_status_page_says_it_in_words(judged: Predictor, predictor: Predictor) -> None:
    app = create_app(judged)
    asked = TestClient(app)
    assert "Nothing was answered yet" in asked.get("/status").text
    for answer in answers(1000, 0.95, 9, 1.0):
        app.state.service.drift.add(answer)
    page = asked.get("/status").text
    assert "<td>verdict</td>" in page and "a shift" in page and "stable" in page
    assert "<td>Pizza</td><td>95%</td><td>50%</td>" in page.replace("94%", "95%")
    assert "evaluate the model's RUN" in TestClient(create_app(predictor)).get("/status").text
