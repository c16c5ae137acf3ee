"""The bench: a trial gives what `train` gives, and solves nothing twice."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.errors import InputError, UsageError
from pizzaiolo.improve import heads
from pizzaiolo.improve.folds import Folds, make_folds
from pizzaiolo.improve.heads import roles
from pizzaiolo.improve.measure import LAYERS, Bench, Stopped
from pizzaiolo.improve.memo import Kept, packed, unpacked
from pizzaiolo.improve.outcome import Outcome
from pizzaiolo.improve.steps import WEIGHTS, read_fit
from pizzaiolo.model.deployed import load_deployed
from pizzaiolo.model.features import Embedder, embed_members
from pizzaiolo.train.linear import Candidate, Features, path
from pizzaiolo.train.loss import make_loss
from pizzaiolo.train.plan import Epoch
from pizzaiolo.train.run import train

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
LITE0, LITE1 = "tf_efficientnet_lite0", "tf_efficientnet_lite1"
HEAD = TrainConfig(recipe="head", model=LITE0, size=32)
STEPS = TrainConfig(recipe="scratch", model="cnn", size=32, epochs=2, lr=3e-3, batch_size=8)
Make = Callable[..., Bench]


@pytest.fixture(scope="module")
def folds(tiny_dataset: Dataset) -> Folds:
    return make_folds(tiny_dataset, 5)


@pytest.fixture(scope="module")
def make(folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> Make:
    cache = tmp_path_factory.mktemp("features")

    def make(folder: Path | None = None, own: Folds = folds) -> Bench:
        return Bench(own, CPU, cache, folder)

    return make


@pytest.fixture(scope="module")
def bench(make: Make) -> Bench:
    return make()


def trained_on(data: Dataset, folds: Folds, fold: int, out: Path, config: TrainConfig) -> Path:
    """A RUN of `train` on the pictures that a fold's model learns from and is chosen by."""
    by_path = {row.path: row for row in data.rows}
    parties = roles(folds, fold)
    rows = [
        replace(by_path[folds.paths[i]], split=name)
        for name, places in (("train", parties.training), ("validation", parties.validation))
        for i in places
    ]
    return Path(train(replace(data, rows=tuple(rows)), out, config)["run"])


def answered(run: Path, folds: Folds, fold: int) -> np.ndarray:
    """What the RUN's network says of a fold's pictures, from the embeddings that training saw."""
    from pizzaiolo.core.bundle import cache_folder

    card, deployed = load_deployed(run / "model.pt")
    network = deployed.network.eval()
    files = folds.split(folds.rows(fold)).files
    embedder = Embedder(network.backbone, card.preprocess, CPU)
    embeddings = embed_members(embedder, files, cache_folder(), "the pictures")
    with torch.inference_mode():
        return network.head(torch.from_numpy(embeddings)).double().softmax(1).numpy()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": "focal", "balance": "sampling", "knowledge": False},
        {"model": f"{LITE0}+{LITE1}", "loss": "bce", "label_smoothing": 0.1},
        {"model": f"{LITE0}+{LITE1}", "knowledge": False, "balance": "weights"},
    ],
    ids=["default", "plain", "join", "plain join"],
)
def test_a_trial_of_a_head_answers_as_a_run_of_train(
    settings: dict, bench: Bench, folds: Folds, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = replace(HEAD, **settings)
    outcome = bench.run(config)
    for fold in (0, folds.count - 1):
        run = trained_on(tiny_dataset, folds, fold, tmp_path / str(fold), config)
        rows = folds.rows(fold)
        assert np.abs(outcome.probabilities[rows] - answered(run, folds, fold)).max() < 1e-5


def test_every_picture_is_answered_by_a_model_that_has_not_seen_it(folds: Folds) -> None:
    asked = []
    for fold in range(folds.count):
        parties = roles(folds, fold)
        together = [*parties.training, *parties.validation, *parties.asked]
        assert sorted(together) == list(range(len(folds)))
        groups = [{folds.groups[i] for i in rows} for rows in (parties.training, parties.asked)]
        assert not groups[0] & groups[1]
        asked += list(parties.asked)
    assert sorted(asked) == list(range(len(folds)))


def test_of_two_folds_the_validation_split_chooses_and_judges(folds: Folds, make: Make) -> None:
    two = replace(folds, fold=np.minimum(folds.fold, 1))
    outcome = make(own=two).run(HEAD)
    assert list(outcome.judged) == list(two.rows(0))


def test_an_outcome_tells_how_the_training_pictures_were_learnt(bench: Bench) -> None:
    outcome = bench.run(HEAD)
    assert outcome.train_accuracy == 1 and outcome.train_loss is not None
    assert 0 < outcome.train_loss < 0.2 and outcome.seconds > 0
    assert len(outcome.facts["choices"]) == 5 and len(outcome.judged) == 28


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the layers that are solved from now on."""
    solved: list[int] = []

    def solve(*arguments):
        solved.append(len(solved))
        return path(*arguments)

    monkeypatch.setattr(heads.linear, "path", solve)
    return solved


def test_no_layer_is_solved_twice(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    solved, bench = counted(monkeypatch), make()
    first = bench.run(HEAD)
    assert len(solved) == 10, "an embedding's layer and that of what is known, in five folds"
    assert np.array_equal(bench.run(HEAD).probabilities, first.probabilities) and len(solved) == 10
    bench.run(replace(HEAD, knowledge=False))
    assert len(solved) == 10, "the layer of the embedding is the same without what is known"
    bench.run(replace(HEAD, balance="weights"))
    assert len(solved) == 20
    bench.run(replace(HEAD, balance="sampling"))
    assert len(solved) == 20, "to a head that sees all pictures both are the same"
    bench.run(replace(HEAD, label_smoothing=0.1))
    assert len(solved) == 30


def test_another_process_takes_the_layers_from_the_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path).run(HEAD)
    solved = counted(monkeypatch)
    second = make(tmp_path).run(HEAD)
    assert solved == [] and np.array_equal(first.probabilities, second.probabilities)
    (tmp_path / LAYERS).write_bytes(b"damage")
    assert np.array_equal(make(tmp_path).run(HEAD).probabilities, first.probabilities)
    assert len(solved) == 10


def test_other_folds_share_no_layers(
    make: Make, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path).run(HEAD)
    solved = counted(monkeypatch)
    make(tmp_path, replace(folds, fold=(folds.fold + 1) % 5)).run(HEAD)
    assert len(solved) == 10


def test_a_layer_survives_the_file() -> None:
    draw = torch.Generator().manual_seed(0)
    data = Features(torch.randn(12, 5, generator=draw), torch.arange(12) % 3)
    for candidate in path(data, data, make_loss(TrainConfig()), 3):
        again = unpacked(packed(candidate))
        assert isinstance(again, Candidate)
        assert torch.equal(again.layer.weight, candidate.layer.weight)
        assert torch.equal(again.layer.bias, candidate.layer.bias)
        assert torch.equal(again.logits, candidate.logits)
        for name in ("strength", "train_loss", "validation_loss", "seconds"):
            assert getattr(again, name) == getattr(candidate, name)
        assert unpacked(packed(candidate)[:-4]) is None and unpacked(b"") is None


def test_what_is_least_used_goes_when_the_memory_is_full() -> None:
    kept: Kept[str] = Kept(len, most=6)
    made = [kept.get(key, lambda key=key: key * 2) for key in ("a", "b", "a", "c", "d")]
    assert made == ["aa", "bb", "aa", "cc", "dd"]
    assert list(kept.things) == ["a", "c", "d"] and kept.bytes == 6


def test_a_trial_stops_after_two_folds_where_it_is_told_to(make: Make, folds: Folds) -> None:
    seen: list[int] = []

    def better(outcome: Outcome) -> bool:
        seen.append(len(outcome.judged))
        return False

    with pytest.raises(Stopped, match="clearly worse after 2 of 5 folds") as stop:
        make().run(HEAD, better)
    first = sorted([*folds.rows(0), *folds.rows(1)])
    assert list(stop.value.outcome.judged) == first and seen == [len(first)]


def test_better_is_asked_before_each_fold_but_the_first_two(make: Make) -> None:
    asked: list[int] = []
    make().run(HEAD, lambda outcome: not asked.append(len(outcome.judged)))
    assert len(asked) == 3 and asked == sorted(asked)


def test_a_trial_by_steps_answers_as_a_run_of_train(
    make: Make, folds: Folds, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    told: list[Epoch] = []
    outcome = make().run(STEPS, on_epoch=told.append, folder=tmp_path / "trial")
    run = Path(train(tiny_dataset, tmp_path / "run", STEPS)["run"])
    _, deployed = load_deployed(run / "model.pt")
    fit = read_fit(tmp_path / "trial" / WEIGHTS)
    state = deployed.network.state_dict()
    assert fit.state.keys() == state.keys()
    assert all(torch.equal(fit.state[name], state[name]) for name in state)
    assert list(outcome.judged) == list(folds.rows(0)) and fit.history == told
    right = outcome.probabilities[folds.rows(0)].argmax(1) == folds.truth[folds.rows(0)]
    assert fit.best is not None and right.mean() == fit.best.validation_accuracy
    assert outcome.facts["best_epoch"] == fit.best.epoch


def test_a_trial_by_steps_stops_after_an_epoch_with_what_it_answers(
    make: Make, folds: Folds
) -> None:
    def on_epoch(epoch: Epoch) -> None:
        raise Stopped(f"enough after epoch {epoch.epoch}")

    with pytest.raises(Stopped, match="enough after epoch 1") as stop:
        make().run(replace(STEPS, epochs=9), on_epoch=on_epoch)
    assert list(stop.value.outcome.judged) == list(folds.rows(0))


def test_a_file_that_holds_no_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no weights of a trial"):
        read_fit(tmp_path / WEIGHTS)


def test_a_setting_that_can_not_be_followed_is_refused_as_by_train(bench: Bench) -> None:
    with pytest.raises(UsageError, match="there is no model 'lite9'"):
        bench.run(replace(HEAD, model="lite9"))
    with pytest.raises(UsageError, match="optimi"):
        bench.run(replace(STEPS, optimizer="none of them"))


def test_a_trial_whose_layers_are_solved_takes_little_time(make: Make) -> None:
    bench = make()
    bench.run(HEAD)
    started = time.process_time()
    for _ in range(3):
        bench.run(HEAD)
    assert (time.process_time() - started) / 3 < 0.3
