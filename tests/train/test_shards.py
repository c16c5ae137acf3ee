"""Training that streams shards: a bounded shuffle that is complete, exact and can go on midway."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Done
from pizzaiolo.config import TrainConfig
from pizzaiolo.core.bundle import load_pt
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.core.shards import Layout, Place
from pizzaiolo.errors import DatasetError
from pizzaiolo.evaluate.infer import infer
from pizzaiolo.predict import load_file
from pizzaiolo.train.data import batches, evaluation_pictures, load_split, training_pictures
from pizzaiolo.train.parallel import share
from pizzaiolo.train.run import train
from pizzaiolo.train.sampling import AHEAD, EpochSampler, Stream, buffered
from toy_shards import place_of, sharded

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPT = Path(__file__).parents[1] / "killed_training.py"
PREPROCESS = Preprocess(size=32, short_side=32)
CNN = TrainConfig(model="cnn", size=32, epochs=1, batch_size=4, device="cpu", shuffle_buffer=6)


@pytest.fixture(scope="module", params=["webdataset", "parquet"])
def data(
    request: pytest.FixtureRequest,
    tiny_dataset: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Dataset:
    """The 40 small pictures in shards, the 20 of training in four."""
    return sharded(tiny_dataset, tmp_path_factory.mktemp("shards") / "data", request.param)


@pytest.fixture(scope="module")
def tar(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same in WebDataset's shards alone, where the kind makes no difference."""
    return sharded(tiny_dataset, tmp_path_factory.mktemp("tar") / "data")


@pytest.fixture
def harmed(data: Dataset, tmp_path: Path) -> Dataset:
    """A copy of the data set, to be damaged."""
    shutil.copytree(data.root, tmp_path / "D")
    return replace(data, root=tmp_path / "D")


def layout(*counts: int) -> Layout:
    """Shards of so many pictures each; the pictures of all of them are numbered at random."""
    places = [(shard, 100 * i) for shard, count in enumerate(counts) for i in range(count)]
    order = np.random.default_rng(0).permutation(len(places))
    found = Layout.of(str(Place(f"{places[i][0]}.tar", places[i][1], 90, 0, "x")) for i in order)
    assert found
    return found


# --- the order --------------------------------------------------------------------------------

shard_counts = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@settings(deadline=None)
@given(shard_counts, st.integers(1, 60), st.integers(0, 99), st.integers(0, 5), st.integers(0, 400))
def test_an_epoch_has_every_picture_once_and_goes_on_from_anywhere(
    counts: list[int], buffer: int, seed: int, epoch: int, start: int
) -> None:
    length = sum(counts)
    sampler = EpochSampler(length, seed, stream=Stream(layout(*counts), buffer))
    sampler.epoch = epoch
    whole = list(sampler)
    assert sorted(whole) == list(range(length))
    again = EpochSampler(length, seed, stream=Stream(layout(*counts), buffer))
    again.epoch, again.start = epoch, min(start, length)
    assert list(again) == whole[start:] and list(again) == whole


@pytest.mark.parametrize("counts", [(900, 1, 1, 1, 1, 3), (1,) * 300, (1, 700), (500,)])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_skewed_shards_change_nothing_of_what_an_epoch_shows(
    counts: tuple[int, ...], weights: str | None
) -> None:
    """One huge shard and many tiny ones: no picture is lost, doubled or shown more often."""
    length = sum(counts)
    chances = torch.rand(length, generator=torch.Generator().manual_seed(1)) if weights else None
    whole = EpochSampler(length, 3, weights=chances, number_repeats=True)
    streamed = EpochSampler(
        length, 3, weights=chances, number_repeats=True, stream=Stream(layout(*counts), 20)
    )
    for whole.epoch in range(3):
        streamed.epoch = whole.epoch
        order = list(streamed)
        assert sorted(order) == sorted(whole) and order != list(whole)


@settings(deadline=None)
@given(shard_counts, st.integers(1, 30), st.integers(0, 99))
def test_a_picture_leaves_the_buffer_after_it_came_in(
    counts: list[int], buffer: int, seed: int
) -> None:
    """At any time only as many are under way as the buffer holds."""
    stream, generator = Stream(layout(*counts), buffer), torch.Generator().manual_seed(seed)
    sequence = stream.sequence(torch.arange(sum(counts)), generator)
    came = {picture: place for place, picture in enumerate(sequence.tolist())}
    order = buffered(sequence, buffer, generator).tolist()
    assert all(came[picture] < place + buffer for place, picture in enumerate(order))


def test_a_stream_reads_one_shard_after_the_other() -> None:
    stream = Stream(layout(30, 20, 10), 1)
    order = list(EpochSampler(60, 0, stream=stream))
    shards = stream.layout.shard[order]
    assert len(np.flatnonzero(np.diff(shards))) == 2, "each shard in one go"
    for shard in range(3):
        starts = stream.layout.start[order][shards == shard]
        assert (np.diff(starts) > 0).all()


def test_epochs_differ_and_a_buffer_mixes() -> None:
    stream = Stream(layout(*[50] * 20), 200)
    sampler, orders = EpochSampler(1000, 0, stream=stream), []
    for sampler.epoch in range(2):
        orders.append(list(sampler))
    assert orders[0] != orders[1]
    for order in orders:
        batches_of_shards = [len(set(stream.layout.shard[order[i : i + 32]]))
                             for i in range(0, 960, 32)]  # fmt: skip
        assert np.mean(batches_of_shards) > 4, "a batch comes from several shards"


def test_a_buffer_that_holds_them_all_is_a_plain_shuffle() -> None:
    plain = EpochSampler(60, 5)
    assert list(plain) == list(EpochSampler(60, 5, stream=Stream(layout(30, 30), 60)))


@pytest.mark.parametrize("start", [0, 700])
def test_every_picture_is_asked_for_before_it_is_due(
    monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        Layout, "read_ahead", lambda layout, pictures: asked.extend(pictures.tolist())
    )
    sampler = EpochSampler(2000, 0, stream=Stream(layout(900, 800, 300), 100))
    sampler.start = start
    for number, picture in enumerate(sampler):
        assert picture in asked or start > 0
        assert len(asked) <= number + 2 * 100 + AHEAD + AHEAD, "and not much before"
    if start == 0:
        assert sorted(asked) == list(range(2000)), "each once"


# --- pictures ---------------------------------------------------------------------------------


def epoch_of(data: Dataset, workers: int = 0, start: int = 0) -> list[tuple[bytes, list[int]]]:
    """The batches of the second epoch, from batch `start` on."""
    split = load_split(data, "train")
    pictures = training_pictures(split, PREPROCESS, replace(CNN, augment="light"))
    loader = batches(pictures, 4, shuffle_seed=3, workers=workers, buffer=6)
    loader.set_epoch(2, start)
    return [(x.numpy().tobytes(), y.tolist()) for x, y in loader]


def test_the_same_with_any_number_of_processes_and_from_the_middle_on(data: Dataset) -> None:
    whole = epoch_of(data)
    assert len(whole) == 5 and epoch_of(data, workers=2) == whole
    assert epoch_of(data, start=3) == whole[3:] == epoch_of(data, workers=1, start=3)


def test_training_pictures_in_shards_are_streamed(data: Dataset, tiny_dataset: Dataset) -> None:
    for some, streamed in ((data, True), (tiny_dataset, False)):
        pictures = training_pictures(load_split(some, "train"), PREPROCESS, CNN)
        sampler = batches(pictures, 4, shuffle_seed=0, buffer=7).sampler
        assert isinstance(sampler, EpochSampler) and (sampler.stream is not None) is streamed
        if sampler.stream:
            assert sampler.stream.buffer == 7 and len(sampler.stream.layout.shards) > 2


@pytest.mark.parametrize("count", [2, 3])
def test_processes_that_train_together_read_each_their_own(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    split = load_split(data, "train")
    loader = batches(evaluation_pictures(split, PREPROCESS), 2, shuffle_seed=3, buffer=6)
    one = [x.numpy().tobytes() for x, _ in loader for x in x]
    monkeypatch.setenv("WORLD_SIZE", str(count))
    seen: list[bytes] = []
    for rank in range(count):
        monkeypatch.setenv("RANK", str(rank))
        loader.set_epoch(0)
        seen += [x.numpy().tobytes() for x, _ in share(loader) for x in x]
    assert set(seen) == set(one) and len(set(one)) == 20
    assert len(seen) - len(one) < 2 * count, "only the last batches are filled up"


def test_the_pictures_are_those_of_the_data_set_without_shards(
    data: Dataset, tiny_dataset: Dataset
) -> None:
    def seen(some: Dataset) -> dict[bytes, int]:
        pictures = evaluation_pictures(load_split(some, "test"), PREPROCESS)
        return {x.numpy().tobytes(): y for x, y in (pictures[i] for i in range(len(pictures)))}

    assert seen(data) == seen(tiny_dataset) and len(seen(data)) == 12


# --- whole trainings --------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["scratch", "head"])
def test_the_command_trains_on_shards_with_no_other_flag(
    command: Callable[..., Done], tar: Dataset, tmp_path: Path, recipe: str
) -> None:
    flags = {"scratch": ["--model", "cnn", "--size", 32, "--epochs", 1], "head": []}[recipe]
    done = command("train", tar.root, "--out", tmp_path / "run", "--json", *flags)
    assert done.code == 0, done.err
    assert json.loads(done.out)["validation"]["accuracy"] >= 0.5
    done = command("evaluate", tmp_path / "run", tar.root, "--out", tmp_path / "report", "--json",
                   "--robustness-seconds", 0, "--no-explain")  # fmt: skip
    assert done.code == 0 and json.loads(done.out)["n"] == 12, done.err


def test_killed_in_the_middle_of_an_epoch_it_goes_on_to_the_same_bits(
    tar: Dataset, tmp_path: Path
) -> None:
    wishes = {"size": 32, "epochs": 2, "batch_size": 4, "device": "cpu", "shuffle_buffer": 6,
              "checkpoint_seconds": 0.0, "balance": "sampling"}  # fmt: skip
    cases = {"stream": [wishes, [["step", 3], ["step", 4]]]}  # of 5 steps an epoch
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tar.root), str(tmp_path), json.dumps(cases)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"stream": ["killed", "killed"]}
    whole, killed = (load_pt(tmp_path / f"stream/{name}/model.pt")[1]
                     for name in ("whole", "killed"))  # fmt: skip
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def _flip(shard: Path, offset: int) -> None:
    content = bytearray(shard.read_bytes())
    content[offset] ^= 1
    shard.write_bytes(content)


def _cut(shard: Path, offset: int) -> None:
    shard.write_bytes(shard.read_bytes()[:offset])


def _gone(shard: Path, offset: int) -> None:
    shard.unlink()


@pytest.mark.parametrize(
    ("harm", "words", "workers"),
    [(_flip, "can't be read: its bytes in the shard", 0),
     (_flip, "can't be read: its bytes in the shard", 1),
     (_cut, "pictures of the data set are missing", 0),
     (_gone, "pictures of the data set are missing", 0)],
)  # fmt: skip
def test_a_corrupt_shard_stops_training_with_its_name(
    harmed: Dataset, tmp_path: Path, harm: Callable[[Path, int], None], words: str, workers: int
) -> None:
    row = harmed.split("train")[7]
    place = place_of(row)
    harm(harmed.root / place.shard, place.offset + place.size // 2)
    config = replace(CNN, workers=workers)
    with pytest.raises(DatasetError) as caught:
        train(harmed, tmp_path / "run", config)
    message = caught.value.message
    assert words in message and f"{harmed.root}/{place.shard}" in message and "@" not in message
    assert caught.value.hint == "run prepare again"
    if harm is _flip:
        assert place.name in message


def test_a_shard_that_is_lost_or_changed_later_is_named(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when training began; the checkpoint stays, and so training can go on."""
    harmed = sharded(tiny_dataset, tmp_path / "D")
    place = place_of(harmed.split("train")[0])
    moved = harmed.root / f"{place.shard}.moved"

    def lose(epoch: Any) -> None:
        if not moved.exists():
            (harmed.root / place.shard).rename(moved)

    config = replace(CNN, epochs=2)
    monkeypatch.setattr("pizzaiolo.train.record.TensorBoard.add", lambda self, epoch: lose(epoch))
    with pytest.raises(DatasetError, match=r"its shard .* is gone"):
        train(harmed, tmp_path / "run", config)
    moved.rename(harmed.root / place.shard)
    monkeypatch.undo()
    train(harmed, tmp_path / "run", config, resume=True)
    train(harmed, tmp_path / "whole", config)
    whole, resumed = (load_pt(tmp_path / name / "model.pt")[1] for name in ("whole", "run"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    place = place_of(harmed.split("test")[3])
    _flip(harmed.root / place.shard, place.offset + 5)
    with pytest.raises(DatasetError, match=r"#\S+ can't be read: its bytes") as caught:
        infer(load_file(tmp_path / "whole"), harmed, "test")
    assert "@" not in caught.value.message, "the shard and the name, without the place"
