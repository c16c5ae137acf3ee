"""Copies by verdict: never one over another, whatever the names."""

from pathlib import Path

import pytest

from pizzaiolo.core.labels import Labels
from pizzaiolo.errors import StorageError, UsageError
from pizzaiolo.predict import Answer
from pizzaiolo.predict.place import Copier, check_folder

LABELS = Labels(("not_pizza", "pizza"), "pizza")


def answer(path: Path, verdict: str = "Pizza") -> Answer:
    return Answer(str(path), "pizza", 0.9, verdict, {"pizza": 0.9})


def content(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "in" / folder / "x.jpg" for folder in "abc"]
    for i, path in enumerate(made):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes([i]))
    return made


def test_clashes_get_numbers_and_a_second_job_no_doubles(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "pizza").mkdir(parents=True)
    (out / "pizza" / "x.jpg").write_bytes(b"own")
    for made in (3, 0):
        copier = Copier(out, LABELS)
        for file in files:
            copier.add(answer(file))
        assert copier.copied["pizza"] == made and copier.already == 3 - made
        assert content(out) == {"pizza/x.jpg": b"own", "pizza/x-2.jpg": b"\0",
                                "pizza/x-3.jpg": b"\1", "pizza/x-4.jpg": b"\2"}  # fmt: skip
    assert "0 pictures copied" in copier.told and "3 were there already" in copier.told


def test_a_disk_without_hard_links_does_the_same(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    copier = Copier(tmp_path / "out", LABELS)
    for file in (*files, files[0]):
        copier.add(answer(file))
    assert sorted(content(tmp_path / "out").values()) == [b"\0", b"\1", b"\2"]
    assert copier.copied.total() == 3 and copier.already == 1


def test_each_verdict_has_a_folder(files: list[Path], tmp_path: Path) -> None:
    copier = Copier(tmp_path / "out", LABELS)
    copier.add(answer(files[0]))
    copier.add(answer(files[1], "Not sure"))
    copier.add(Answer(str(files[2]), error={"code": "unreadable", "message": "cut"}))
    copier.add(Answer(str(tmp_path / "gone.jpg"), error={"code": "unreadable", "message": "gone"}))
    copier.add(Answer("x" * 300, error={"code": "unreadable", "message": "no name"}))
    copier.add(Answer(str(tmp_path), error={"code": "unreadable", "message": "a folder"}))
    assert sorted(content(tmp_path / "out")) == [
        "not_sure/x.jpg",
        "pizza/x.jpg",
        "unreadable/x.jpg",
    ]
    assert copier.told == (
        f"3 pictures copied to {tmp_path / 'out'}: not_sure 1, pizza 1, unreadable 1; "
        "3 could not be copied"
    )


@pytest.mark.parametrize("name", ["../up", "/abs", "a/b", "..", "not_sure", "Unreadable", "CON"])
def test_no_class_name_leaves_the_folder_or_takes_another(name: str, tmp_path: Path) -> None:
    folders = Copier(tmp_path, Labels((name, "other"))).folders
    assert len({f.casefold() for f in (*folders.values(), "not_sure", "unreadable")}) == 4
    assert (tmp_path / folders[name]).resolve().parent == tmp_path.resolve()


def test_a_folder_that_can_t_be_written_stops_it(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pizza").write_text("a file in the way")
    with pytest.raises(StorageError):
        Copier(tmp_path / "out", LABELS).add(answer(files[0]))


def test_the_folder_is_checked_before(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a file, expected a folder"):
        check_folder(files[0], [])
    with pytest.raises(UsageError, match="is the folder of the pictures"):
        check_folder(tmp_path / "in", ["gone", str(tmp_path / "in")])
    check_folder(tmp_path / "new", [str(tmp_path / "in")])
