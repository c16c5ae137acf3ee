"""The recipes: a head on frozen features, all layers, a random start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import UsageError
from pizzaiolo.model.define import define
from pizzaiolo.train.data import load_split
from pizzaiolo.train.job import EPOCHS, RATES, Job
from pizzaiolo.train.plan import Epoch, Fit
from pizzaiolo.train.recipes import RECIPES
from toy_network import Own

pytestmark = pytest.mark.usefixtures("one_thread")
LITE0 = "tf_efficientnet_lite0"


Make = Callable[..., Job]


@pytest.fixture
def make(tiny_dataset: Dataset, tmp_path: Path) -> Make:
    """A job on the tiny data set; `told` gets its epochs."""

    def make(recipe: str, network: Any = None, told: Any = None, **settings: Any) -> Job:
        torch.manual_seed(0)
        config = TrainConfig(recipe=recipe, **{"size": 32, "epochs": 2, **settings})
        splits = [load_split(tiny_dataset, name) for name in ("train", "validation")]
        definition = define(config, 2, network)
        told = [] if told is None else told
        return Job(definition, config, *splits, torch.device("cpu"), tmp_path, told.append)

    return make


def train(job: Job) -> Fit:
    return RECIPES[job.config.recipe or ""](job)


def weights(job: Job) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in job.definition.network.state_dict().items()}


def changed(job: Job, before: dict[str, Tensor]) -> set[str]:
    after = job.definition.network.state_dict()
    return {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}


def test_head_trains_the_head_alone(make: Make) -> None:
    told: list[Epoch] = []
    job = make("head", model=LITE0, told=told, epochs=20)
    before = weights(job)
    result = train(job)
    assert changed(job, before) == {"head"}
    assert result.best is not None and result.best.validation_accuracy == 1
    assert told == result.history


def test_finetune_trains_all_from_the_trained_head_on(make: Make) -> None:
    told: list[Epoch] = []
    job = make("finetune", model=LITE0, told=told, epochs=1, lr=1e-3)
    before = weights(job)
    result = train(job)
    assert changed(job, before) >= {"head"}
    # The head, an epoch of the last layers, an epoch of all layers.
    assert [epoch.epoch for epoch in told] == [0, 1, 2] and told == result.history
    assert told[0].validation_accuracy > 0.7, "the head was trained before"


def test_the_first_stage_of_finetune_is_the_head_recipe_as_it_stands(make: Make) -> None:
    plain = train(make("head", model=LITE0, epochs=None)).best
    job = make("finetune", model=LITE0, epochs=1, lr=1e-7)
    start = train(job).history[0]
    assert plain is not None and start.validation_loss == pytest.approx(
        plain.validation_loss, rel=1e-4
    )


def test_quick_finetune_leaves_out_the_stage_of_all_layers(make: Make) -> None:
    job = make("finetune", model=LITE0, epochs=1, lr=1e-3, quality="quick")
    stem = job.definition.network.backbone.conv_stem.weight.clone()  # type: ignore[operator,union-attr]
    result = train(job)
    assert [epoch.epoch for epoch in result.history] == [0, 1]
    assert torch.equal(job.definition.network.backbone.conv_stem.weight, stem)  # type: ignore[union-attr,arg-type]


def test_finetune_keeps_the_pretrained_statistics(make: Make) -> None:
    job = make("finetune", model=LITE0, epochs=1)
    norm = job.definition.network.backbone.bn1
    before = norm.running_mean.clone()  # type: ignore[operator,union-attr]
    train(job)
    assert torch.equal(norm.running_mean.cpu(), before)  # type: ignore[operator,union-attr]


def test_finetune_never_ends_worse_than_it_began(make: Make) -> None:
    job = make("finetune", model=LITE0, epochs=1, lr=10.0)
    result = train(job)
    assert result.best is not None and result.best.epoch == 0
    assert all(torch.isfinite(v).all() for v in job.definition.network.state_dict().values())


def test_finetune_of_a_random_start_changes_the_backbone(make: Make) -> None:
    job = make("finetune", model="cnn", epochs=1)
    before = weights(job)
    result = train(job)
    assert changed(job, before) == {"backbone", "head"} and result.history[0].epoch == 1


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_scratch_learns_what_is_easy(make: Make, optimizer: str) -> None:
    job = make("scratch", Own, optimizer=optimizer, epochs=15, lr=0.05, batch_size=4)
    result = train(job)
    assert result.best is not None and result.best.validation_accuracy == 1


@pytest.mark.parametrize("recipe", ["finetune", "scratch"])
def test_a_module_without_a_linear_head_trains_whole(make: Make, recipe: str) -> None:
    job = make(recipe, Own)
    before = weights(job)
    train(job)
    assert changed(job, before) == {"backbone"}


def test_head_on_a_module_without_a_linear_head_is_refused(make: Make) -> None:
    with pytest.raises(UsageError, match="needs a network with a backbone and a linear head") as e:
        train(make("head", Own))
    assert e.value.hint == "--recipe scratch"


@pytest.mark.parametrize("recipe", ["head", "scratch"])
def test_the_network_holds_what_is_returned(make: Make, recipe: str) -> None:
    job = make(recipe, model=LITE0 if recipe == "head" else "cnn")
    state, found = train(job).state, job.definition.network.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_quality_is_more_epochs_and_epochs_override_it(make: Make) -> None:
    for recipe, by_quality in EPOCHS.items():
        assert by_quality["quick"] < by_quality["good"] < by_quality["best"]
        job = make("scratch", Own, quality="best", epochs=None)
        assert job.epochs(recipe) == by_quality["best"]
        assert make("scratch", Own, quality="best", epochs=3).epochs(recipe) == 3


def test_the_rate_is_by_recipe_and_optimiser_unless_it_is_set(make: Make) -> None:
    for optimizer in ("adamw", "adam", "sgd"):
        job = make("scratch", Own, optimizer=optimizer)
        assert {recipe: job.rate(recipe) for recipe in RATES} == {
            recipe: rates["sgd" if optimizer == "sgd" else "adamw"]
            for recipe, rates in RATES.items()
        }
    assert make("scratch", Own, optimizer="lion").rate("scratch") < RATES["scratch"]["adamw"]
    assert make("scratch", Own, optimizer="nesterov").rate("scratch") == RATES["scratch"]["sgd"]
    assert make("scratch", Own, lr=0.5).rate("scratch") == 0.5
    assert make("scratch", Own, lr=0.0).rate("scratch") == 0.0, "nought is a rate"


def test_without_augmentation_each_epoch_sees_the_same(make: Make) -> None:
    settings = {"lr": 0.0, "weight_decay": 0.0, "epochs": 3, "batch_size": 64}
    plain = train(make("scratch", Own, augment="none", **settings)).history
    varied = train(make("scratch", Own, augment="light", **settings)).history
    assert len({round(e.train_loss or 0, 6) for e in plain}) == 1
    assert len({round(e.train_loss or 0, 6) for e in varied}) == 3
