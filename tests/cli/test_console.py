"""The terminal: results on stdout, the rest on stderr, and no name that it can't show."""

import io
import json
import logging
import sys

import pytest

from pizzaiolo import console
from pizzaiolo.errors import InputError


def terminal(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    """What arrives at a strict stdout of this encoding."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    console.set_up_streams()
    return raw


@pytest.mark.parametrize("name", ["pizzà", "🍕", "\udcff.jpg", "ピザ"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252"])
def test_any_name_can_be_shown_and_read_back(
    monkeypatch: pytest.MonkeyPatch, name: str, encoding: str
) -> None:
    raw = terminal(monkeypatch, encoding)
    console.say(name)
    console.say_json({"path": name})
    shown, line = raw.getvalue().decode(encoding).splitlines()
    assert shown and json.loads(line) == {"path": name}


def test_each_line_goes_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = terminal(monkeypatch, "utf-8")
    console.say("first")
    assert raw.getvalue().splitlines() == [b"first"]


def test_json_never_holds_what_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.say_json({"x": float("nan")})


def test_results_and_notes_go_different_ways(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("result")
    console.note("by the way")
    console.report_error(InputError("no oven", hint="buy one"))
    out, err = capsys.readouterr()
    assert out == "result\n" and err == "by the way\nerror: no oven\nhint: buy one\n"


def test_a_note_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two, the end of one process's line comes after the start of another's."""
    written: list[str] = []
    monkeypatch.setattr(console.sys.stderr, "write", written.append)
    console.note("by the way")
    assert [text for text in written if text] == ["by the way\n"]


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.track([1, 2, 3], "baking")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_a_table_is_padded_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_table(("name", "n"), [("x" * 150, 1), ("y", 22)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "x" * 150 + "  1" and lines[3].endswith("  22") and len(lines) == 4


@pytest.mark.parametrize(("verbose", "level"), [(False, logging.INFO), (True, logging.DEBUG)])
def test_logging_goes_to_stderr_once(
    capsys: pytest.CaptureFixture[str], verbose: bool, level: int
) -> None:
    before = console.log.handlers[:], console.log.level
    try:
        for _ in range(2):
            console.set_up_logging(verbose)
        console.log.warning("hot")
        assert console.log.level == level and capsys.readouterr() == ("", "WARNING: hot\n")
    finally:
        console.log.handlers[:], console.log.level = before
