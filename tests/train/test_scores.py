"""What a network gets right on a loader's data."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import TensorDataset

from pizzaiolo.train.data import Loader, batches
from pizzaiolo.train.scores import infer, macro_f1, validate

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def loader() -> Loader:
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(40, 4, generator=draw)
    return batches(TensorDataset(points, torch.arange(40) % 2), 16, shuffle_seed=None)


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


def test_inference_keeps_the_order(loader: Loader) -> None:
    network, validation = line(), loader
    logits, targets = infer(network, validation)
    points, truth = validation.dataset.tensors
    torch.testing.assert_close(logits, network(points))
    assert torch.equal(targets, truth) and not logits.requires_grad


def test_validation_figures_are_scikit_learns(loader: Loader) -> None:
    network, validation = line(), loader
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
