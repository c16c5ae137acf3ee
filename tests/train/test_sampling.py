"""Orders that depend on seed and epoch alone, and weights that make up for unequal classes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pizzaiolo.train.sampling import (
    EpochSampler,
    class_counts,
    class_weights,
    repeats,
    sampling_weights,
)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**32), st.integers(0, 50))
def test_an_order_is_a_function_of_seed_and_epoch(length: int, seed: int, epoch: int) -> None:
    sampler, again = EpochSampler(length, seed), EpochSampler(length, seed)
    list(again)  # what came before doesn't matter
    sampler.epoch = again.epoch = epoch
    order = list(sampler)
    assert sorted(order) == list(range(length)) and order == list(again)
    assert len(sampler) == length


def test_orders_differ_by_seed_and_epoch() -> None:
    orders = set()
    for seed in range(3):
        sampler = EpochSampler(30, seed)
        for sampler.epoch in range(3):
            orders.add(tuple(sampler))
    assert len(orders) == 9


@pytest.mark.parametrize("weights", [None, torch.ones(10)])
def test_an_epoch_that_goes_on_gives_the_rest_and_then_whole_ones(
    weights: torch.Tensor | None,
) -> None:
    sampler = EpochSampler(10, 3, weights=weights)
    whole = list(sampler)
    sampler.start = 4
    assert list(sampler) == whole[4:] and list(sampler) == whole


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_repeats_count_what_came_before(items: list[int]) -> None:
    expected = [items[:i].count(item) for i, item in enumerate(items)]
    assert repeats(torch.tensor(items)).tolist() == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=1000).filter(any))
def test_class_weights_give_every_class_the_same_say(counts: list[int]) -> None:
    weights = class_weights(counts).double()
    pictures = torch.tensor(counts)
    say = (weights * pictures)[pictures > 0]
    torch.testing.assert_close(say, say[:1].expand_as(say), rtol=1e-5, atol=0)
    assert abs(float(say.sum() / pictures.sum()) - 1) < 1e-5  # the loss keeps its scale
    assert (weights[pictures == 0] == 0).all() and weights.isfinite().all()


def test_a_thousand_classes_of_one_picture_each() -> None:
    targets = list(range(1000))
    assert torch.equal(class_weights(class_counts(targets, 1000)), torch.ones(1000))
    sampler = EpochSampler(1000, 0, weights=sampling_weights(targets, 1000))
    assert all(0 <= place < 1000 for place in sampler)


def test_pictures_per_class() -> None:
    assert class_counts([0, 2, 2], 4) == [1, 0, 2, 0]
