"""The check that stands between an exported file and the disk."""

from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.errors import GateError, InputError
from pizzaiolo.export.parity import BATCHES, Parity, check, compare, load_pixels
from pizzaiolo.predict import Predictor, load_file

Outputs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def model(starter: Path) -> Predictor:
    return load_file(starter)


@pytest.fixture(scope="module")
def files(photos: Path) -> list[Path]:
    return sorted((photos / "pizza").glob("pizza_001*.jpg"))[:3]


def against(model: Predictor, engine: object, files: list[Path]) -> Parity:
    candidate = Predictor(model.card, engine)  # type: ignore[arg-type]
    return compare(model, candidate, *load_pixels(model, files))


def test_a_model_agrees_with_itself(model: Predictor, files: list[Path]) -> None:
    parity = against(model, model.engine, files)
    assert (parity.pictures, parity.agreement) == (3, 1.0)
    assert parity.max_abs_difference < 1e-6
    check(parity, 1e-4)
    assert list(parity.to_dict()) == ["pictures", "max_abs_difference", "agreement"]


def test_a_wrong_model_is_caught(model: Predictor, files: list[Path]) -> None:
    def wrong(pixels: np.ndarray) -> Outputs:
        probabilities, embedding = model.run(pixels)
        return probabilities[:, ::-1].copy(), embedding

    with pytest.raises(GateError, match=r"differs from PyTorch.*the file was not kept"):
        check(against(model, wrong, files), 1e-4)


def test_a_model_that_is_wrong_on_one_batch_size_is_caught(
    model: Predictor, files: list[Path]
) -> None:
    def wrong(pixels: np.ndarray) -> Outputs:
        probabilities, embedding = model.run(pixels)
        return probabilities + 0.01 * (len(pixels) == 7), embedding

    assert against(model, wrong, files).max_abs_difference == pytest.approx(0.01, abs=1e-5)


@pytest.mark.parametrize("batch", BATCHES)
def test_answers_that_are_no_numbers_are_caught(
    model: Predictor, files: list[Path], batch: int
) -> None:
    def wrong(pixels: np.ndarray) -> Outputs:
        probabilities, embedding = model.run(pixels)
        return probabilities * (np.nan if len(pixels) == batch else 1), embedding

    with pytest.raises(GateError, match="largest difference nan"):
        check(against(model, wrong, files), 1e-4)


def test_a_fixed_batch_is_caught(model: Predictor, files: list[Path]) -> None:
    """Pain: an exporter that froze the batch."""
    with pytest.raises(GateError, match=r"gives \(1, 2\), PyTorch \(2, 2\)"):
        against(model, lambda pixels: model.run(pixels[:1]), files)


def test_a_model_that_fails_on_a_batch_is_a_clear_error(
    model: Predictor, files: list[Path]
) -> None:
    def fails(pixels: np.ndarray) -> Outputs:
        if len(pixels) == 2:
            raise RuntimeError("Got invalid dimensions for input: image\nindex: 0")
        return model.run(pixels)

    with pytest.raises(GateError, match="fails on a batch of 2: Got invalid dimensions") as caught:
        against(model, fails, files)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("difference", "agreement", "passes"),
    [(1e-4, 1.0, True), (1.1e-4, 1.0, False), (0.0, 0.99, False), (float("nan"), 1.0, False)],
)
def test_the_gate(difference: float, agreement: float, passes: bool) -> None:
    parity = Parity(100, difference, agreement)
    if passes:
        check(parity, 1e-4)
        return
    with pytest.raises(GateError) as caught:
        check(parity, 1e-4)
    assert caught.value.exit_code == 1 and "--tolerance" in (caught.value.hint or "")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_pictures_are_repeated_to_seven(
    model: Predictor, files: list[Path], count: int
) -> None:
    good, pixels = load_pixels(model, files[:count])
    assert good == files[:count] and pixels.shape == (7, 224, 224, 3)
    np.testing.assert_array_equal(pixels[0], model.card.preprocess.load(files[0]))
    np.testing.assert_array_equal(pixels[count % 7], pixels[0])


def test_a_bad_picture_is_left_out_and_told(
    model: Predictor, files: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        good, _ = load_pixels(model, [tmp_path / "bad.jpg", *files])
    assert good == files and "bad.jpg" in caplog.text


def test_no_picture_at_all_is_a_clear_error(model: Predictor, tmp_path: Path) -> None:
    for files in ([], [tmp_path / "gone.jpg"]):
        with pytest.raises(InputError, match="no picture to check") as caught:
            load_pixels(model, files)
        assert "--sample" in (caught.value.hint or "")
    assert "gone.jpg" in caught.value.message
