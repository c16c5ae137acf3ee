"""Augmentation: drawn from the given generator alone, anti-aliased, and targets that add up."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pizzaiolo.config import TrainConfig
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import DatasetError
from pizzaiolo.model.torchvision_fix import ensure_torchvision
from pizzaiolo.train.augment import (
    JITTER,
    evaluation_transform,
    jitter_colours,
    mix,
    seeded,
    training_transform,
)

PREPROCESS = Preprocess(32, 36)
KINDS = ("light", "trivial", "rand")
MIXES = (TrainConfig(mixup=0.4), TrainConfig(cutmix=1.0), TrainConfig(mixup=0.4, cutmix=1.0))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Soft coloured noise, 60 x 48 pixels."""
    file = tmp_path_factory.mktemp("augment") / "photo.png"
    noise = np.random.default_rng(1).integers(40, 200, (6, 8, 3), np.uint8)
    Image.fromarray(noise).resize((60, 48), Image.Resampling.BICUBIC).save(file)
    return file


def drawn(file: Path, config: TrainConfig, *numbers: int) -> torch.Tensor:
    return training_transform(PREPROCESS, config)(file, seeded(*numbers))


@pytest.mark.parametrize("erase", [0.0, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_function_of_its_generator(photo: Path, kind: str, erase: float) -> None:
    """Pain: the same augmentation in every loader process, or another with each run."""
    config = TrainConfig(augment=kind, erase=erase)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, again = drawn(photo, config, 1, 2), drawn(photo, config, 1, 2)
    assert first.shape == (32, 32, 3) and first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not any(torch.equal(first, drawn(photo, config, 1, other)) for other in (3, 4, 5))
    assert torch.equal(torch.random.get_rng_state(), before)  # the rest of training is apart


def test_no_augmentation_is_what_predict_does(photo: Path) -> None:
    served = torch.tensor(PREPROCESS.load(photo))
    assert torch.equal(drawn(photo, TrainConfig(augment="none"), 1), served)
    assert torch.equal(evaluation_transform(PREPROCESS)(photo, seeded(2)), served)


@pytest.mark.parametrize("kind", KINDS)
def test_crops_are_anti_aliased(tmp_path: Path, kind: str) -> None:
    """Pain: resizing without anti-aliasing."""
    fine = np.indices((256, 256)).sum(0) % 2 * 255  # a chessboard of single pixels: grey from afar
    file = tmp_path / "fine.png"
    Image.fromarray(fine.astype(np.uint8)).convert("RGB").save(file)
    spreads = [float(drawn(file, TrainConfig(augment=kind), i).float().std()) for i in range(11)]
    assert np.median(spreads) < 12  # 127 without; one change in some stretches what little is left


def test_light_varies_the_part_the_side_and_the_colours(photo: Path) -> None:
    draws = [drawn(photo, TrainConfig(), i).float() for i in range(20)]
    assert np.ptp([float(d.mean()) for d in draws]) > 20
    left = [float(d[:, :16].mean() - d[:, 16:].mean()) for d in draws]
    assert min(left) < 0 < max(left)


def one_after_the_other(
    pixels: np.ndarray, light: float, contrast: float, colour: float
) -> torch.Tensor:
    """The changes by torchvision, without rounding in between: float [H, W, 3], 0 to 255."""
    ensure_torchvision()
    from torchvision.transforms.v2 import functional as F

    picture = torch.tensor(pixels).permute(2, 0, 1) / 255
    changed = F.adjust_saturation(F.adjust_brightness(picture, light), colour)
    result: torch.Tensor = 255 * F.adjust_contrast(changed, contrast).permute(1, 2, 0)
    return result


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_colours_in_one_pass_are_those_of_three(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(70, 170, (9, 7, 3), np.uint8)  # nothing is cut off
    torch.manual_seed(seed)
    found = np.array(jitter_colours(Image.fromarray(noise)))
    torch.manual_seed(seed)
    factors = torch.empty(3).uniform_(1 - JITTER, 1 + JITTER).tolist()
    expected = one_after_the_other(noise, *factors)
    torch.testing.assert_close(torch.tensor(found).float(), expected, atol=0.8, rtol=0)


def test_erasing_fills_one_rectangle_with_the_mean_colour(photo: Path) -> None:
    preprocess = Preprocess(32, 36, mean=(0.2, 0.4, 0.6))
    plain = torch.tensor(preprocess.load(photo))
    erased = training_transform(preprocess, TrainConfig(augment="none", erase=1.0))
    shares = []
    for number in range(20):
        found = erased(photo, seeded(number))
        rows, columns = torch.where((found != plain).any(2))
        part = found[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (part == torch.tensor([51, 102, 153])).all()
        assert len(rows) >= 0.98 * part.shape[0] * part.shape[1]  # some were of that colour
        shares.append(len(rows) / 32**2)
    assert min(shares) < 0.12 and 0.2 < max(shares) < 0.4


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_the_chance_of_erasing_is_as_set(photo: Path, chance: float) -> None:
    plain = drawn(photo, TrainConfig(augment="none"), 0)
    config = TrainConfig(augment="none", erase=chance)
    changed = sum(not torch.equal(drawn(photo, config, i), plain) for i in range(200))
    assert abs(changed / 200 - chance) < 0.12


@pytest.mark.parametrize("config", [TrainConfig(), TrainConfig(augment="none", erase=0.5)])
def test_a_damaged_picture_is_named(tmp_path: Path, config: TrainConfig) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"bad\.jpg can't be read") as caught:
        drawn(bad, config, 1)
    assert caught.value.hint == "run prepare again"


def flat(targets: torch.Tensor) -> torch.Tensor:
    """Pictures [N, 3, 16, 12], each of one value: its class."""
    return targets.float()[:, None, None, None].expand(-1, 3, 16, 12).clone()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
    st.sampled_from(MIXES),
    st.integers(0, 1000),
)
def test_soft_targets_say_what_is_in_the_picture(
    labels: list[int], config: TrainConfig, seed: int
) -> None:
    targets = torch.tensor(labels)
    mixed, soft = mix(flat(targets), targets, 5, config, seeded(seed))
    assert mixed.shape == (len(labels), 3, 16, 12) and soft.shape == (len(labels), 5)
    assert (soft >= 0).all()
    torch.testing.assert_close(soft.sum(1), torch.ones(len(labels)))
    # The mean of a picture is then the mean of its classes, by their shares.
    torch.testing.assert_close(mixed.mean((1, 2, 3)), soft @ torch.arange(5.0))
    again, soft_again = mix(flat(targets), targets, 5, config, seeded(seed))
    assert torch.equal(mixed, again) and torch.equal(soft, soft_again)


@pytest.mark.parametrize("config", MIXES)
def test_mixing_leaves_all_else_as_it_was(config: TrainConfig) -> None:
    targets = torch.tensor([0, 1, 2])
    pictures = flat(targets).to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    mixed, _ = mix(pictures, targets, 3, config, seeded(1))
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(pictures, flat(targets)) and targets.tolist() == [0, 1, 2]
    assert torch.equal(torch.random.get_rng_state(), before)


def blended(mixed: torch.Tensor) -> bool:
    """Whether each picture is of one value still, as mixup leaves it."""
    return bool((mixed == mixed[:, :, :1, :1]).all())


def test_where_both_are_on_batches_take_turns() -> None:
    targets = torch.tensor([0, 1])
    config = TrainConfig(mixup=1.0, cutmix=1.0)
    kinds = [blended(mix(flat(targets), targets, 2, config, seeded(i))[0]) for i in range(30)]
    assert 5 < sum(kinds) < 25


def test_without_mixing_targets_are_certain() -> None:
    targets = torch.tensor([2, 0])
    same, soft = mix(flat(targets), targets, 3, TrainConfig(), seeded(1))
    assert torch.equal(same, flat(targets))
    assert soft.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("alpha", [1e-300, 1e-30, 1e300])
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_an_extreme_alpha_still_gives_numbers(name: str, alpha: float) -> None:
    targets = torch.tensor([0, 1])
    mixed, soft = mix(flat(targets), targets, 2, TrainConfig(**{name: alpha}), seeded(1))
    assert mixed.isfinite().all() and torch.equal(soft.sum(1), torch.ones(2))


def test_generators_differ_by_every_number_and_by_their_order() -> None:
    tuples = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (2**32,), (2**32 + 1,)]
    states = {int(torch.randint(2**62, (), generator=seeded(*numbers))) for numbers in tuples}
    assert len(states) == len(tuples)


def test_a_generator_is_the_same_on_every_machine() -> None:
    assert int(torch.randint(2**62, (), generator=seeded(1, 2, 3))) == 2646444223132772061
