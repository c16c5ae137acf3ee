"""The card: a round trip loses nothing, and what is damaged or newer is refused in words."""

import json
from typing import Any

import pytest

from pizzaiolo.core.card import FORMAT_VERSION, Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError, UsageError

ROW, PAIR = "ADwAAA==", "ADgAuA=="  # base64 of the halves (1, 0) and (0.5, -0.5)
NOVELTY = {
    "kind": "gaussian",
    "features": 2,
    "mean": PAIR,
    "directions": ROW,
    "centres": PAIR,
    "variances": [0.5],
    "rest": 0.1,
    "scale": 2.0,
}
CARD = Card(
    labels=Labels(("not_pizza", "pizza 🍕"), "pizza 🍕", 0.4, (0.3, 0.4), 2.5),
    preprocess=Preprocess(96, 110, "pad", "bilinear", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    architecture={"kind": "timm", "name": "mobilenetv3", "layers": [1, 2]},
    temperature=1.5,
    scales=(1.1, 0.9),
    offsets=(0.2, -0.2),
    decision={"dataset": "abc"},
    novelty=NOVELTY,
    metrics={"validation": {"accuracy": 0.9}},
    data={"fingerprint": "abc"},
    training={"seed": 0, "lr": None},
    versions={"torch": "2"},
    weights_licence="Apache-2.0",
    notes=("one", "two\nlines"),
)


def test_round_trip() -> None:
    assert Card.from_json(CARD.to_json()) == CARD


def test_a_card_of_its_least_facts() -> None:
    card = Card(Labels(("a", "b")), Preprocess(), {"name": "cnn"})
    assert Card.from_json(card.to_json()) == card and card.format_version == FORMAT_VERSION


def test_with_changes_a_copy() -> None:
    assert CARD.with_(temperature=2.0).temperature == 2.0 and CARD.temperature == 1.5


def test_a_newer_card_asks_for_an_upgrade() -> None:
    text = json.dumps({"format_version": FORMAT_VERSION + 1, "anything": "else"})
    with pytest.raises(ModelFileError, match=f"version {FORMAT_VERSION + 1}") as caught:
        Card.from_json(text)
    assert "upgrade" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", '"text"', "{}", '{"format_version": 1}', "[" * 100_000,
     '{"format_version": 1e999}', '{"format_version": null}', '{"format_version": "one"}'],
)  # fmt: skip
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError, match="card is damaged"):
        Card.from_json(text)


WRONG: dict[str, list[Any]] = {
    "labels": [None, [], "text", 3, {}, {"names": ["a"]}],
    "preprocess": [None, [], "text", {"size": "224"}, {"sise": 224}],
    "architecture": [None, "cnn", []],
    "temperature": [None, "1", 0, -1.0, float("nan"), float("inf"), [1.0], True],
    "scales": [None, 1.0, [1.0], ["a", "b"], [float("nan"), 1.0]],
    "offsets": [None, 1.0, [1.0], ["a", "b"], [float("inf"), 1.0]],
    "decision": [None, "text", []],
    "novelty": ["text", [1], {}, {"kind": "gaussian"}, {**NOVELTY, "mean": "!"}],
    "metrics": [None, [], "text"],
    "data": [None, "text"],
    "training": [None, 3],
    "versions": [None, []],
    "weights_licence": [None, 1],
    "notes": [None, "text", [1], {}],
    "format_version": [None, "one", True],
}


def test_every_field_of_the_card_is_in_the_table_of_damage() -> None:
    assert set(WRONG) == set(CARD.to_dict())


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, vs in WRONG.items() for v in vs])
def test_every_damaged_field_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        Card.from_json(json.dumps({**CARD.to_dict(), key: value}))


@pytest.mark.parametrize("key", ["labels", "preprocess", "architecture", "format_version"])
def test_a_card_without_what_it_needs_is_refused(key: str) -> None:
    values = CARD.to_dict()
    del values[key]
    with pytest.raises(ModelFileError, match="damaged"):
        Card.from_json(json.dumps(values))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ModelFileError, match="'temprature'"):
        Card.from_json(json.dumps({**CARD.to_dict(), "temprature": 1.0}))


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_is_over_zero(temperature: float) -> None:
    with pytest.raises(UsageError, match="over 0"):
        CARD.with_(temperature=temperature)
