"""The stage of the last layers: it never loses, leaves the frozen ones alone, and resumes."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.model.define import define
from pizzaiolo.train.checkpoint import Checkpoints
from pizzaiolo.train.data import load_split
from pizzaiolo.train.job import Job
from pizzaiolo.train.optim import parameter_groups
from pizzaiolo.train.plan import Epoch, Fit
from pizzaiolo.train.progressive import joined, remembered, stage
from toy_network import Own

pytestmark = pytest.mark.usefixtures("one_thread")
Make = Callable[..., Job]
SETTINGS: dict[str, Any] = {
    "model": "cnn", "recipe": "finetune", "size": 32, "epochs": 2, "batch_size": 4, "lr": 1e-3
}  # fmt: skip


def groups(network: Any, rate: float) -> list[dict[str, Any]]:
    return parameter_groups(network, rate, TrainConfig())


@pytest.fixture
def make(tiny_dataset: Dataset, tmp_path: Path) -> Make:
    """A job on the tiny data set, the same network each time."""

    def make(network: Any = None, told: Any = None, **settings: Any) -> Job:
        torch.manual_seed(0)
        config = TrainConfig(**{**SETTINGS, **settings})
        splits = [load_split(tiny_dataset, name) for name in ("train", "validation")]
        (tmp_path / "run").mkdir(exist_ok=True)
        return Job(
            define(config, 2, network), config, *splits, torch.device("cpu"), tmp_path,
            (lambda epoch: None) if told is None else told.append, folder=tmp_path / "run",
        )  # fmt: skip

    return make


def state(job: Job) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in job.definition.network.state_dict().items()}


def run(job: Job, **options: Any) -> Fit:
    result = stage(job, groups, **options)
    assert result is not None
    return result


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("balance", ["none", "sampling", "weights"])
def test_the_last_layers_and_the_head_learn_and_the_others_stay(make: Make, balance: str) -> None:
    told: list[Epoch] = []
    job = make(told=told, balance=balance, epochs=8)
    before = state(job)
    result = run(job)
    changed = {name for name, tensor in state(job).items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("head.") for name in changed)
    assert any(name.startswith("backbone.stages.3") for name in changed)
    assert not any(name.startswith(("backbone.stages.0", "backbone.stages.1")) for name in changed)
    assert not any("running" in name or "batches" in name for name in changed)
    assert told == result.history and [e.epoch for e in told] == list(range(len(told)))
    assert result.best is not None and result.best.validation_loss < told[0].validation_loss
    assert same(result.state, state(job))


def test_a_stage_never_ends_worse_than_it_began(make: Make) -> None:
    job = make(lr=100.0)
    before = state(job)
    result = run(job)
    assert result.best is not None and result.best.epoch == 0
    assert same(state(job), before) and same(result.state, before)


def test_epoch_0_is_the_network_as_it_came(make: Make) -> None:
    """The validation loss on activations is that on pictures."""
    from pizzaiolo.train.data import batches, evaluation_pictures
    from pizzaiolo.train.scores import validate

    job = make(lr=1e-9)
    pictures = evaluation_pictures(job.validation, job.definition.preprocess)
    loss = validate(job.definition.network, batches(pictures, 4, shuffle_seed=None))[0]
    assert run(job).history[0].validation_loss == pytest.approx(loss, rel=1e-3)


def test_nothing_stays_on_the_disk(make: Make) -> None:
    job = make()
    run(job)
    assert job.folder is not None and os.listdir(job.folder) == []

    def fails(*_: object) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make(), mix=fails)
    assert os.listdir(job.folder) == []


def test_without_a_cut_there_is_no_stage_and_the_log_says_so(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="pizzaiolo"):
        assert stage(make(Own, model=Own.__name__), groups) is None
    assert "the last layers are not trained on their own" in caplog.text


def test_without_room_on_the_disk_there_is_no_stage(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    job = make()
    before = state(job)
    with caplog.at_level("INFO", logger="pizzaiolo"):
        assert stage(job, groups) is None
    assert "leaves activations" in caplog.text and same(state(job), before)


def test_settings_of_the_loop_hold_here_too(make: Make) -> None:
    plain = run(make(epochs=4))
    for changed in ({"ema": 0.9}, {"dropout": 0.5}, {"label_smoothing": 0.3}, {"augment": "none"}):
        assert run(make(epochs=4, **changed)).history[1:] != plain.history[1:]


def test_a_budget_that_is_used_up_ends_the_stage(make: Make) -> None:
    result = run(replace(make(epochs=1000), deadline=monotonic()))
    assert len(result.history) == 1 and result.best == result.history[0]


def half(maps: Tensor, targets: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
    return maps / 2, nn.functional.one_hot(targets, 2).float()


def test_maps_are_mixed_and_tokens_are_not(make: Make) -> None:
    assert run(make(), mix=half).history[1].train_loss != run(make()).history[1].train_loss
    tokens = {"model": "vit_tiny_patch16_224", "pretrained": False, "epochs": 1}
    losses = [run(make(**tokens), mix=mix).history[1].train_loss for mix in (half, None)]
    assert losses[0] == losses[1]


@pytest.fixture
def moments() -> Iterator[Callable[[int], Any]]:
    """A `mix` that does nothing but cut the training off in its n-th batch."""

    def at(last: int) -> Any:
        left = last

        def mix(maps: Tensor, targets: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return maps, targets

        return mix

    yield at


@pytest.mark.parametrize("last", [1, 3, 6, 10])
def test_cut_off_and_resumed_gives_the_same_bits(
    make: Make, tmp_path: Path, moments: Callable[[int], Any], last: int
) -> None:
    def kept(resume: bool, **settings: Any) -> Job:
        checkpoints = Checkpoints(tmp_path / "last.ckpt", {}, 0.0, resume)
        return replace(make(dropout=0.5, **settings), checkpoints=checkpoints)

    whole = run(make(dropout=0.5), mix=moments(0))
    with pytest.raises(KeyboardInterrupt):
        run(kept(False), mix=moments(last))
    job = kept(True)
    again = run(job, mix=moments(0))
    assert same(again.state, whole.state)
    assert [e.validation_loss for e in again.history] == [e.validation_loss for e in whole.history]
    known = remembered(job)
    assert known is not None and known.history == again.history and known.best == again.best


losses = st.lists(st.floats(0, 9), min_size=1, max_size=5)


def fitted(values: list[float]) -> Fit:
    history = [Epoch(i, None, loss, 0.5, 0.5, 0.0, 1.0) for i, loss in enumerate(values)]
    return Fit(history, min(history, key=lambda epoch: epoch.validation_loss))


@given(losses, losses)
def test_two_stages_joined_are_one_history(first: list[float], second: list[float]) -> None:
    before = fitted(first)
    assert before.best is not None
    result = joined(before, fitted([before.best.validation_loss, *second]))
    assert [epoch.epoch for epoch in result.history] == list(range(len(first) + len(second)))
    assert [epoch.validation_loss for epoch in result.history] == [*first, *second]
    assert result.best is not None and result.best in result.history
    assert result.best.validation_loss == min([*first, *second])
