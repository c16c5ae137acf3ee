"""A soup of fine-tuned networks: kept only where it is better than the best of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import torch
from torch import Tensor

from pizzaiolo.config import EvaluateConfig, ImproveConfig, TrainConfig
from pizzaiolo.core.bundle import load_pt
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.improve.aim import Aim
from pizzaiolo.improve.folds import Folds, make_folds
from pizzaiolo.improve.leaderboard import leaderboard
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.search import Search, take_part
from pizzaiolo.improve.soup import Ingredient, add_soups, greedy_soup, kitchen, stirred
from pizzaiolo.improve.space import Space
from pizzaiolo.improve.steps import WEIGHTS, answers, read_fit, write_fit
from pizzaiolo.improve.trial import DONE, Trial
from pizzaiolo.improve.winner import crown
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


SPACE = """
[space]
model = "cnn"
size = 32
recipe = "finetune"
lr = { low = 1e-5, high = 1e-2, log = true }
"""
QUICK = EvaluateConfig(explain=False, robustness_seconds=0.0)


@pytest.fixture
def search(stall: Stall, tiny_dataset: Dataset, tmp_path: Path) -> Iterator[Search]:
    """A search whose default knows nothing, and whose settings err to either side."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "study").mkdir()
    config = ImproveConfig(aim="log_loss", folds=3, device="cpu")
    found = take_part(tmp_path / "study", tiny_dataset, Space.read(tmp_path / "space.toml"), config)
    claim = found.journal.claim_default(CONFIG)
    assert claim is not None
    even = Outcome(np.full((len(found.folds), 2), 0.5))
    found.journal.finish(Trial(0, CONFIG, {}, DONE, 0.7, even))
    yield found
    found.close()


def tried(search: Search, stall: Stall, lean: float) -> int:
    """The number of a finished trial whose network leans to a side."""
    claim = search.journal.claim()
    assert claim is not None
    made = stall.make(100 + claim.number, lean)
    folder = search.journal.weights(claim.number)
    folder.mkdir()
    made.weights.rename(folder / WEIGHTS)
    value = search.comparable(made.outcome)
    search.journal.finish(Trial(claim.number, claim.config, {}, DONE, value, made.outcome))
    return claim.number


def test_a_soup_is_a_trial_of_its_own_and_made_once(search: Search, stall: Stall) -> None:
    one, other = tried(search, stall, 1.1), tried(search, stall, -1.0)
    for _ in range(2):
        add_soups(search)
        (soup,) = [trial for trial in search.journal.trials() if trial.soup]
    assert soup.soup == (other, one) and soup.state == DONE
    study = search.study()
    assert study.searched == 2, "it is no setting that was searched"
    assert search.journal.claim(most=2) is None and search.journal.claim(most=3) is not None
    row = leaderboard(study).rows[0]
    assert row.trial.number == soup.number and row.setting.startswith(f"soup of {other} + {one} (")


def test_a_soup_wins_with_its_own_weights(
    search: Search, stall: Stall, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    tried(search, stall, 1.1), tried(search, stall, -1.0)
    add_soups(search)
    (soup,) = [trial for trial in search.journal.trials() if trial.soup]
    file = search.journal.weights(soup.number) / WEIGHTS

    def crowned(weights: Path | None) -> list[int] | None:
        crown(tmp_path, tiny_dataset, soup.config, LOSS, soup.config, QUICK, weights)
        card = json.loads((tmp_path / "best/run.json").read_text())["card"]
        members: list[int] | None = card["training"]["choices"].get("soup")
        return members

    assert crowned(file) == list(soup.soup)
    state, kept = read_fit(file).state, load_pt(tmp_path / "best/model.pt")[1]
    assert state.keys() == kept.keys() and all(torch.equal(kept[n], state[n]) for n in state)


def test_late_or_damaged_ingredients_do_not_end_a_search(search: Search, stall: Stall) -> None:
    one, _ = tried(search, stall, 1.1), tried(search, stall, -1.0)
    add_soups(search, deadline=monotonic() - 1)
    assert not any(trial.soup for trial in search.journal.trials())
    (search.journal.weights(one) / WEIGHTS).write_bytes(b"no weights")
    add_soups(search)
    assert not any(trial.soup for trial in search.journal.trials())


def test_the_weights_of_the_best_alone_stay(
    search: Search, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pizzaiolo.improve.journal.MOST_KEPT", 2)
    numbers = [tried(search, stall, lean) for lean in (5.0, 1.0, -9.0, 0.5)]
    search.journal.tidy()
    there = [n for n in numbers if (search.journal.weights(n) / WEIGHTS).is_file()]
    assert there == [numbers[1], numbers[3]]
