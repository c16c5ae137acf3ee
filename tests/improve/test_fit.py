"""Overfitting and underfitting: planted ones are found, and remedies fit them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.errors import WorkError
from pizzaiolo.improve import heads
from pizzaiolo.improve.aim import Aim
from pizzaiolo.improve.diagnose.fit import (
    FITS,
    OVER,
    UNCLEAR,
    UNDER,
    by_heart,
    find_gap,
    remedies,
    try_remedy,
)
from pizzaiolo.improve.folds import VALIDATION, Folds, make_folds
from pizzaiolo.improve.measure import Bench
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.train.defaults import MODELS, filled
from toy_study import LABELS, answer
from toy_study import make_folds as toy_folds

FINETUNE = TrainConfig(recipe="finetune", augment="none")
SCRATCH = TrainConfig(model="cnn", recipe="scratch", augment="none")


def table(share: float, count: int = 400, sure: float = 0.9) -> Predictions:
    """Answers of which a share is right."""
    truth = np.arange(count) % 2
    right = np.arange(count) < round(share * count)
    chances = np.where(right, sure, 1 - sure)
    both = np.stack([np.where(truth == 0, chances, 1 - chances)], axis=1)
    names = tuple(map(str, range(count)))
    return Predictions(LABELS, "validation", names, truth, np.hstack([both, 1 - both]), names)


def verdict(train: float | None, held: float, count: int = 400, noise: float = 0.0) -> str:
    outcome = Outcome(np.empty((0, 2)), train_accuracy=train)
    return find_gap(outcome, table(held, count), count, noise).verdict


@pytest.mark.parametrize(
    ("train", "held", "count", "noise", "expected"),
    [
        (0.99, 0.97, 1200, 0.0, FITS),  # frozen features
        (1.0, 0.75, 400, 0.0, OVER),
        (0.7, 0.69, 400, 0.0, UNDER),
        (0.5, 0.5, 400, 0.0, UNDER),  # no better than one class always
        (1.0, 0.8, 10, 0.0, UNCLEAR),
        (None, 0.9, 400, 0.0, UNCLEAR),
        (0.86, 0.84, 1200, 0.15, FITS),  # the labels, not the model, are to blame
        (0.86, 0.84, 1200, 0.0, UNDER),
        (1.0, 0.84, 1200, 0.15, FITS),
        (1.0, 0.84, 1200, 0.0, OVER),
    ],
)
def test_verdicts(
    train: float | None, held: float, count: int, noise: float, expected: str
) -> None:
    assert verdict(train, held, count, noise) == expected


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 300))
def test_the_interval_of_the_gap_holds_the_gap(train: float, held: float, count: int) -> None:
    found = find_gap(Outcome(np.empty((0, 2)), train_accuracy=train), table(held, count), count)
    assert found.gap is not None and found.low is not None and found.high is not None
    assert -1.0001 <= found.low <= found.gap <= found.high <= 1.0001


@given(st.floats(0.5, 1), st.integers(40, 300))
def test_a_model_as_good_on_others_never_overfits(share: float, count: int) -> None:
    right = round(share * count) / count
    assert verdict(right, share, count) != OVER


def test_sure_and_wrong_answers_are_overfitting_even_where_few_are_wrong() -> None:
    outcome = Outcome(np.empty((0, 2)), train_accuracy=1.0, train_loss=0.001)
    assert find_gap(outcome, table(0.8, 30, 1 - 1e-9), 30).verdict == OVER
    assert find_gap(outcome, table(0.8, 10, 0.8), 10).verdict == UNCLEAR


def epoch(train: float, held: float) -> dict[str, float | None]:
    return {"train_loss": train, "train_accuracy": 1 - train / 2, "validation_loss": held,
            "validation_accuracy": 1 - held / 2}  # fmt: skip


def test_learning_by_heart_shows_after_the_best_epoch() -> None:
    first = {"train_loss": None, "train_accuracy": None, "validation_loss": 0.1,
             "validation_accuracy": 1.0}  # fmt: skip
    heart = [first, epoch(0.7, 0.69), epoch(0.4, 0.8), epoch(0.01, 1.2)]
    assert by_heart(heart) == heart[-1]
    assert by_heart([epoch(0.7, 0.69), epoch(0.4, 0.5), epoch(0.3, 0.52)]) is None
    assert by_heart(heart[:1]) is None
    outcome = Outcome(np.empty((0, 2)), 0.5, 0.7, facts={"history": heart})
    found = find_gap(outcome, table(0.52), 20)
    assert found.verdict == OVER and found.by_heart
    assert (found.train_accuracy, found.held_out_accuracy) == (0.995, 0.4)


def with_labels(folds: Folds, random: np.random.Generator) -> Folds:
    """The same pictures with labels that nothing in them tells."""
    mixed = folds.truth.copy()
    for fold in range(folds.count):
        rows = folds.rows(fold)
        mixed[rows] = random.permutation(mixed[rows])
    pictures = replace(folds.pictures, targets=tuple(mixed.tolist()))
    return Folds(folds.labels, pictures, folds.paths, folds.digests, folds.groups, folds.fold)


def test_a_planted_overfit_is_found(make_dataset, tmp_path: Path, one_thread: None) -> None:  # type: ignore[no-untyped-def]
    data = make_dataset(tmp_path / "data", train=10, validation=12)
    folds = with_labels(make_folds(data, 2), np.random.default_rng(0))
    config = replace(SCRATCH, size=32, epochs=15, patience=15, weight_decay=0.0)
    outcome = Bench(folds, torch.device("cpu"), tmp_path).run(config)
    found = find_gap(outcome, outcome.predictions(folds), 20)
    assert found.verdict == OVER
    assert "start from a pretrained network" in [r.what for r in remedies(OVER, config)]


def test_a_planted_underfit_is_found(
    make_dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    folds = make_folds(make_dataset(tmp_path / "data", train=40, validation=10), 5)
    monkeypatch.setattr(heads, "embed_members", lambda *a: np.ones((len(folds), 1280), np.float32))
    outcome = Bench(folds, torch.device("cpu"), tmp_path).run(TrainConfig())
    found = find_gap(outcome, outcome.predictions(folds), 60)
    assert found.verdict == UNDER
    assert next(r.what for r in remedies(UNDER, TrainConfig())) == "take a larger model"


@pytest.mark.parametrize("verdict", [OVER, UNDER])
@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(model=MODELS["best"]),
        FINETUNE,
        SCRATCH,
        replace(FINETUNE, epochs=7, dropout=0.5, mixup=0.4),
        TrainConfig(model="own.py:Net", recipe="scratch"),
    ],
)
def test_every_remedy_changes_something_that_training_takes(
    verdict: str, config: TrainConfig
) -> None:
    found = remedies(verdict, config)
    assert found
    for remedy in found:
        assert remedy.config != filled(config)
        assert filled(remedy.config) == remedy.config
    if config.model == "own.py:Net":
        assert all(r.config.model == "own.py:Net" and not r.config.dropout for r in found)


def test_what_fits_needs_no_remedy() -> None:
    assert remedies(FITS, TrainConfig()) == remedies(UNCLEAR, FINETUNE) == []


def test_a_remedy_is_tried_against_the_same_pictures() -> None:
    folds, aim = toy_folds(600), Aim.of("accuracy")
    remedy = remedies(OVER, FINETUNE)[0]
    weak, strong = answer(folds, -0.5, 1), answer(folds, 1.5, 1, folds.rows(VALIDATION, 1))
    tried = try_remedy(lambda config: strong, folds, aim, weak, remedy)
    assert tried.helped and tried.gain is not None and tried.gain.pictures == 240
    assert not try_remedy(lambda config: weak, folds, aim, strong, remedy).helped


def test_a_remedy_that_fails_is_told_with_its_reason() -> None:
    folds, remedy = toy_folds(100), remedies(OVER, FINETUNE)[0]

    def fail(config: TrainConfig) -> Outcome:
        raise WorkError("the training diverged")

    tried = try_remedy(fail, folds, Aim.of("accuracy"), answer(folds, 0, 1), remedy)
    assert tried.gain is None and not tried.helped
    assert tried.to_json()["reason"] == "the training diverged"
