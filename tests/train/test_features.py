"""Embeddings of a frozen backbone: right, in order, computed once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import DatasetError, StorageError
from pizzaiolo.train import features
from pizzaiolo.train.data import Split
from pizzaiolo.train.features import Embedder, embed

PREPROCESS = Preprocess(size=32, short_side=36)


def tiny(seed: int = 0, preprocess: Preprocess = PREPROCESS) -> Embedder:
    torch.manual_seed(seed)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Embedder(nn.Sequential(*layers), preprocess, torch.device("cpu"))


@pytest.fixture(scope="module")
def split(photos: Path) -> Split:
    files = tuple(sorted((photos / "pizza").glob("pizza_00[0-2]*.jpg")))[:23]
    return Split(files, (0,) * len(files))


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def fail(*_: object) -> None:
            raise AssertionError("a picture was read again")

        monkeypatch.setattr(features, "read_pixels", fail)

    return forbid


def one_by_one(embedder: Embedder, split: Split) -> np.ndarray:
    with torch.inference_mode():
        pixels = [PREPROCESS.normalise(PREPROCESS.load(f)[None]) for f in split.files]
        return np.concatenate([embedder.backbone.eval()(torch.from_numpy(p)) for p in pixels])


def test_they_are_the_backbones_in_the_order_of_the_files(split: Split, tmp_path: Path) -> None:
    found = embed(tiny(), split, tmp_path, "train")
    assert found.shape == (23, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found, one_by_one(tiny(), split), atol=1e-5)


def test_batch_norm_is_not_trained_by_looking(split: Split, tmp_path: Path) -> None:
    embedder = tiny()
    before = embedder.backbone[1].running_mean.clone()  # type: ignore[index]
    embed(embedder, split, tmp_path, "train")
    assert torch.equal(before, embedder.backbone[1].running_mean)  # type: ignore[index]


def test_the_second_time_nothing_is_read(
    split: Split, tmp_path: Path, no_reading: Callable[[], None]
) -> None:
    first = embed(tiny(), split, tmp_path, "train")
    no_reading()
    np.testing.assert_array_equal(embed(tiny(), split, tmp_path, "train"), first)


@pytest.mark.parametrize("damage", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_cache_is_computed_again(split: Split, tmp_path: Path, damage: bytes) -> None:
    first = embed(tiny(), split, tmp_path, "train")
    (file,) = (tmp_path / "features").iterdir()
    file.write_bytes(damage)
    np.testing.assert_array_equal(embed(tiny(), split, tmp_path, "train"), first)


def test_other_weights_preprocessing_or_files_are_another_entry(split: Split) -> None:
    other_files = Split(split.files[1:], split.targets[1:])
    keys = {
        tiny().key(split),
        tiny(seed=1).key(split),
        tiny(preprocess=Preprocess(size=32, short_side=40)).key(split),
        tiny().key(other_files),
    }
    assert len(keys) == 4 and tiny().key(split) in keys


def test_a_moved_data_set_keeps_its_features(split: Split, tmp_path: Path) -> None:
    moved = []
    for file in split.files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
        moved.append(tmp_path / file.name)
    assert tiny().key(Split(tuple(moved), split.targets)) == tiny().key(split)


def test_a_cache_that_cannot_be_written_is_no_fault(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Path) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(features, "atomic_path", full)
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        assert len(embed(tiny(), split, tmp_path, "train")) == 23
    assert "not cached: the disk is full" in caplog.text


def test_a_bad_picture_is_named_and_nothing_is_cached(split: Split, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    threads = torch.get_num_threads()
    with pytest.raises(DatasetError, match=r"bad\.jpg can't be read") as caught:
        embed(tiny(), Split((*split.files, bad), (*split.targets, 0)), tmp_path, "train")
    assert caught.value.hint == "run prepare again"
    assert not (tmp_path / "features").exists()
    assert torch.get_num_threads() == threads


def test_the_thread_count_is_left_as_it_was(split: Split, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    embed(tiny(), split, tmp_path, "train")
    assert torch.get_num_threads() == before
