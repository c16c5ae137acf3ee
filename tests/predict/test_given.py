"""A path, bytes, a Pillow picture or an array: the same picture, the same answer."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.core.image import Limits
from pizzaiolo.errors import InputError
from pizzaiolo.predict import Source
from toy_predictor import BLUE, OLIVE, VIOLET, YELLOW, picture, predictor

COLOURS = (YELLOW, BLUE, OLIVE, VIOLET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_however_it_is_given_the_answer_is_the_same(file: Path) -> None:
    opened, loaded = Image.open(file), Image.open(file).copy()
    given: list[Source] = [
        file, str(file), file.read_bytes(), bytearray(file.read_bytes()), opened, loaded,
        np.asarray(loaded), np.asarray(loaded)[::-1][::-1],
    ]  # fmt: skip
    model = predictor()
    expected = model.predict(file)
    assert expected.path == str(file) and expected.probabilities
    for answers in (map(model.predict, given), model.predict_many(given)):
        for source, answer in zip(given, answers, strict=True):
            assert answer.probabilities == expected.probabilities, type(source)
            assert answer.path == (str(file) if isinstance(source, Path | str) else None)
    assert (opened.size, opened.mode, loaded.size) == ((70, 50), "RGB", (70, 50))


def test_a_grey_array_is_a_grey_picture() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(3, 0)
    model = predictor()
    colour = model.predict(np.stack([grey] * 3, 2))
    assert model.predict(grey).probabilities == colour.probabilities


def test_a_pillow_picture_takes_the_whole_image_path() -> None:
    """Turned by its EXIF, what is transparent on white."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    tall = Image.new("RGB", (40, 400), YELLOW)
    tall.paste(BLUE, (0, 0, 40, 200))
    tall.save(buffer, "PNG", exif=exif)
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    model = predictor()
    turned = model.predict(Image.open(io.BytesIO(buffer.getvalue())))
    assert turned.probabilities == model.predict(buffer.getvalue()).probabilities
    assert model.predict(clear).probabilities == model.predict(picture(255, 255, 255)).probabilities


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), r"the array is float32 \[4, 4, 3\], expected uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \[4, 4, 4\], expected uint8 \[height, width, 3\]"),
        (np.zeros((3, 4, 5), np.uint8), r"\[3, 4, 5\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"\[2, 4, 4, 3\]"),
        (np.zeros(4, np.uint8), r"\[4\]"),
        (np.zeros((4, 4), np.bool_), "bool"),
        (np.zeros((0, 4, 3), np.uint8), r"\[0, 4, 3\]"),
        (7, "of type int, expected a path, bytes, a Pillow picture or a NumPy array"),
        ([1, 2], "of type list"),
    ],
)
def test_what_is_no_picture_is_told_and_stops_no_other(source: Source, words: str) -> None:
    good = picture(*YELLOW)
    first, bad, last = predictor().predict_many([good, source, good])
    assert first.verdict == last.verdict == "Pizza"
    assert bad.error and bad.error["code"] == "not_an_image" and bad.verdict is None
    assert re.search(words, bad.error["message"])


def test_limits_are_held_for_pictures_in_memory() -> None:
    array = np.zeros((40, 50, 3), np.uint8)
    for source in (array, Image.fromarray(array)):
        many = predictor().predict(source, Limits(max_pixels=1999))
        small = predictor().predict(source, Limits(min_side=41))
        assert many.error and many.error["code"] == "too_many_pixels"
        assert small.error and small.error["code"] == "too_small"


def test_a_damaged_pillow_picture_is_one_bad_picture(file: Path) -> None:
    opened = Image.open(io.BytesIO(file.read_bytes()[:200]))
    bad, good = predictor().predict_many([opened, file])
    assert bad.error and bad.error["code"] == "unreadable" and good.verdict


def test_what_the_caller_closes_or_overwrites_was_seen_before() -> None:
    """Pain: pictures are taken ahead, and a camera's loop writes each into the same array."""
    frame = np.zeros((40, 40, 3), np.uint8)

    def frames() -> Iterator[Source]:
        for colour in COLOURS * 5:
            frame[:] = colour
            yield frame
            with Image.open(io.BytesIO(picture(*colour))) as opened:
                yield opened

    model = predictor()
    expected = [model.predict(picture(*colour)).probabilities for colour in COLOURS * 5]
    answers = [answer.probabilities for answer in model.predict_many(frames())]
    assert answers[::2] == expected and answers[1::2] == expected


def test_many_may_be_a_folder_a_glob_or_a_stack(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(*YELLOW))
    model = predictor()

    def names(source: Source) -> list[str]:
        return [Path(str(answer.path)).name for answer in model.predict_many(source)]

    assert names(tmp_path) == names(str(tmp_path)) == ["1.png", "2.png", "b.png"]
    assert names(str(tmp_path / "a" / "*.png")) == ["1.png", "2.png"]
    assert names(tmp_path / "b.png") == ["b.png"]
    assert len(list(model.predict_many(np.zeros((5, 8, 8, 3), np.uint8)))) == 5


@pytest.mark.parametrize(
    "one",
    [
        picture(*YELLOW),
        np.full((8, 8, 3), YELLOW, np.uint8),
        np.full((9, 9), 200, np.uint8),
        Image.new("RGB", (8, 8), YELLOW),
    ],
)
def test_one_picture_is_a_stream_of_one(one: Source) -> None:
    (answer,) = predictor().predict_many(one)
    assert answer.probabilities == predictor().predict(one).probabilities


def test_a_folder_without_pictures_is_an_error_and_in_a_list_a_bad_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        list(predictor().predict_many(tmp_path))
    bad, good = predictor().predict_many([tmp_path, picture(*YELLOW)])
    assert bad.error and "is a folder, expected a picture" in bad.error["message"]
    assert good.verdict == "Pizza"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.timeout(20)
def test_a_pipe_or_a_device_is_one_bad_picture_and_never_a_wait(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(*YELLOW))
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    good, *bad = predictor().predict_many(tmp_path)
    assert good.verdict == "Pizza" and len(bad) == 2
    for answer in (*bad, predictor().predict("/dev/zero")):
        assert answer.error and "is no file, expected a picture" in answer.error["message"]
