"""Pictures are found one after the other: nothing is collected, nothing is lost."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pizzaiolo.errors import InputError
from pizzaiolo.predict import Predictor, expand
from pizzaiolo.predict.sources import lines_of, listed
from toy_predictor import YELLOW, picture, predictor


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.jpg", "b/1.PNG", "a.jpg", "b.jpg", "c/d/x.webp", "c/note.txt", "empty/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def names(found: Iterator[Path | None], root: Path) -> list[str | None]:
    return [None if p is None else str(p.relative_to(root)) for p in found]


def test_a_tree_comes_in_the_order_of_its_names(tree: Path) -> None:
    found = names(expand([str(tree)]), tree)
    assert found == ["a.jpg", "b/1.PNG", "b/2.jpg", "b.jpg", "c/d/x.webp"]
    assert found == sorted(found, key=lambda name: Path(str(name)).parts)


def test_the_first_picture_comes_before_the_others_are_looked_for(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: opened.append(str(p)) or scandir(p))
    next(expand([str(tree)]))
    assert opened == [str(tree)]


@pytest.mark.parametrize("given", ["", "/**/*.*"])
def test_a_folder_can_be_left_out(tree: Path, given: str) -> None:
    found = names(expand([f"{tree}{given}"], without=tree / "b"), tree)
    assert [n for n in found if "txt" not in str(n)] == ["a.jpg", "b.jpg", "c/d/x.webp"]


def test_links_to_folders_are_not_followed(tree: Path) -> None:
    (tree / "c" / "loop").symlink_to(tree)
    assert len(list(expand([str(tree)]))) == 5


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_folder_that_can_t_be_searched_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(expand([str(tree)]), tree) == ["a.jpg", "b.jpg", "c/d/x.webp"]
    assert "b can't be searched: Permission denied" in caplog.text


def test_a_line_that_leads_nowhere_stays_to_be_answered(tree: Path) -> None:
    lines = [str(tree / "b").encode(), b"", b"gone.jpg", str(tree / "empty").encode(), b"*.gif"]
    found = [str(p) for p in listed(lines)]
    assert found == [f"{tree}/b/1.PNG", f"{tree}/b/2.jpg", "gone.jpg", f"{tree}/empty", "*.gif"]


def test_a_list_without_lines_is_an_error() -> None:
    with pytest.raises(InputError, match="names no picture"):
        list(listed([b"", None, b"  "]))


@pytest.mark.parametrize("text", [b"", b"a", b"a\n", b"a\r\n\nb", b"a\nb\r\n", b"x" * 200_000])
def test_lines_are_those_of_the_stream(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "list").write_bytes(text)
    with (tmp_path / "list").open("rb") as stream:
        found = [line for line in lines_of(stream) if line is not None]
    assert (
        found
        == [line.rstrip(b"\r") for line in text.split(b"\n") if line or b"\n" in text][
            : len(text.splitlines())
        ]
    )


def test_a_list_is_answered_while_it_is_still_written(tmp_path: Path) -> None:
    """Pain: who asks for one picture, and for the next when it is answered, waited for ever."""
    (tmp_path / "a.png").write_bytes(picture(*YELLOW))
    own: Predictor = predictor()
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", 0) as asking:
        late = threading.Timer(20, asking.close)
        late.start()
        answers = own.predict_many(listed(lines_of(stream)))
        for _ in range(3):
            asking.write(f"{tmp_path / 'a.png'}\n".encode())
            assert next(answers).verdict == "Pizza"
            assert not late.finished.is_set()
        late.cancel()
        asking.close()
        assert list(answers) == []
