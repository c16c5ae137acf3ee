"""Corrections: kept as a source that `prepare` reads, and only where that was asked for."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pizzaiolo.config import PrepareConfig, ServeConfig
from pizzaiolo.predict import Predictor
from pizzaiolo.prepare.run import prepare
from pizzaiolo.serve.app import create_app

Draw = Callable[..., bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "corrected"


@pytest.fixture
def open_(predictor: Predictor, folder: Path) -> TestClient:
    return TestClient(create_app(predictor, ServeConfig(feedback=str(folder), feedback_mb=1)))


def send(client: TestClient, data: bytes, label: str) -> tuple[int, dict[str, object]]:
    answer = client.post("/v1/feedback", files={"file": ("x", data)}, data={"label": label})
    return answer.status_code, answer.json()


def pattern(seed: int, kind: str) -> bytes:
    """A picture unlike those of other seeds."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def test_a_corrected_picture_is_a_source_for_prepare(
    open_: TestClient, folder: Path, tmp_path: Path
) -> None:
    assert open_.get("/v1/feedback").json() == {"labels": ["not_pizza", "pizza"]}
    sent = {
        "pizza": [pattern(seed, "PNG") for seed in range(6)],
        "not_pizza": [pattern(seed, "JPEG") for seed in range(10, 16)],
    }
    for label, pictures in sent.items():
        for data in pictures:
            assert send(open_, data, label) == (200, {"kept": True, "new": True})
    assert send(open_, sent["pizza"][0], "pizza") == (200, {"kept": True, "new": False})
    for label, suffix in (("pizza", ".png"), ("not_pizza", ".jpg")):
        files = list((folder / label).iterdir())
        assert {file.read_bytes() for file in files} == set(sent[label])
        assert {file.suffix for file in files} == {suffix}
    found = prepare([str(folder)], tmp_path / "D", PrepareConfig(features=False, workers=1))
    assert found["classes"] == ["not_pizza", "pizza"]
    assert (found["found"], found["kept"]) == (12, 12)


def test_the_last_word_on_a_picture_counts(open_: TestClient, folder: Path, draw: Draw) -> None:
    send(open_, draw("green"), "pizza")
    assert send(open_, draw("green"), "not_pizza") == (200, {"kept": True, "new": True})
    assert [file.parent.name for file in folder.rglob("*.png")] == ["not_pizza"]


@pytest.mark.parametrize(
    ("data", "label", "status", "code"),
    [
        (b"no picture", "pizza", 415, "not_an_image"),
        (None, "pasta", 422, "unknown_label"),
        (None, "../pizza", 422, "unknown_label"),
    ],
)
def test_what_teaches_nothing_is_refused(
    open_: TestClient, folder: Path, draw: Draw, data: bytes | None, label: str, status: int,
    code: str,
) -> None:  # fmt: skip
    found, told = send(open_, draw() if data is None else data, label)
    assert (found, told["code"]) == (status, code)
    assert not list(folder.rglob("*.*"))


def test_a_form_needs_both(open_: TestClient, draw: Draw) -> None:
    answer = open_.post("/v1/feedback", files={"file": draw()})
    assert answer.status_code == 422 and answer.json()["code"] == "no_label"
    answer = open_.post("/v1/feedback", files=[("file", draw())] * 2, data={"label": "pizza"})
    assert answer.json()["code"] == "no_label"
    assert open_.post("/v1/feedback", content=draw()).json()["code"] == "bad_form"


def test_a_full_folder_is_said_and_counted_over_restarts(
    predictor: Predictor, folder: Path, draw: Draw
) -> None:
    (folder / "pizza").mkdir(parents=True)
    (folder / "pizza/old.jpg").write_bytes(bytes(999_950))
    full = TestClient(create_app(predictor, ServeConfig(feedback=str(folder), feedback_mb=1)))
    status, told = send(full, draw(), "pizza")
    assert (status, told["code"]) == (507, "feedback_full")


def test_a_folder_that_cant_be_written_is_a_problem(
    predictor: Predictor, draw: Draw, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    config = ServeConfig(feedback=str(tmp_path / "file"))
    status, told = send(TestClient(create_app(predictor, config)), draw(), "pizza")
    assert (status, told["code"]) == (507, "not_kept")


def test_nothing_is_kept_unless_asked_for(client: TestClient, draw: Draw) -> None:
    assert send(client, draw(), "pizza")[0] == 405
    assert client.get("/v1/feedback").json() == {"labels": []}
