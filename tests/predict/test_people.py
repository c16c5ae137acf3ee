"""A line for people: nothing cut, the same words with and without a terminal."""

import pytest

from pizzaiolo.core.labels import Labels
from pizzaiolo.predict import Answer
from pizzaiolo.predict.people import Lines

LABELS = Labels(("not_pizza", "pizza"), "pizza")
UNSURE = Answer("p.jpg", "pizza", 0.8, "Not sure", {"pizza": 0.8}, 1.3, "unlike training")
BAD = Answer("p.jpg", error={"code": "x", "message": "gone"})


def test_a_line_gives_the_reason() -> None:
    lines = Lines(LABELS)
    assert lines.line(UNSURE) == "Not sure     80.0%  p.jpg (unlike training)"
    assert lines.line(Answer("p.jpg", "pizza", 0.8, "Pizza")) == "Pizza        80.0%  p.jpg"
    assert lines.line(BAD) == "Unreadable          p.jpg: gone"


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "████████░░"), ("ascii", "########..")])
def test_a_terminal_gets_a_bar_that_it_can_show(encoding: str, bar: str) -> None:
    lines = Lines(LABELS, bar=True, encoding=encoding)
    assert lines.line(UNSURE) == f"Not sure    {bar}   80.0%  p.jpg (unlike training)"
    assert lines.line(BAD).index("p.jpg") == lines.line(UNSURE).index("p.jpg")


@pytest.mark.parametrize(("confidence", "full"), [(0.0, 0), (0.09, 0), (0.55, 5), (0.9999, 9)])
def test_a_full_bar_is_a_certain_one(confidence: float, full: int) -> None:
    line = Lines(LABELS, bar=True).line(Answer("p.jpg", "pizza", confidence, "Pizza"))
    assert line.count("█") == full and line.count("░") == 10 - full


def test_long_names_are_not_cut() -> None:
    labels = Labels(("a_very_long_name_of_a_dish", "b"))
    lines = Lines(labels)
    long = lines.line(Answer("x" * 300, "a", 0.5, "A very long name of a dish"))
    short = lines.line(Answer("y" * 300, "b", 0.5, "B"))
    assert long.endswith("x" * 300) and long.index("x" * 300) == short.index("y" * 300)
