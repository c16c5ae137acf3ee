"""Embeddings of a frozen backbone: right, in order, computed once."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import DatasetError
from pizzaiolo.model import engines, features
from pizzaiolo.model.ensemble import Ensemble, Member
from pizzaiolo.model.features import Embedder, embed, embed_members

PREPROCESS = Preprocess(size=32, short_side=36)


def tiny(seed: int = 0, preprocess: Preprocess = PREPROCESS) -> Embedder:
    torch.manual_seed(seed)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Embedder(nn.Sequential(*layers), preprocess, torch.device("cpu"))


def embedder_of(network: nn.Module) -> Embedder:
    return Embedder(network, PREPROCESS, torch.device("cpu"))


class ByValue(nn.Module):
    """Goes another way for noise than for a photo, which no trace knows."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        rough = (pictures[..., 1:] - pictures[..., :-1]).abs().mean() > 0.5
        mean = pictures.mean((2, 3))
        return mean.flip(1) if rough else mean


@pytest.fixture(scope="module")
def files(photos: Path) -> list[Path]:
    return sorted((photos / "pizza").glob("pizza_00[0-2]*.jpg"))[:23]


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def fail(*_: object) -> None:
            raise AssertionError("a picture was read again")

        monkeypatch.setattr(features, "read_pixels", fail)

    return forbid


def one_by_one(embedder: Embedder, files: list[Path]) -> np.ndarray:
    with torch.inference_mode():
        pixels = [PREPROCESS.normalise(PREPROCESS.load(f)[None]) for f in files]
        return np.concatenate([embedder.backbone.eval()(torch.from_numpy(p)) for p in pixels])


def test_they_are_the_backbones_in_the_order_of_the_files(
    files: list[Path], tmp_path: Path
) -> None:
    found = embed(tiny(), files, tmp_path, "train")
    assert found.shape == (23, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found, one_by_one(tiny(), files), atol=1e-5)


def test_batch_norm_is_not_trained_by_looking(files: list[Path], tmp_path: Path) -> None:
    embedder = tiny()
    before = embedder.backbone[1].running_mean.clone()  # type: ignore[index]
    embed(embedder, files, tmp_path, "train")
    assert torch.equal(before, embedder.backbone[1].running_mean)  # type: ignore[index]


def test_the_second_time_nothing_is_read(
    files: list[Path], tmp_path: Path, no_reading: Callable[[], None]
) -> None:
    first = embed(tiny(), files, tmp_path, "train")
    no_reading()
    np.testing.assert_array_equal(embed(tiny(), files, tmp_path, "train"), first)


@pytest.mark.parametrize("other", ["weights", "preprocessing"])
def test_other_weights_or_preprocessing_share_nothing(
    files: list[Path], tmp_path: Path, other: str
) -> None:
    embed(tiny(), files, tmp_path, "train")
    changed = tiny(seed=1) if other == "weights" else tiny(preprocess=Preprocess(32, 40))
    found = embed(changed, files, tmp_path, "train")
    np.testing.assert_array_equal(found, embed(changed, files, tmp_path / "empty", "train"))


def test_a_moved_or_grown_data_set_computes_the_new_pictures_only(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = embed(tiny(), files[:20], tmp_path / "cache", "train")
    moved = []
    for file in reversed(files):
        (tmp_path / file.name).write_bytes(file.read_bytes())
        moved.append(tmp_path / file.name)
    read: list[Path] = []
    original = features.read_pixels
    monkeypatch.setattr(
        features, "read_pixels", lambda file, how: read.append(file) or original(file, how)
    )
    after = embed(tiny(), moved, tmp_path / "cache", "train")
    assert sorted(read) == sorted(moved[:3])
    np.testing.assert_array_equal(after[3:], before[::-1])


def test_a_picture_has_the_same_bits_whatever_stands_beside_it(
    files: list[Path], tmp_path: Path
) -> None:
    together = embed(tiny(), files, tmp_path / "a", "train")
    alone = [embed(tiny(), [file], tmp_path / "b", "train")[0] for file in files]
    np.testing.assert_array_equal(together, alone)


def test_copies_are_computed_once(files: list[Path], tmp_path: Path) -> None:
    found = embed(tiny(), [files[0], files[1], files[0]], tmp_path, "train")
    np.testing.assert_array_equal(found[0], found[2])


def test_a_bad_picture_is_named(files: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    threads = torch.get_num_threads()
    with pytest.raises(DatasetError, match=r"bad\.jpg can't be read") as caught:
        embed(tiny(), [*files, bad], tmp_path, "train")
    assert caught.value.hint == "run prepare again"
    assert torch.get_num_threads() == threads


def test_known_digests_save_reading_what_the_cache_holds(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    first = embed(tiny(), files, tmp_path, "train")
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("a picture was read again"))
    np.testing.assert_array_equal(embed(tiny(), files, tmp_path, "train", digests), first)


def test_the_weights_are_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = tiny()
    first = embedder.key()
    monkeypatch.setattr(embedder.backbone, "state_dict", lambda: pytest.fail("hashed again"))
    assert embedder.key() == first


def test_embeddings_of_two_engines_never_mix(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = embed(tiny(), files[:4], tmp_path, "train")
    monkeypatch.setattr(engines.Engines, "names", lambda self: iter(["torch cpu"]))
    found = embed(tiny(), files, tmp_path, "train")
    np.testing.assert_array_equal(found, embed(tiny(), files, tmp_path / "empty", "train"))
    np.testing.assert_allclose(found[:4], converted, rtol=1e-4, atol=1e-6)


def test_a_backbone_that_cant_be_converted_runs_by_pytorch(
    files: list[Path], tmp_path: Path
) -> None:
    found = embed(embedder_of(ByValue()), files, tmp_path, "train")
    np.testing.assert_allclose(found, one_by_one(embedder_of(ByValue()), files), atol=1e-5)


def test_the_thread_count_is_left_as_it_was(files: list[Path], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    embed(tiny(), files, tmp_path, "train")
    assert torch.get_num_threads() == before


def joined(*sides: int, given: int = 32) -> Embedder:
    """An ensemble of tiny networks, which look at their own sides; the first at what is given."""
    own = [list(PREPROCESS.mean), list(PREPROCESS.std)]
    other = [[0.4, 0.4, 0.4], [0.2, 0.2, 0.2]]
    members = [
        Member(tiny(seed).backbone, side, other if seed else own, given, own)
        for seed, side in enumerate(sides)
    ]
    return embedder_of(Ensemble(members, 0))


def test_members_one_by_one_give_the_bits_of_the_ensemble(
    files: list[Path], tmp_path: Path
) -> None:
    whole = embed(joined(32, 24, 16), files, tmp_path / "whole", "whole")
    apart = embed_members(joined(32, 24, 16), files, tmp_path / "apart", "apart")
    assert apart.shape == (len(files), 12) and np.array_equal(whole, apart)


def test_a_member_that_another_ensemble_has_is_not_computed_again(
    files: list[Path], tmp_path: Path, no_reading: Callable[[], None]
) -> None:
    whole = embed_members(joined(32, 24, 16), files, tmp_path, "three")
    no_reading()
    assert np.array_equal(embed_members(joined(32, 24), files, tmp_path, "two"), whole[:, :8])
    alone = embed_members(tiny(0), files, tmp_path, "the first alone")
    assert np.array_equal(alone, whole[:, :4])
    with pytest.raises(AssertionError, match="read again"):
        embed_members(joined(32, 20), files, tmp_path, "another side")
