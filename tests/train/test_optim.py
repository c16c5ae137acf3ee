"""Optimisers by name, groups of parameters, and the rate from step to step."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.errors import UsageError
from pizzaiolo.train.optim import (
    average,
    check_optimizer,
    make_optimizer,
    parameter_groups,
    rate_factor,
    set_rates,
)

pytestmark = pytest.mark.usefixtures("one_thread")
SCHEDULES = ("cosine", "one_cycle", "constant")


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


def groups() -> list[dict[str, Any]]:
    return [
        {"params": [p], "lr": lr} for p, lr in zip(line().parameters(), (0.1, 0.2), strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
        ("nadam", torch.optim.NAdam),
    ],
)
def test_the_optimiser_is_the_one_asked_for(name: str, kind: type) -> None:
    made = make_optimizer(TrainConfig(optimizer=name, weight_decay=0.25, momentum=0.8), groups())
    assert type(made) is kind
    assert [g["lr"] for g in made.param_groups] == [0.1, 0.2]
    assert all(g["weight_decay"] == 0.25 for g in made.param_groups)
    assert all(g.get("momentum", 0.8) == 0.8 for g in made.param_groups)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "nesterov"])
def test_momentum_may_be_nought(name: str) -> None:
    made = make_optimizer(TrainConfig(optimizer=name, momentum=0.0), groups())
    assert all(g["momentum"] == 0 for g in made.param_groups)


@pytest.mark.filterwarnings("ignore:Using backward")  # by adahessian, of the second order
@pytest.mark.parametrize(
    "name", ["sgd", "adam", "lion", "lamb", "adan", "lookahead_adamw", "adahessian"]
)
def test_an_optimiser_lowers_the_loss_and_its_state_is_plain(name: str, tmp_path: Any) -> None:
    network, inputs = line(), torch.randn(32, 4)
    optimizer = make_optimizer(
        TrainConfig(optimizer=name), parameter_groups(network, 0.01, TrainConfig())
    )
    targets = (inputs.sum(1) > 0).long()
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward(create_graph=getattr(optimizer, "is_second_order", False))
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    torch.save(optimizer.state_dict(), tmp_path / "o")
    again = make_optimizer(
        TrainConfig(optimizer=name), parameter_groups(network, 0.01, TrainConfig())
    )
    again.load_state_dict(torch.load(tmp_path / "o", weights_only=True))


@pytest.mark.parametrize(
    ("name", "near"), [("addamw", "'adamw'"), ("sdg", "'sgd'"), ("", "one of")]
)
def test_an_unknown_optimiser_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"optimizer is '{name}', which is not known") as caught:
        check_optimizer(name)
    assert near in (caught.value.hint or "")


def test_an_optimiser_of_a_package_that_is_not_here_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="can't be made here"):
        make_optimizer(TrainConfig(optimizer="bnbadam"), groups())


def test_biases_and_norms_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    made = parameter_groups(network, 0.5, TrainConfig(weight_decay=0.1))
    decays = {id(p): g["weight_decay"] for g in made for p in g["params"]}
    assert {name: decays[id(p)] for name, p in network.named_parameters()} == {
        "0.weight": 0.1, "3.weight": 0.1,
        "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "3.bias": 0.0,
    }  # fmt: skip
    assert all(g["lr"] == 0.5 for g in made)


def test_what_an_architecture_spares_does_not_decay() -> None:
    class Spares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Parameter(torch.zeros(2, 2))
            self.matrix = nn.Parameter(torch.zeros(2, 2))

        def no_weight_decay(self) -> set[str]:
            return {"places"}

    network = Spares()
    made = parameter_groups(network, 0.5, TrainConfig(weight_decay=0.1))
    assert [g["weight_decay"] for g in made if g["params"][0] is network.places] == [0.0]
    assert [g["weight_decay"] for g in made if g["params"][0] is network.matrix] == [0.1]


def rates(schedule: str, warmup: float, total: int) -> list[float]:
    config = TrainConfig(schedule=schedule, warmup=warmup)
    return [rate_factor(config, step, total) for step in range(total)]


@given(total=st.integers(1, 400), warmup=st.floats(0, 1), schedule=st.sampled_from(SCHEDULES))
def test_the_rate_rises_to_its_peak_and_never_again(
    total: int, warmup: float, schedule: str
) -> None:
    found = rates(schedule, warmup, total)
    peak = found.index(max(found))
    assert min(found) >= 0 and max(found) <= 1
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)


@given(total=st.integers(100, 400), warmup=st.floats(0, 0.5), schedule=st.sampled_from(SCHEDULES))
def test_the_rate_peaks_after_the_warm_up_and_ends_near_zero(
    total: int, warmup: float, schedule: str
) -> None:
    found = rates(schedule, warmup, total)
    assert max(found) == pytest.approx(1, abs=1e-3)
    assert found.index(max(found)) == pytest.approx(warmup * total, abs=1.5)
    assert found[-1] == 1 if schedule == "constant" else found[-1] < 0.01


def test_each_group_keeps_its_share_of_the_rate() -> None:
    config = TrainConfig(warmup=0.0)
    optimizer = make_optimizer(config, groups())
    set_rates(optimizer, config, 50, 101)
    factor = rate_factor(config, 50, 101)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1 * factor, 0.2 * factor]
    assert 0.4 < factor < 0.6


@pytest.mark.parametrize(("name", "key"), [("sgd", "momentum"), ("adamw", "betas")])
def test_one_cycle_moves_the_momentum_against_the_rate(name: str, key: str) -> None:
    config = TrainConfig(optimizer=name, schedule="one_cycle", warmup=0.5)
    optimizer = make_optimizer(config, groups())
    found = []
    for step in (0, 50, 99):
        set_rates(optimizer, config, step, 100)
        value = optimizer.param_groups[0][key]
        found.append(value[0] if key == "betas" else value)
    assert found[1] == pytest.approx(0.85) and min(found[0], found[2]) > 0.94


def test_the_average_is_that_of_the_weights() -> None:
    network = line()
    averaged = average(network, 0.9)
    expected = None
    for step in range(200):
        with torch.no_grad():
            network.weight.fill_(float(step))
        averaged.update_parameters(network)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = step if expected is None else decay * expected + (1 - decay) * step
    assert averaged.module.weight[0, 0].item() == pytest.approx(expected, rel=1e-4)
    assert averaged.module.weight is not network.weight
