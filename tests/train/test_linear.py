from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.train import linear
from pizzaiolo.train.linear import STRENGTHS, WORSE_IN_A_ROW, Candidate, Features, axes_of, path
from pizzaiolo.train.loss import make_loss

LOSS = make_loss(TrainConfig())


def blobs(
    count: int, classes: int = 3, width: int = 8, seed: int = 0, noise: float = 1.0
) -> Features:
    draw = torch.Generator().manual_seed(seed)
    centres = 3 + torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    targets = torch.arange(count) % classes
    values = centres[targets] + noise * torch.randn(count, width, generator=draw)
    return Features(values, targets)


def test_a_layer_is_the_minimum_that_scikit_learn_finds() -> None:
    training, validation = blobs(300), blobs(90, seed=1)
    spread = training.values.std(0, correction=0).mean()
    standard = ((training.values - training.values.mean(0)) / spread).numpy()
    for candidate in path(training, validation, LOSS, 3):
        # its C weighs the sum of the losses, our strength their mean
        theirs = LogisticRegression(C=1 / (candidate.strength * 300), max_iter=5000, tol=1e-8)
        expected = theirs.fit(standard, training.targets.numpy()).predict_proba(standard)
        received = candidate.layer(training.values).softmax(1).detach().numpy()
        assert np.abs(expected - received).max() < 0.01


@pytest.mark.parametrize("count", [5, 60])
def test_the_axes_hold_the_features_and_are_mixed_no_more(count: int) -> None:
    training = blobs(count)
    axes = axes_of(training)
    assert axes.directions is not None
    found = axes.scores @ axes.directions.T * axes.spread + axes.mean
    assert torch.allclose(found, training.values, atol=1e-4)
    products = axes.scores.T @ axes.scores
    assert (products - products.diag().diag()).abs().max() < 1e-3 * products.max()
    own = axes.directions.T @ axes.directions
    assert torch.allclose(own, torch.eye(len(own)), atol=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "bce"])
@pytest.mark.parametrize("count", [24, 120])
def test_the_minimum_is_the_same_without_axes(
    loss: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, validation = blobs(count, width=40), blobs(90, width=40, seed=1)
    criterion = make_loss(TrainConfig(loss=loss), torch.tensor([2.0, 1.0, 0.5]))
    ours, spread = list(path(training, validation, criterion, 3)), axes_of(training).spread
    monkeypatch.setattr(linear, "MOST_AXES", 2)
    assert axes_of(training).directions is None

    def cost(candidate: Candidate) -> float:
        weight = candidate.layer.weight.detach() * spread
        return candidate.train_loss + candidate.strength / 2 * float(weight.square().sum())

    for first, second in zip(ours, path(training, validation, criterion, 3), strict=True):
        assert cost(first) == pytest.approx(cost(second), rel=1e-3, abs=1e-4)


def test_axes_that_are_known_are_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    training, validation = blobs(60), blobs(30, seed=1)
    first, axes = list(path(training, validation, LOSS, 3)), axes_of(training)
    monkeypatch.setattr(linear, "axes_of", None)
    second = list(path(training, validation, LOSS, 3, axes))
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(first, second, strict=True))


def test_features_that_are_no_numbers_give_no_loss_either() -> None:
    training = blobs(12)
    training.values[3, 2] = torch.nan
    candidate = next(iter(path(training, blobs(6), LOSS, 3)))
    assert not np.isfinite(candidate.train_loss)


def test_weaker_regularisation_fits_the_training_data_better() -> None:
    losses = [c.train_loss for c in path(blobs(120), blobs(300, seed=1, noise=0.5), LOSS, 3)]
    assert losses == sorted(losses, reverse=True) and len(losses) > 3


def test_the_path_ends_when_less_regularisation_only_harms() -> None:
    noise = Features(
        torch.randn(60, 40, generator=torch.Generator().manual_seed(1)), blobs(60).targets
    )
    other = Features(
        torch.randn(60, 40, generator=torch.Generator().manual_seed(2)), blobs(60).targets
    )
    losses = [c.validation_loss for c in path(noise, other, LOSS, 3)]
    assert len(losses) < len(STRENGTHS)
    assert all(loss > min(losses) for loss in losses[-WORSE_IN_A_ROW:])


def test_the_logits_are_those_of_the_folded_layer_on_plain_features() -> None:
    training, validation = blobs(90), blobs(30, seed=1)
    for candidate in path(training, validation, LOSS, 3):
        assert torch.allclose(candidate.layer(validation.values), candidate.logits, atol=1e-3)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "bce"])
def test_every_loss_separates_what_can_be_separated(loss: str) -> None:
    training, validation = blobs(90, noise=0.2), blobs(60, seed=1, noise=0.2)
    best = list(path(training, validation, make_loss(TrainConfig(loss=loss)), 3))[-1]
    assert bool((best.logits.argmax(1) == validation.targets).all())


def test_a_weighted_class_is_found_more_often() -> None:
    training, validation = blobs(90, noise=3), blobs(300, seed=1, noise=3)

    def found(weights: Tensor | None) -> int:
        first = next(iter(path(training, validation, make_loss(TrainConfig(), weights), 3)))
        return int((first.logits.argmax(1) == 0).sum())

    assert found(torch.tensor([5.0, 1.0, 1.0])) > found(None)


def test_features_that_never_vary_do_no_harm() -> None:
    flat = Features(torch.ones(12, 5), blobs(12).targets)
    for candidate in path(flat, flat, LOSS, 3):
        assert bool(candidate.logits.isfinite().all())


@given(st.integers(2, 12), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_any_few_pictures_give_a_layer(count: int, width: int) -> None:
    data = blobs(count, classes=2, width=width)
    assert all(isinstance(c.layer, nn.Linear) for c in path(data, data, LOSS, 2))


def test_the_same_data_give_the_same_bits() -> None:
    first, second = (list(path(blobs(60), blobs(30, seed=1), LOSS, 3)) for _ in range(2))
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(first, second, strict=True))
