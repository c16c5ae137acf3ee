"""A soup of fine-tuned networks: kept only where it is better than the best of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.improve.aim import Aim
from pizzaiolo.improve.folds import Folds, make_folds
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.soup import Ingredient, greedy_soup, kitchen, stirred
from pizzaiolo.improve.steps import answers, write_fit
from pizzaiolo.model.define import define
from pizzaiolo.train.plan import Epoch, Fit

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
CONFIG = TrainConfig(recipe="finetune", model="cnn", size=32)
LOSS = Aim.of("log_loss")


@pytest.fixture(scope="module")
def folds(tiny_dataset: Dataset) -> Folds:
    return make_folds(tiny_dataset, 3)


class Stall:
    """Makes ingredients of one network whose head leans to either side."""

    def __init__(self, folds: Folds, folder: Path) -> None:
        torch.manual_seed(0)
        self.folds, self.folder = folds, folder
        self.definition = define(CONFIG, 2)
        self.plain = {k: v.clone() for k, v in self.definition.network.state_dict().items()}
        self.plain["head.weight"] *= 0.01

    def answers(self, state: dict[str, Tensor]) -> np.ndarray:
        self.definition.network.load_state_dict(state)
        return answers(self.definition, self.folds, self.folds.rows(0), CPU)

    def make(self, number: int, lean: float) -> Ingredient:
        state = {k: v.clone() for k, v in self.plain.items()}
        state["head.bias"] = torch.tensor([-lean, lean])
        epoch = Epoch(1, 0.5, 0.5, 0.5, 0.5, 0.1, 1.0)
        file = self.folder / str(number) / "weights.pt"
        file.parent.mkdir(exist_ok=True)
        write_fit(file, Fit([epoch], epoch, state))
        return Ingredient(number, CONFIG, Outcome(self.answers(state)), file)


@pytest.fixture
def stall(folds: Folds, tmp_path: Path) -> Stall:
    return Stall(folds, tmp_path)


def test_networks_that_err_to_either_side_make_a_better_soup(stall: Stall, folds: Folds) -> None:
    pot = [stall.make(3, 1.1), stall.make(5, -1.0), stall.make(8, 9.0)]
    soup = greedy_soup(pot, folds, LOSS, CPU)
    assert soup is not None and soup.members == (5, 3), "the best first, and not what harms"
    assert soup.value < soup.best and soup.config == CONFIG
    lean = soup.fit.state["head.bias"]
    assert torch.allclose(lean, torch.tensor([-0.05, 0.05]), atol=1e-6)
    rows = folds.rows(0)
    assert np.array_equal(soup.outcome.judged, rows)
    assert np.allclose(soup.outcome.probabilities[rows], stall.answers(soup.fit.state)[rows])
    assert soup.value == LOSS.value(soup.outcome.predictions(folds))
    assert soup.fit.choices["soup"] == [5, 3]


def test_a_soup_that_is_no_better_is_not_kept(stall: Stall, folds: Folds) -> None:
    pot = [stall.make(1, 0.0), stall.make(2, 3.0), stall.make(4, 4.0)]
    assert greedy_soup(pot, folds, LOSS, CPU) is None
    same = [stall.make(1, 1.0), stall.make(2, 1.0)]
    assert greedy_soup(same, folds, LOSS, CPU) is None


def test_one_network_makes_no_soup(stall: Stall, folds: Folds) -> None:
    assert greedy_soup([stall.make(1, 1.0)], folds, LOSS, CPU) is None


def test_only_what_began_alike_comes_into_one_pot(stall: Stall) -> None:
    one, two = stall.make(1, 0.0), stall.make(2, 0.0)
    others = [
        replace(one, number=10 + i, config=config)
        for i, config in enumerate((
            replace(CONFIG, model="resnet18"), replace(CONFIG, size=64),
            replace(CONFIG, knowledge=False), replace(CONFIG, recipe="scratch"),
            replace(CONFIG, recipe="scratch"), replace(CONFIG, pretrained=False),
            replace(CONFIG, pretrained=False),
        ))
    ]  # fmt: skip
    assert [[t.number for t in pot] for pot in kitchen([*others, one, two])] == [[1, 2]]
    trained_otherwise = replace(two, config=replace(CONFIG, lr=1e-4, mixup=0.2))
    assert len(kitchen([one, trained_otherwise])) == 1


def test_the_mean_counts_each_network_once_and_leaves_counters() -> None:
    states = [{"w": torch.full((2,), float(i)), "n": torch.tensor(i)} for i in (1, 2, 6)]
    twice = stirred(states[0], states[1], 1)
    assert twice is not None
    thrice = stirred(twice, states[2], 2)
    assert thrice is not None and thrice["w"].tolist() == [3.0, 3.0] and thrice["n"] == 1
    assert stirred(states[0], {"w": torch.zeros(3), "n": torch.tensor(0)}, 1) is None
