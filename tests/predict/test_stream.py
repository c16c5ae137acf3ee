"""Streams: each thread decodes and runs, answers come in order, what waits is bounded."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pizzaiolo import starter as starter_module
from pizzaiolo.predict import Pixels, Predictor, load_file
from pizzaiolo.predict.predictor import AHEAD
from toy_predictor import BLUE, OLIVE, VIOLET, YELLOW, MeanColour, picture, predictor

WAIT = 20  # seconds after which a test that hangs fails


@pytest.fixture(scope="module", params=["pt", "onnx"])
def real(request: pytest.FixtureRequest) -> Predictor:
    name = {"pt": "run_folder", "onnx": "starter"}[request.param]
    return load_file(request.getfixturevalue(name))


def test_an_answer_depends_on_nothing_but_its_picture(real: Predictor, photos: Path) -> None:
    """To the last bit: alone, in any company and order, with any number of threads."""
    files = sorted((photos / "pizza").glob("pizza_00*.jpg"))[:10]
    alone = {str(file): real.predict(file).probabilities for file in files}
    shuffled = np.random.default_rng(0).permutation(np.array(files * 2)).tolist()
    for workers in (1, 2, 3):
        answers = list(real.predict_many(shuffled, workers))
        assert [a.path for a in answers] == [str(file) for file in shuffled]
        assert all(a.probabilities == alone[str(a.path)] for a in answers)
    pixels = np.stack([real.card.preprocess.load(file) for file in files])
    for row, file in zip(real.run(pixels)[0].tolist(), files, strict=True):
        assert dict(zip(real.labels.names, row, strict=True)) == alone[str(file)]


class Fixed(MeanColour):
    """An engine whose numbers depend on the size of the batch, as a GPU's last bits do."""

    batch, workers = 4, 2

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        probabilities, embedding = super().__call__(pixels)
        return probabilities / len(pixels), embedding


def test_batches_are_filled_up() -> None:
    model = Predictor(predictor().card, Fixed())
    given = [picture(i, i, 0) for i in range(50, 250, 20)]
    alone = [model.predict(source).probabilities for source in given]
    assert [a.probabilities for a in model.predict_many(given)] == alone
    pixels = np.stack([model.card.preprocess.load(source) for source in given])
    assert model.run(pixels)[0].tolist() == [list(a.values()) for a in alone if a]
    assert len(model.run(pixels[:0])[0]) == 0


def test_a_none_lets_a_part_of_a_batch_be_answered() -> None:
    model = Predictor(predictor().card, Fixed())
    asked: list[str] = []

    def sources() -> Iterator[bytes | None]:
        yield picture(*YELLOW)
        yield None
        asked.append("more")
        yield picture(*BLUE)

    answers = model.predict_many(sources())
    assert next(answers).probabilities and asked == []
    assert len(list(answers)) == 1 and asked == ["more"]


class Meeting(MeanColour):
    """An engine that answers the first picture only when another is computed meanwhile."""

    workers = 2

    def __init__(self) -> None:
        self.met = threading.Event()
        self.calls = 0

    def __call__(self, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        if self.calls == 1:
            assert self.met.wait(WAIT), "nothing ran beside the first picture"
        self.met.set()
        return super().__call__(pixels)


def test_pictures_are_computed_side_by_side_and_answered_in_order() -> None:
    model = Predictor(predictor().card, Meeting())
    given = [picture(*colour) for colour in (YELLOW, BLUE, OLIVE, VIOLET)]
    expected = [predictor().predict(source) for source in given]
    assert list(model.predict_many(given)) == expected


def test_only_a_few_are_taken_ahead() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield picture(*YELLOW)

    for count, _ in enumerate(islice(predictor().predict_many(endless(), workers=2), 50), start=1):
        assert taken - count <= 2 * AHEAD


def test_a_stream_that_is_left_computes_no_more() -> None:
    engine = Meeting()
    engine.met.set()
    stream = Predictor(predictor().card, engine).predict_many([picture(*YELLOW)] * 1000)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert engine.calls <= 2 * AHEAD + 2


def test_a_source_that_breaks_is_heard_and_leaves_no_thread() -> None:
    def breaks() -> Iterator[bytes]:
        yield picture(*YELLOW)
        raise OSError("the camera is gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="the camera is gone"):
        list(predictor().predict_many(breaks()))
    assert threading.active_count() == before


def test_the_starter_is_opened_once(starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def count(*given: object, **named: object) -> Predictor:
        opened.append(given)
        return load_file(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(starter_module, "load_file", count)
    starter_module.load()
    assert len(opened) == 1


def test_the_first_answer_loads_nothing_that_draws(starter: Path, pizza_file: Path) -> None:
    """Where nobody looks at a bar; with it the answer comes a tenth later."""
    code = (
        f"import sys; sys.argv = ['pizzaiolo', 'predict', {str(pizza_file)!r}, '--model', "
        f"{str(starter)!r}]\nfrom pizzaiolo.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('rich', 'torch', 'pandas', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
