"""Many pictures at once: the same answers as one by one, on several threads or another engine."""

from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.errors import DatasetError
from pizzaiolo.predict import Predictor, load_file


@pytest.fixture(scope="module")
def files(photos: Path) -> list[Path]:
    return sorted((photos / "pizza").glob("pizza_001*.jpg"))[:5]


@pytest.fixture(scope="module", params=["pt", "onnx"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    name = {"pt": "run_folder", "onnx": "starter"}[request.param]
    return load_file(request.getfixturevalue(name))


def pixels(predictor: Predictor, files: list[Path]) -> np.ndarray:
    return np.stack([predictor.card.preprocess.load(file) for file in files])


def test_many_at_once_are_answered_as_one_by_one(predictor: Predictor, files: list[Path]) -> None:
    given = pixels(predictor, files)
    single = [predictor.run(given[i : i + 1]) for i in range(len(given))]
    for many in (predictor.run(given), predictor.run_many(given)):
        for part, alone in zip(many, zip(*single, strict=True), strict=True):
            np.testing.assert_allclose(part, np.concatenate(alone), atol=1e-4)


@pytest.mark.parametrize("exact", [True, False])
def test_figures_of_files_are_those_of_their_pixels(
    predictor: Predictor, files: list[Path], exact: bool
) -> None:
    expected = predictor.run(pixels(predictor, files))
    for found, wanted in zip(predictor.figures(files, "x", exact=exact), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("exact", [True, False])
def test_a_picture_that_cannot_be_read_is_named(
    predictor: Predictor, files: list[Path], tmp_path: Path, exact: bool
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(DatasetError, match="can't be read") as caught:
        predictor.figures([*files, tmp_path / "text.jpg"], "x", exact=exact)
    assert "text.jpg" in caught.value.message and caught.value.hint == "run prepare again"
