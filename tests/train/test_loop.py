"""The training loop: the best epoch, its weights, and when to stop."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from pizzaiolo.config import TrainConfig
from pizzaiolo.errors import WorkError
from pizzaiolo.train.data import batches
from pizzaiolo.train.loop import (
    Epoch,
    Fit,
    Plan,
    fit,
    infer,
    macro_f1,
    make_optimizer,
    make_schedule,
    validate,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def loaders(count: int = 40) -> tuple[Any, Any]:
    """Two clouds of points that a line parts, and a noisier lot to look at."""
    draw = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % 2
    points = torch.randn(count, 4, generator=draw) + 1.5 * targets[:, None]
    noisy = points + 2 * torch.randn(count, 4, generator=draw)
    training = batches(TensorDataset(points, targets), 8, shuffle_seed=0)
    return training, batches(TensorDataset(noisy, targets), 16, shuffle_seed=None)


def run(network: nn.Module, *, epochs: int = 5, lr: float = 0.1, **settings: Any) -> Fit:
    plan = {k: settings.pop(k) for k in ("patience", "trained") if k in settings}
    groups = [{"params": network.parameters(), "lr": lr}]
    config = TrainConfig(**settings)
    return fit(network, loaders(), Plan(epochs, groups, **{"patience": 99, **plan}), config)


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimiser_learns(optimizer: str) -> None:
    result = run(line(), optimizer=optimizer)
    first, last = result.history[0], result.history[-1]
    assert first.train_loss and last.train_loss and last.train_loss < first.train_loss
    assert result.best is not None and result.best.validation_accuracy > 0.7


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_the_optimiser_is_the_one_asked_for(name: str, kind: type) -> None:
    groups: list[dict[str, Any]] = [
        {"params": [p], "lr": lr} for p, lr in zip(line().parameters(), (0.1, 0.2), strict=True)
    ]
    made = make_optimizer(TrainConfig(optimizer=name, weight_decay=0.25), groups)
    assert type(made) is kind
    assert [g["lr"] for g in made.param_groups] == [0.1, 0.2]
    assert all(g["weight_decay"] == 0.25 for g in made.param_groups)


@given(epochs=st.integers(1, 30), steps=st.integers(2, 40), warmup=st.floats(0, 0.5))
def test_the_rate_warms_up_and_falls_to_zero(epochs: int, steps: int, warmup: float) -> None:
    optimizer = torch.optim.SGD(line().parameters(), lr=1.0)
    factor = make_schedule(optimizer, Plan(epochs, [], 1, warmup), steps).lr_lambdas[0]
    total = epochs * steps
    rates = [factor(step) for step in range(total + 1)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1) and min(rates) >= 0
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_the_best_epoch_is_kept_and_not_the_last() -> None:
    """Pain: early stopping that keeps the last weights."""
    network = line()
    result = run(network, epochs=40, lr=0.5, optimizer="adam")
    losses = [epoch.validation_loss for epoch in result.history]
    assert result.best is not None and result.best.epoch == 1 + losses.index(min(losses))
    assert result.best.epoch < len(losses), "the case needs a best epoch before the last"
    network.load_state_dict(result.state)
    assert validate(network, loaders()[1])[0] == pytest.approx(min(losses), rel=1e-6)


def test_the_kept_weights_are_no_view_of_those_that_train_on() -> None:
    network = line()
    result = run(network, epochs=40, lr=0.5, optimizer="adam")
    assert not torch.equal(result.state["weight"], network.weight)


def test_patience_ends_a_training_that_no_longer_helps() -> None:
    result = run(line(), epochs=50, lr=0.0, patience=3, weight_decay=0.0)
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3, 4]


def test_the_rate_that_is_reported_was_in_use() -> None:
    result = run(line(), epochs=3, lr=0.1)
    assert all(0 <= epoch.lr <= 0.1 for epoch in result.history)


def test_a_loss_that_is_no_number_is_one_clear_error() -> None:
    with pytest.raises(WorkError, match="no longer a number") as caught:
        run(line(), lr=1e38, optimizer="sgd")
    assert "--lr" in (caught.value.hint or "")


class Breaks(nn.Linear):
    """Trains well, and answers with no numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else super().forward(x) * math.nan


def test_a_validation_loss_that_is_no_number_is_never_the_best() -> None:
    with pytest.raises(WorkError, match="no longer a number"):
        run(Breaks(4, 2))


def test_label_smoothing_is_for_training_only() -> None:
    plain, smooth = (run(line(), epochs=1, label_smoothing=s).history[0] for s in (0.0, 0.4))
    assert smooth.train_loss != plain.train_loss
    exact = run(line(), epochs=1, lr=0.0, label_smoothing=0.4).history[0]
    assert exact.validation_loss == run(line(), epochs=1, lr=0.0).history[0].validation_loss


def test_the_same_seed_gives_the_same_weights() -> None:
    a, b = run(line()).state, run(line()).state
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_trained_network_never_gets_worse() -> None:
    network = line()
    network.load_state_dict(run(network).state)
    loss = validate(network, loaders()[1])[0]
    result = run(network, lr=50.0, epochs=2, trained=True)
    assert result.best is not None and result.best.epoch == 0
    assert result.best.validation_loss == loss and result.history[0].train_loss is None
    network.load_state_dict(result.state)
    assert validate(network, loaders()[1])[0] == loss


@pytest.mark.parametrize("trained", [True, False])
def test_the_statistics_of_a_trained_network_stay(trained: bool) -> None:
    network = nn.Sequential(nn.BatchNorm1d(4), line())
    run(network, epochs=1, trained=trained)
    moved = not torch.equal(network[0].running_mean, torch.zeros(4))  # type: ignore[arg-type]
    assert moved is not trained


def test_the_network_is_trained_in_training_mode() -> None:
    seen = []

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    run(Spy(4, 2), epochs=2)
    one_epoch = [(True, True)] * 5 + [(False, False)] * 3
    assert seen == one_epoch * 2


def test_each_epoch_is_told_once() -> None:
    told: list[Epoch] = []
    network = line()
    plan = Plan(3, [{"params": network.parameters(), "lr": 0.1}], 9)
    steps = []
    result = fit(network, loaders(), plan, TrainConfig(), told.append, lambda n=1: steps.append(n))
    assert told == result.history and len(steps) == 3


def test_inference_keeps_the_order() -> None:
    network, (_, validation) = line(), loaders()
    logits, targets = infer(network, validation)
    points, truth = validation.dataset.tensors
    torch.testing.assert_close(logits, network(points))
    assert torch.equal(targets, truth) and not logits.requires_grad


def test_validation_figures_are_scikit_learns() -> None:
    network, (_, validation) = line(), loaders()
    loss, accuracy, f1 = validate(network, validation)
    points, truth = validation.dataset.tensors
    with torch.no_grad():
        predicted = network(points).argmax(1)
        assert loss == pytest.approx(float(nn.functional.cross_entropy(network(points), truth)))
    assert accuracy == pytest.approx(float((predicted == truth).float().mean()))
    assert f1 == pytest.approx(f1_score(truth, predicted, average="macro"))


@given(st.integers(2, 5).flatmap(lambda c: st.tuples(
    st.just(c), st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=1)
)))  # fmt: skip
def test_macro_f1_is_scikit_learns(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    truth, predicted = np.array(pairs).T
    expected = f1_score(
        truth, predicted, average="macro", labels=range(classes), zero_division=0
    )  # fmt: skip
    assert macro_f1(truth, predicted, classes) == pytest.approx(expected)
