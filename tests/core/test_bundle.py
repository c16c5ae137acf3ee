"""Files that are whole or absent, folders that are ours, and the reading of model files."""

import errno
import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.core.bundle import (
    CARD_KEY,
    UNFINISHED,
    atomic_path,
    cache_folder,
    find_model,
    load_pt,
    new_folder,
    result_folder,
    save_pt,
    write_bytes,
    write_text,
)
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.errors import ModelFileError, StorageError

CARD = Card(Labels(("a", "b")), Preprocess(), {"name": "cnn"})


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# --- one file ---------------------------------------------------------------------------------


def test_a_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "deep" / "a.txt", "Käse 🍕\n")
    assert (tmp_path / "new/deep/a.txt").read_bytes() == "Käse 🍕\n".encode()
    write_bytes(tmp_path / "new/deep/a.txt", b"2")
    assert (tmp_path / "new/deep/a.txt").read_bytes() == b"2"
    assert names(tmp_path / "new/deep") == ["a.txt"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_interrupted_write_leaves_what_was_there(
    tmp_path: Path, fault: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "model.onnx"
    if old:
        path.write_bytes(old)
    with pytest.raises(fault), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise fault
    assert names(tmp_path) == (["model.onnx"] if old else [])
    assert not old or path.read_bytes() == old


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_fault_of_the_disk_is_explained_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with pytest.raises(StorageError), atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes(b"half")
        raise OSError(number, os.strerror(number), str(temporary))
    assert names(tmp_path) == []


def test_a_full_disk_seen_only_at_the_flush_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        write_bytes(tmp_path / "a", b"new")
    assert caught.value.hint and (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("name", ["x" * 250, "🍕" * 60, " ", "-rf", ".hidden"])
def test_any_name_that_the_disk_takes_is_written(tmp_path: Path, name: str) -> None:
    write_bytes(tmp_path / name, b"x")
    assert names(tmp_path) == [name]


def test_a_file_in_the_way_of_a_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError):
        write_bytes(tmp_path / "file" / "a", b"x")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_the_way_of_a_file_is_left_and_explained(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(StorageError, match=r"m\.onnx is a folder"):
        write_bytes(tmp_path / "m.onnx", b"x")
    assert names(tmp_path) == ["m.onnx"] and names(tmp_path / "m.onnx") == []


# --- the folder of a result -------------------------------------------------------------------


def test_new_folder_makes_takes_and_refuses(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "a" / "b", "run", "run.json").is_dir()
    (tmp_path / "a/b/run.json").write_text("{}")
    (tmp_path / "a/b/notes.txt").write_text("mine")
    assert new_folder(tmp_path / "a" / "b", "run", "run.json") == tmp_path / "a" / "b"
    assert names(tmp_path / "a/b") == ["notes.txt", "run.json"]
    with pytest.raises(StorageError, match="holds other files and no earlier data set") as caught:
        new_folder(tmp_path / "a" / "b", "data set", "dataset.json")
    assert "--out" in (caught.value.hint or "")


def test_new_folder_on_a_file_or_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="is a file, expected a folder"):
        new_folder(tmp_path / "file", "run", "run.json")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="no permission to write"):
        new_folder(tmp_path / "closed", "run", "run.json")


def fill(folder: Path, text: str) -> None:
    (folder / "images").mkdir()
    (folder / "images" / text).write_text(text)
    (folder / "own.json").write_text(text)


def test_a_result_comes_together_and_replaces_the_earlier_one(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with result_folder(tmp_path / "out", "run", "own.json") as folder:
            fill(folder, text)
    assert names(tmp_path / "out") == ["images", "own.json"]
    assert names(tmp_path / "out/images") == ["second"]
    assert (tmp_path / "out/own.json").read_text() == "second"


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt(), ValueError(), OSError(errno.ENOSPC, "full")]
)
def test_a_failed_result_leaves_the_earlier_one_whole(tmp_path: Path, fault: BaseException) -> None:
    with result_folder(tmp_path / "out", "run", "own.json") as folder:
        fill(folder, "first")
    kind = StorageError if isinstance(fault, OSError) else type(fault)
    with pytest.raises(kind), result_folder(tmp_path / "out", "run", "own.json") as folder:
        fill(folder, "second")
        raise fault
    assert names(tmp_path / "out") == ["images", "own.json"]
    assert names(tmp_path / "out/images") == ["first"]


def test_a_first_result_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError), result_folder(tmp_path / "out", "run", "own.json") as folder:
        fill(folder, "half")
        raise ValueError
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "out" / UNFINISHED / "images").mkdir(parents=True)
    with result_folder(tmp_path / "out", "run", "own.json") as folder:
        fill(folder, "whole")
    assert names(tmp_path / "out") == ["images", "own.json"]


@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_what_can_be_used_again_is_left_to_the_next(tmp_path: Path, how: str) -> None:
    kept = tmp_path / "out" / UNFINISHED / "images" / "staging" / "a.jpg"
    if how == "interrupted":
        with (
            pytest.raises(KeyboardInterrupt),
            result_folder(tmp_path / "out", "run", "own.json", "images/staging") as folder,
        ):
            (folder / "images/staging").mkdir(parents=True)
            (folder / "images/staging/a.jpg").write_text("a")
            raise KeyboardInterrupt
    else:
        kept.parent.mkdir(parents=True)
        kept.write_text("a")
    for other in ("images/train/b.jpg", "own.json", "c.txt"):
        file = tmp_path / "out" / UNFINISHED / other
        file.parent.mkdir(exist_ok=True)
        file.write_text("old")
    with result_folder(tmp_path / "out", "run", "own.json", "images/staging") as folder:
        found = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
        assert found == ["images/staging/a.jpg"]
        (folder / "own.json").write_text("new")
    assert names(tmp_path / "out") == ["images", "own.json"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError()])
def test_a_failure_and_an_interrupt_before_any_work_leave_nothing(
    tmp_path: Path, fault: BaseException
) -> None:
    with (
        pytest.raises(type(fault)),
        result_folder(tmp_path / "out", "run", "own.json", "images/staging") as folder,
    ):
        (folder / "images/staging").mkdir(parents=True)
        if isinstance(fault, ValueError):
            (folder / "images/staging/a.jpg").write_text("a")
        raise fault
    assert names(tmp_path) == []


# --- model files ------------------------------------------------------------------------------


def test_find_model_takes_a_run_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    (tmp_path / "m.onnx").write_bytes(b"x")
    assert find_model(tmp_path) == find_model(tmp_path / "model.pt") == tmp_path / "model.pt"
    assert find_model(tmp_path / "m.onnx") == tmp_path / "m.onnx"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", r"without model\.pt"),
        ("gone.pt", "no model at"),
        ("m.tflite", "expected .pt, .onnx, .ts, .pt2 or .xml"),
        ("m", "ends with 'nothing'"),
    ],
)
def test_find_model_says_what_is_there_instead(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    for other in ("m.tflite", "m"):
        (tmp_path / other).write_bytes(b"x")
    with pytest.raises(ModelFileError, match=words) as caught:
        find_model(tmp_path / name)
    assert caught.value.hint


@pytest.mark.parametrize("chosen", [None, "elsewhere"])
def test_the_cache_is_where_the_environment_says(
    chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chosen is None:
        monkeypatch.delenv("PIZZAIOLO_CACHE")
        assert cache_folder().name == "pizzaiolo"
    else:
        monkeypatch.setenv("PIZZAIOLO_CACHE", chosen)
        assert cache_folder() == Path(chosen)


def test_pt_round_trip_loads_without_pickled_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
    save_pt(tmp_path / "m.pt", CARD, state)
    card, loaded = load_pt(tmp_path / "m.pt")
    assert card == CARD and loaded.keys() == state.keys()
    assert all(torch.equal(loaded[k], state[k]) for k in state)
    assert torch.load(tmp_path / "m.pt", weights_only=True)[CARD_KEY] == CARD.to_json()


def test_a_full_disk_while_tensors_are_written_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    save_pt(tmp_path / "m.pt", CARD, {})
    before = (tmp_path / "m.pt").read_bytes()

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda *_, **__: Full())
    with pytest.raises(StorageError, match="the disk is full"):
        save_pt(tmp_path / "m.pt", CARD, {"weight": torch.zeros(100_000)})
    monkeypatch.undo()
    assert names(tmp_path) == ["m.pt"] and (tmp_path / "m.pt").read_bytes() == before


def torch_archive(path: Path, content: object) -> Path:
    import torch

    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"state": {}},
        {CARD_KEY: CARD.to_json()},
        {CARD_KEY: 7, "state": {}},
        {CARD_KEY: "{}", "state": {}},
        {CARD_KEY: CARD.to_json(), "state": None},
        {CARD_KEY: CARD.to_json(), "state": [1]},
    ],
)
def test_other_archives_of_torch_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(ModelFileError):
        load_pt(torch_archive(tmp_path / "m.pt", content))


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    import torch

    save_pt(tmp_path / "m.pt", CARD, {"weight": torch.zeros(1000)})
    data = (tmp_path / "m.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "text")
    for number, part in enumerate((b"", b"text", data[: len(data) // 2], data[100:])):
        (tmp_path / f"{number}.pt").write_bytes(part)
        with pytest.raises(ModelFileError, match=r"not a model file of pizzaiolo|not as it was"):
            load_pt(tmp_path / f"{number}.pt")
    with pytest.raises(ModelFileError, match="not a model file of pizzaiolo"):
        load_pt(tmp_path / "zip.pt")
