"""The check that stands between an exported file and the disk."""

from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.errors import GateError
from pizzaiolo.export.parity import Parity, check, compare, load_pixels
from pizzaiolo.predict import Predictor, load_file


@pytest.fixture(scope="module")
def files(photos: Path) -> list[Path]:
    return sorted((photos / "pizza").glob("pizza_001*.jpg"))[:3]


def test_a_model_agrees_with_itself(starter: Path, files: list[Path]) -> None:
    model = load_file(starter)
    parity = compare(model, model, files, load_pixels(model, files))
    assert parity == Parity(3, parity.max_abs_difference, 1.0)
    assert parity.max_abs_difference < 1e-6
    check(parity, 1e-4)


def test_a_wrong_model_is_caught(starter: Path, files: list[Path]) -> None:
    model = load_file(starter)

    def wrong(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, embedding = model.run(pixels)
        return probabilities[:, ::-1].copy(), embedding

    parity = compare(model, Predictor(model.card, wrong), files, load_pixels(model, files))
    with pytest.raises(GateError, match="differs from PyTorch"):
        check(parity, 1e-4)


def test_a_fixed_batch_is_caught(starter: Path, files: list[Path]) -> None:
    model = load_file(starter)

    def frozen(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return model.run(pixels[:1])

    with pytest.raises(GateError, match="gives"):
        compare(model, Predictor(model.card, frozen), files, load_pixels(model, files))


def test_few_pictures_are_repeated_to_seven(starter: Path, files: list[Path]) -> None:
    assert len(load_pixels(load_file(starter), files[:1])) >= 7
