"""The training loop: the best epoch, its weights, and when to stop."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from pizzaiolo.config import TrainConfig
from pizzaiolo.errors import WorkError
from pizzaiolo.train.data import batches
from pizzaiolo.train.loop import fit
from pizzaiolo.train.plan import Epoch, Fit, Plan
from pizzaiolo.train.scores import validate

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
    names = ("patience", "trained", "mix", "seconds")
    plan = {k: settings.pop(k) for k in names if k in settings}
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
    with pytest.raises(WorkError, match=r"no longer a number at epoch 1, step \d") as caught:
        run(line(), lr=1e38, optimizer="sgd")
    assert "--lr" in (caught.value.hint or "") and "(pictures row " in caught.value.message


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
    result = fit(network, loaders(), plan, TrainConfig(), told.append)
    assert told == result.history and len(told) == 3


def test_with_ema_the_averaged_weights_are_judged_and_kept() -> None:
    network = line()
    result = run(network, epochs=1, ema=0.9)
    assert not torch.equal(result.state["weight"], network.weight)
    kept = line()
    kept.load_state_dict(result.state)
    assert validate(kept, loaders()[1])[0] == result.history[0].validation_loss


def test_without_ema_decay_the_weights_themselves_are_kept() -> None:
    network = line()
    result = run(network, epochs=1)
    assert torch.equal(result.state["weight"], network.weight)


def test_gradients_are_clipped_to_the_norm() -> None:
    free, clipped = line(), line()
    settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "lr": 1.0, "epochs": 1}
    run(free, **settings)
    run(clipped, clip_grad=1e-3, **settings)
    moved = (clipped.weight - line().weight).norm()
    assert moved <= 5 * 1e-3 < (free.weight - line().weight).norm()


def test_a_mix_gives_the_pictures_and_soft_targets_to_learn_from() -> None:
    seen = []

    def mix(pictures: Tensor, targets: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        seen.append(float(torch.rand((), generator=draw)))
        return pictures, nn.functional.one_hot(targets, 2).float()

    mixed, plain = run(line(), mix=mix, epochs=2), run(line(), epochs=2)
    assert len(set(seen)) == 10, "each batch of each epoch draws its own"
    torch.testing.assert_close(mixed.state, plain.state)
    assert mixed.history[1].train_accuracy == plain.history[1].train_accuracy


def test_bf16_learns_and_keeps_weights_and_judgement_in_fp32() -> None:
    network = line()
    result = run(network, epochs=3, precision="bf16")
    assert result.state["weight"].dtype == torch.float32
    first, last = result.history[0].train_loss, result.history[-1].train_loss
    assert first and last and last < first
    assert not torch.equal(result.state["weight"], run(line(), epochs=3).state["weight"])
    network.load_state_dict(result.state)
    assert result.best is not None
    assert validate(network, loaders()[1])[0] == result.best.validation_loss
    assert network(torch.zeros(1, 4)).dtype == torch.float32, "the network itself is not changed"


def test_a_loss_of_the_settings_is_used() -> None:
    assert run(line(), loss="focal").history[0].train_loss != run(line()).history[0].train_loss


def test_training_figures_are_those_of_the_pictures_seen() -> None:
    network = line()
    result = run(network, lr=0.0, weight_decay=0.0, epochs=1)
    training = loaders()[0]
    loss, accuracy, _ = validate(network, training)
    assert result.history[0].train_loss == pytest.approx(loss, rel=1e-5)
    assert result.history[0].train_accuracy == pytest.approx(accuracy)
    assert (result.history[0].pictures_per_second or 0) > 0


def test_a_batch_that_does_not_fit_is_halved_until_one_does() -> None:
    class Big(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(x)

    with pytest.raises(WorkError, match="by a batch of 8 pictures; a batch of 2 fits") as caught:
        run(Big(4, 2))
    assert caught.value.hint == "--batch-size 2"


def test_another_runtime_error_is_not_taken_for_a_full_memory() -> None:
    class Wrong(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        run(Wrong(4, 2))


class Clock:
    """Time that passes by training: a second for each step."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Slow(nn.Linear):
    """A second for each training step."""

    clock: Clock

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += self.training
        return super().forward(x)


@pytest.mark.parametrize(("seconds", "least"), [(60.0, 50), (23.0, 18), (7.5, 5)])
def test_a_time_budget_is_used_and_kept_and_the_rate_ends_near_zero(
    monkeypatch: pytest.MonkeyPatch, seconds: float, least: int
) -> None:
    import time

    clock = Slow.clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    result = run(Slow(4, 2), epochs=1000, seconds=seconds)
    assert least <= clock.now <= seconds
    assert len(result.history) == -(-int(clock.now) // 5)
    if seconds > 20:
        assert result.history[-1].lr < 0.02 < 0.06 < max(epoch.lr for epoch in result.history)


def test_a_time_budget_that_is_over_keeps_what_was_trained() -> None:
    result = run(line(), trained=True, seconds=0.0)
    assert [epoch.epoch for epoch in result.history] == [0]
