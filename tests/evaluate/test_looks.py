"""Looks at the test split are counted, and training data are not taken for test data."""

import json
import os
from pathlib import Path

import pytest

from pizzaiolo.errors import StorageError
from pizzaiolo.evaluate import looks
from pizzaiolo.evaluate.looks import FILE, count_look, looks_warning, run_of, training_warning


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "model.pt"):
        (folder / name).write_text("{}")
    return folder


def test_each_look_is_counted_by_data_set(run: Path) -> None:
    assert [count_look(run, "one"), count_look(run, "one"), count_look(run, "two")] == [1, 2, 1]
    assert count_look(run, "one") == 3
    kept = json.loads((run / FILE).read_text())["test"]
    assert {key: value["looks"] for key, value in kept.items()} == {"one": 3, "two": 1}
    assert kept["one"]["first"] <= kept["one"]["last"]


def test_the_first_look_stays_on_record(run: Path) -> None:
    count_look(run, "one")
    facts = json.loads((run / FILE).read_text())
    facts["test"]["one"]["first"] = "2020-01-01T00:00:00+00:00"
    (run / FILE).write_text(json.dumps(facts))
    count_look(run, "one")
    assert json.loads((run / FILE).read_text())["test"]["one"]["first"].startswith("2020")


def test_without_a_run_nothing_is_counted() -> None:
    assert [count_look(None, "one"), count_look(None, "one")] == [1, 1]


def test_a_run_that_cannot_be_written_stops_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    count_look(run, "one")
    before = (run / FILE).read_bytes()

    def refuse(*_: object) -> None:
        raise StorageError("the file system is read-only")

    monkeypatch.setattr(looks, "write_text", refuse)
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        assert count_look(run, "one") == 2
    assert (run / FILE).read_bytes() == before
    assert "can't be counted: the file system is read-only" in caplog.text


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_run_without_permission_stops_nothing(run: Path) -> None:
    run.chmod(0o500)
    try:
        assert count_look(run, "one") == 1
    finally:
        run.chmod(0o700)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '{"test": 3}', '{"test": {"one": 3}}', "[" * 100_000,
     '{"test": {"one": {"looks": -1, "first": ""}}}', '{"test": {"one": {"looks": "9"}}}',
     '{"test": {"one": {"looks": true, "first": ""}}}', '{"test": {"one": {"looks": 1e99}}}',
     '{"test": {"one": {"looks": 4}}}'],
)  # fmt: skip
def test_a_damaged_counter_starts_anew(run: Path, text: str) -> None:
    (run / FILE).write_text(text)
    assert count_look(run, "one") == 1
    assert count_look(run, "one") == 2


def test_a_counter_that_is_a_folder_stops_nothing(run: Path) -> None:
    (run / FILE).mkdir()
    assert count_look(run, "one") == 1


def test_a_sound_entry_beside_a_damaged_one_is_kept(run: Path) -> None:
    count_look(run, "one")
    facts = json.loads((run / FILE).read_text())
    facts["test"]["two"] = None
    (run / FILE).write_text(json.dumps(facts))
    assert [count_look(run, "one"), count_look(run, "two")] == [2, 1]


def test_a_run_is_known_by_its_folder_and_by_its_model_file(run: Path, tmp_path: Path) -> None:
    assert run_of(run) == run and run_of(str(run / "model.pt")) == run
    assert run_of(run / "model.onnx") is None  # may lie anywhere, and may be anyone's
    assert run_of(tmp_path) is None and run_of(tmp_path / "model.pt") is None


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, None), (1, None), (2, "2nd time"), (3, "3rd"), (4, "4th"), (11, "11th"), (21, "21st"),
     (112, "112th")],
)  # fmt: skip
def test_every_look_after_the_first_is_warned_of(count: int, words: str | None) -> None:
    warning = looks_warning(count)
    assert (warning is None) if words is None else (warning is not None and words in warning)


@pytest.mark.parametrize(
    ("split", "pictures", "trained", "words"),
    [
        ("train", 100, 0, "learned from the train split"),
        ("test", 100, 50, "50 of 100 pictures are copies"),
        ("validation", 10, 10, "these are training data"),
        ("test", 100, 49, None),
        ("test", 0, 0, None),
    ],
)
def test_training_data_are_told(split: str, pictures: int, trained: int, words: str | None) -> None:
    warning = training_warning(split, pictures, trained)
    assert (warning is None) if words is None else (warning is not None and words in warning)
