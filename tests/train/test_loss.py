"""Losses by their field names, on class indices and on soft targets."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from pizzaiolo.config import TrainConfig
from pizzaiolo.train.loss import make_loss

LOSSES = ("cross_entropy", "focal", "bce")


def example(classes: int = 3, count: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=draw)
    return logits, torch.randint(classes, (count,), generator=draw)


def test_cross_entropy_is_torchs() -> None:
    made = make_loss(TrainConfig(label_smoothing=0.1), torch.ones(3))
    assert isinstance(made, nn.CrossEntropyLoss) and made.label_smoothing == 0.1


@pytest.mark.parametrize("loss", LOSSES)
@given(seed=st.integers(0, 99), smoothing=st.sampled_from([0.0, 0.1]), classes=st.integers(2, 6))
def test_indices_and_their_soft_targets_cost_the_same(
    loss: str, seed: int, smoothing: float, classes: int
) -> None:
    made = make_loss(TrainConfig(loss=loss, label_smoothing=smoothing))
    logits, targets = example(classes, seed=seed)
    soft = functional.one_hot(targets, classes).float()
    torch.testing.assert_close(made(logits, targets), made(logits, soft))


@pytest.mark.parametrize("loss", LOSSES)
@given(seed=st.integers(0, 99), share=st.floats(0, 1))
def test_a_mixture_costs_between_its_parts(loss: str, seed: int, share: float) -> None:
    made = make_loss(TrainConfig(loss=loss))
    logits, targets = example(seed=seed)
    first = functional.one_hot(targets, 3).float()
    second = first.roll(1, dims=1)
    mixed = made(logits, share * first + (1 - share) * second)
    expected = share * made(logits, first) + (1 - share) * made(logits, second)
    torch.testing.assert_close(mixed, expected)


def test_the_focal_loss_is_that_of_the_paper() -> None:
    """-(1 - p)^2 log p of the true class, by hand."""
    logits, targets = example()
    p = logits.softmax(1)[torch.arange(len(targets)), targets]
    made = make_loss(TrainConfig(loss="focal"))
    torch.testing.assert_close(made(logits, targets), (-((1 - p) ** 2) * p.log()).mean())


def test_bce_asks_one_question_for_each_class() -> None:
    logits, targets = example()
    yes = functional.logsigmoid(logits)[torch.arange(len(targets)), targets]
    no = functional.logsigmoid(-logits).sum(1)
    no -= functional.logsigmoid(-logits)[torch.arange(len(targets)), targets]
    made = make_loss(TrainConfig(loss="bce"))
    torch.testing.assert_close(made(logits, targets), -(yes + no).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_multiply_what_a_class_costs(loss: str) -> None:
    plain, made = (make_loss(TrainConfig(loss=loss), w) for w in (None, torch.tensor([1.0, 3.0])))
    logits, targets = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    first, second = (plain(logits[:1], targets[i : i + 1]) for i in (0, 1))
    # cross-entropy divides by the sum of the weights, which is the number of pictures on average
    pictures = 4 if loss == "cross_entropy" else 2
    torch.testing.assert_close(made(logits, targets), (first + 3 * second) / pictures)


@pytest.mark.parametrize("loss", LOSSES)
def test_smoothing_punishes_being_too_sure(loss: str) -> None:
    sure, targets = torch.tensor([[30.0, -30.0]]), torch.tensor([0])
    plain, smooth = (make_loss(TrainConfig(loss=loss, label_smoothing=s)) for s in (0.0, 0.1))
    assert plain(sure, targets) < 1e-3 < smooth(sure, targets)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1e4, 0.0])
def test_extreme_logits_have_finite_losses_and_gradients(loss: str, scale: float) -> None:
    logits = torch.tensor([[scale, -scale], [-scale, scale]], requires_grad=True)
    value = make_loss(TrainConfig(loss=loss))(logits, torch.tensor([0, 0]))
    value.backward()  # type: ignore[no-untyped-call]
    assert value.isfinite() and logits.grad is not None and logits.grad.isfinite().all()
