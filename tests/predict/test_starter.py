"""The starter: an answer with no training, built once, with a card that says where it is from."""

from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.starter import load, starter_file


def test_it_says_what_it_is(starter: Path) -> None:
    card = load(starter).card
    assert card.labels.names == ("not_pizza", "pizza") and card.labels.positive == "pizza"
    assert card.weights_licence == "Apache-2.0"
    assert "Food-101" in " ".join(card.notes) and card.architecture["imagenet_class"] == 963


def test_it_is_built_once(starter: Path) -> None:
    written = starter.stat().st_mtime_ns
    assert starter_file() == starter and starter.stat().st_mtime_ns == written


def test_a_damaged_starter_is_built_again(
    starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pizzaiolo.export import starter as builder

    whole = starter.read_bytes()
    monkeypatch.setattr(builder, "build_starter", lambda path: path.write_bytes(whole))
    monkeypatch.setenv("PIZZAIOLO_CACHE", str(tmp_path))
    (tmp_path / starter.name).write_bytes(whole[:1000])
    assert load(starter_file()).card.labels.positive == "pizza"


def test_its_graph_agrees_with_pytorch(starter: Path) -> None:
    import torch

    from pizzaiolo.export.starter import starter_network

    pixels = np.random.default_rng(0).integers(0, 256, (7, 224, 224, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected, embedding = starter_network()(torch.from_numpy(pixels))
    received = load(starter).run(pixels)
    assert np.abs(received[0] - expected.numpy()).max() < 1e-5
    assert np.abs(received[1] - embedding.numpy()).max() < 1e-3


@pytest.mark.slow
def test_balanced_accuracy_on_photos(starter: Path, shared: Path) -> None:
    predictor = load(starter)
    rates = []
    for label in ("pizza", "not_pizza"):
        files = sorted((shared / "pizza_not_pizza" / label).iterdir())
        rates.append(np.mean([a.label == label for a in predictor.predict_many(files)]))
    assert np.mean(rates) >= 0.95


def test_photos_it_gets_right(starter: Path, shared: Path) -> None:
    predictor = load(starter)
    right = []
    for label in ("pizza", "not_pizza"):
        files = sorted((shared / "pizza_not_pizza" / label).iterdir())[:60]
        right += [a.label == label for a in predictor.predict_many(files)]
    assert np.mean(right) >= 0.9


def test_between_the_odds_and_the_threshold_it_is_not_sure(starter: Path) -> None:
    labels = load(starter).card.labels
    assert labels.decide([0.5, 0.5]).verdict == "Not sure"
    assert labels.decide([0.3, 0.7]).verdict == "Pizza"
    assert labels.decide([0.7, 0.3]).verdict == "Not pizza"
