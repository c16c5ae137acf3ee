from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from pizzaiolo.model.head import KnowingHead, knowing_head


@pytest.fixture
def own() -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(6, 10), nn.Linear(4, 7)]


def test_an_untrained_head_answers_by_its_new_layer_alone(own: list[nn.Linear]) -> None:
    head, embedding = knowing_head(own, 3), torch.randn(5, 10)
    assert torch.equal(head(embedding), head.linear(embedding)) and head.out_features == 3


def test_each_member_is_asked_about_its_own_part(own: list[nn.Linear]) -> None:
    head, embedding = knowing_head(own, 3), torch.randn(5, 10)
    first, second = head.readers()
    assert torch.allclose(first(embedding[:, :6]), own[0](embedding[:, :6]).softmax(1).sqrt())
    assert torch.allclose(second(embedding[:, 6:]), own[1](embedding[:, 6:]).softmax(1).sqrt())
    with torch.no_grad():
        head.knowing.weight.copy_(torch.randn(3, 17))
    said = torch.cat([first(embedding[:, :6]), second(embedding[:, 6:])], dim=1)
    assert torch.allclose(head(embedding) - head.linear(embedding), head.knowing(said), atol=1e-5)


def test_the_own_layers_stay_as_they_are_in_training(own: list[nn.Linear]) -> None:
    head = knowing_head(own, 3)
    head(torch.randn(5, 10)).sum().backward()
    assert all(not p.requires_grad and p.grad is None for p in head.own.parameters())
    assert head.linear.weight.grad is not None and head.knowing.weight.grad is not None


def test_what_is_nearly_impossible_stays_finite(own: list[nn.Linear]) -> None:
    head = knowing_head(own, 3)
    embedding = (1e4 * torch.randn(5, 10)).requires_grad_()
    head(embedding).sum().backward()
    assert embedding.grad is not None and bool(embedding.grad.isfinite().all())


def test_a_saved_head_is_rebuilt_from_its_widths(own: list[nn.Linear]) -> None:
    head, buffer = knowing_head(own, 3), io.BytesIO()
    torch.save(head.state_dict(), buffer)
    again = KnowingHead([6, 4], [10, 7], 3)
    again.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    embedding = torch.randn(2, 10)
    assert torch.equal(again(embedding), head(embedding))
