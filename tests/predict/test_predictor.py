"""The Predictor: pictures in, answers out, bad pictures as answers with an error."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pizzaiolo.core.image import Limits
from pizzaiolo.errors import InputError, ModelFileError
from pizzaiolo.predict import Answer, Predictor, expand, load_file


@pytest.fixture(scope="module")
def predictor(starter: Path) -> Predictor:
    return load_file(starter)


def test_a_path_and_its_bytes_give_the_same_answer(predictor: Predictor, pizza_file: Path) -> None:
    by_path = predictor.predict(pizza_file)
    by_bytes = predictor.predict(pizza_file.read_bytes())
    assert by_path.probabilities == by_bytes.probabilities
    assert by_path.path == str(pizza_file) and by_bytes.path is None
    assert sum((by_path.probabilities or {}).values()) == pytest.approx(1, abs=1e-6)
    assert by_path.confidence == (by_path.probabilities or {})[by_path.label or ""]


def test_json_has_the_documented_keys(predictor: Predictor, pizza_file: Path) -> None:
    answer = json.loads(json.dumps(predictor.predict(pizza_file).to_json()))
    assert list(answer) == [
        "path", "label", "confidence", "verdict", "probabilities", "novelty", "reason", "error"
    ]  # fmt: skip
    assert answer["verdict"] in ("Pizza", "Not pizza", "Not sure")


def test_bad_pictures_never_stop_the_rest(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    good = sorted((photos / "pizza").glob("pizza_001*.jpg"))[:9]
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(good[0].read_bytes()[:3000])
    mixed = [
        *good[:4],
        tmp_path / "text.jpg",
        tmp_path / "gone.jpg",
        *good[4:],
        tmp_path / "cut.jpg",
    ]
    answers = list(predictor.predict_many(mixed))
    assert [a.path for a in answers] == [str(p) for p in mixed]
    codes = [a.error["code"] if a.error else None for a in answers]
    assert [c for c in codes if c] == ["not_an_image", "unreadable", "unreadable"]
    assert all(a.label is None and a.probabilities is None for a in answers if a.error)


def test_many_equal_one_by_one(predictor: Predictor, photos: Path) -> None:
    files = sorted((photos / "not_pizza").glob("not_pizza_001*.jpg"))
    many = [a.probabilities for a in predictor.predict_many(files)]
    single = [predictor.predict(f).probabilities for f in files]
    for a, b in zip(many, single, strict=True):
        assert a is not None and b is not None
        assert a["pizza"] == pytest.approx(b["pizza"], abs=1e-5)


def test_many_reads_a_stream_lazily(predictor: Predictor, pizza_file: Path) -> None:
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield pizza_file

    stream = predictor.predict_many(endless())
    for _ in range(10):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert taken < 100


def test_limits_are_held(predictor: Predictor, pizza_file: Path) -> None:
    answer = predictor.predict(pizza_file, Limits(max_pixels=1000))
    assert answer.error is not None and answer.error["code"] == "too_many_pixels"


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_run_gives_probabilities_and_embedding(predictor: Predictor, batch: int) -> None:
    pixels = np.zeros((batch, 224, 224, 3), np.uint8)
    probabilities, embedding = predictor.run(pixels)
    assert probabilities.shape == (batch, 2) and embedding.shape == (batch, 1280)
    assert probabilities.dtype == embedding.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.onnx", None, "no model at"),
        ("m.tflite", b"x", "expected .pt, .onnx"),
        ("m.onnx", b"not onnx", "not an ONNX model"),
        ("m.pt", b"not torch", "not a model file"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=words) as caught:
        load_file(tmp_path / name)
    assert caught.value.hint and caught.value.exit_code == 2


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"without model\.pt"):
        load_file(tmp_path)


def test_a_malicious_pickle_is_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    payload = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
    (tmp_path / "bad.pt").write_bytes(payload)
    with pytest.raises(ModelFileError):
        load_file(tmp_path / "bad.pt")
    assert not marker.exists()


def test_a_malicious_torch_archive_is_not_executed(tmp_path: Path) -> None:
    import zipfile

    marker = tmp_path / "executed"
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad/data.pkl", f"cos\nsystem\n(S'touch {marker}'\ntR.")
        archive.writestr("bad/version", "3")
        archive.writestr("bad/byteorder", "little")
    with pytest.raises(ModelFileError):
        load_file(path)
    assert not marker.exists()


def test_expand_finds_pictures_in_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "note.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in expand([str(tmp_path)])] == ["a.PNG", "b.jpg"]
    assert [p.name for p in expand([str(tmp_path / "*.jpg")])] == ["b.jpg"]
    assert [p.name for p in expand(["one.jpg"])] == ["one.jpg"]
    with pytest.raises(InputError, match="holds no pictures"):
        list(expand([str(tmp_path / "*.gif")]))
    os.mkdir(tmp_path / "empty")
    with pytest.raises(InputError, match="holds no pictures"):
        list(expand([str(tmp_path / "empty")]))


def test_expand_leaves_out_folders_that_are_named_like_pictures(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "album.jpg" / "a.jpg").write_bytes(b"")
    assert [p.name for p in expand([str(tmp_path)])] == ["a.jpg"]


def test_expand_refuses_an_empty_name() -> None:
    with pytest.raises(InputError, match="name is empty"):
        list(expand([""]))


def test_a_name_that_no_disk_can_hold_is_one_bad_picture(predictor: Predictor) -> None:
    (answer,) = predictor.predict_many(expand(["x" * 300 + ".jpg"]))
    assert answer.error is not None and answer.error["code"] == "unreadable"


def test_a_run_is_answered_by_pytorch_whoever_owns_the_pixels(run_folder: Path) -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels.flags.writeable = False
    probabilities, embedding = load_file(run_folder).run(pixels)
    assert probabilities.shape == (2, 2) and len(embedding) == 2


@pytest.mark.parametrize(
    ("confidence", "words"),
    [(None, ""), (0.5, "50.0%"), (0.9776, "97.8%"), (0.9994, "99.9%"), (0.9996, ">99.9%"),
     (1.0, ">99.9%")],
)  # fmt: skip
def test_nearly_certain_is_never_called_certain(confidence: float | None, words: str) -> None:
    assert Answer("p.jpg", confidence=confidence).sure == words
