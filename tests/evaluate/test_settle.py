"""How a model decides is chosen on validation answers alone, and kept in its file."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pizzaiolo.config import EvaluateConfig
from pizzaiolo.core.bundle import load_pt, save_pt
from pizzaiolo.core.card import Card
from pizzaiolo.core.drift import Reference
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Row
from pizzaiolo.core.novelty import Novelty
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import UsageError
from pizzaiolo.evaluate.infer import Known, Seen
from pizzaiolo.evaluate.settle import aim_of, keep, settle

LABELS = Labels(("not_pizza", "pizza"), positive="pizza").unsure_below(0.95)
CONFIG = EvaluateConfig(settle=True)


def card(labels: Labels = LABELS) -> Card:
    return Card(labels, Preprocess(32, 36), {"kind": "cnn", "name": "cnn", "embedding": 8})


def seen(labels: Labels, split: str, sharpness: float = 1.0, count: int = 400) -> Seen:
    """Answers of a calibrated model, made so many times as sure."""
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 3, count)
    truth = (draw.random(count) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    chance = 1 / (1 + np.exp(-sharpness * logits))
    embeddings = draw.normal(truth[:, None], 1, (count, 8)).astype(np.float32)
    paths = tuple(f"{split}/{i}.jpg" for i in range(count))
    rows = tuple(
        Row(path=path, label=labels.names[t], bytes=1) for path, t in zip(paths, truth, strict=True)
    )
    probabilities = np.stack([1 - chance, chance], axis=1)
    return Seen(Predictions(labels, split, paths, truth, probabilities, paths), embeddings, rows)


def settled(
    config: EvaluateConfig = CONFIG, sharpness: float = 1.0, before: Card | None = None
) -> Any:
    validation, learned = seen(LABELS, "validation", sharpness), seen(LABELS, "train")
    training = Known(learned.predictions.truth, learned.embeddings, learned.rows, ())
    return settle(before or card(), validation, training, "abc", config)


@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_too_sure_and_too_shy_models_are_calibrated(sharpness: float) -> None:
    found = settled(sharpness=sharpness)
    assert found.card.temperature == pytest.approx(sharpness, rel=0.2)
    assert found.calibration.ece_after < found.calibration.ece_before
    assert found.card.decision["dataset"] == "abc"


def test_what_was_calibrated_on_the_same_data_stays() -> None:
    first = settled(sharpness=3.0)
    again = settled(replace(CONFIG, aim="f1"), sharpness=1.0, before=first.card)
    assert again.card.temperature == first.card.temperature
    assert again.calibration == first.calibration, "the report shows it again"
    assert again.threshold is not None and again.card.labels.threshold == again.threshold.threshold


def test_the_same_choice_twice_gives_the_same_card() -> None:
    first = settled()
    second = settled(before=first.card).card
    assert (second.labels, second.novelty, second.temperature) == (
        first.card.labels, first.card.novelty, first.card.temperature
    )  # fmt: skip
    kept = Card.from_json(first.card.to_json()).decision
    told = second.decision.pop("reference"), kept.pop("reference")  # of what was said each time
    assert told[0].keys() == told[1].keys() == {"pictures", "verdicts", "confidence", "novelty"}
    assert second.decision == kept, "how it was calibrated stays told"


def test_the_card_remembers_what_it_said_of_the_validation_pictures() -> None:
    found, labels = settled().card, seen(LABELS, "validation").predictions
    reference = Reference.from_dict(found.decision["reference"])
    assert reference.pictures == len(labels) and reference.novelty is not None
    assert sum(reference.verdicts.values()) == pytest.approx(1)
    unsure = reference.verdicts["Not sure"]
    low, high = found.labels.reject_band or (0, 0)
    shares = labels.probabilities[:, 1]
    assert unsure >= ((low <= shares) & (shares < high)).mean() / 2
    assert reference.novelty.shares[0] == pytest.approx(0.1, abs=0.02), "tenths"


def test_novelty_is_learned_and_its_cut_set() -> None:
    found = settled().card
    assert found.novelty is not None and found.labels.max_novelty == 1.0
    assert Card.from_json(found.to_json()) == found


def test_a_wished_recall_moves_the_threshold_and_the_band_goes_along() -> None:
    found = settled(replace(CONFIG, aim="recall=0.99")).card.labels
    assert found.threshold < 0.4 and found.reject_band == (found.threshold, 0.95)


def test_a_threshold_over_the_band_ends_it() -> None:
    found = settled(replace(CONFIG, aim="precision=0.995")).card.labels
    assert found.threshold > 0.5
    assert found.reject_band is None or found.reject_band[1] > found.threshold


def test_an_aim_out_of_reach_leaves_the_threshold_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pizzaiolo.evaluate.threshold import Choice

    monkeypatch.setattr(
        "pizzaiolo.evaluate.settle.choose", lambda *_: Choice(None, "nothing reaches it")
    )
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        found = settled(replace(CONFIG, aim="precision=1"))
    assert found.card.labels.threshold == 0.5 and "nothing reaches it" in caplog.text


def test_a_wished_accuracy_sets_the_band() -> None:
    found = settled(replace(CONFIG, answered=0.9))
    low, high = found.card.labels.reject_band
    assert low < 0.5 < high
    asked = seen(LABELS, "validation").predictions
    calibrated = found.calibration.apply(asked.probabilities)
    predictions = replace(asked, labels=found.card.labels, probabilities=calibrated)
    answered = [d.verdict != "Not sure" for d in predictions.decisions]
    right = predictions.predicted == predictions.truth
    assert right[answered].mean() >= 0.9 and 0.5 < np.mean(answered) < 1


@pytest.mark.parametrize(
    ("settings", "labels", "words"),
    [
        ({"aim": "f1", "cost": "false_pizza=2"}, LABELS, "two aims"),
        ({"aim": "f1"}, Labels(("a", "b", "c")), "two classes"),
        ({"cost": "false_piza=2"}, LABELS, "not known"),
        ({"aim": "best"}, LABELS, "not known"),
    ],
)
def test_an_aim_that_makes_no_sense_is_refused(
    settings: dict[str, str], labels: Labels, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        aim_of(labels, EvaluateConfig(**settings))


def test_the_card_is_kept_beside_the_same_tensors(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    save_pt(file, card(), {"weight": torch.arange(3.0)})
    changed = card().with_(temperature=2.0)
    assert keep(file, changed)
    found, state = load_pt(file)
    assert found == changed and torch.equal(state["weight"], torch.arange(3.0))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    save_pt(tmp_path / "model.pt", card(), {"weight": torch.zeros(1)})
    tmp_path.chmod(0o500)
    assert not keep(tmp_path / "model.pt", card().with_(temperature=2.0))


@pytest.mark.parametrize("damage", [None, 7, {"method": "temperature"}, {"temperature": "x"}])
def test_a_card_that_does_not_say_how_stays_calibrated(damage: Any) -> None:
    first = settled(sharpness=3.0).card
    facts = {"dataset": "abc", "calibration": damage}
    found = settled(before=first.with_(decision=facts))
    assert found.calibration.note == "it is calibrated already"
    assert found.card.temperature == first.temperature


def test_no_validation_picture_lies_on_the_cut_of_novelty() -> None:
    """Rounding would decide, and an exported model would answer another way."""
    found, embeddings = settled().card, seen(LABELS, "validation").embeddings
    scores = Novelty.from_facts(found.novelty).scores(embeddings)
    assert np.abs(scores - 1).min() > 1e-4 and (scores > 1).any()
