"""--sort: every answer once, in the order that was asked for, what has no value last."""

import random

import pytest

from pizzaiolo.errors import UsageError
from pizzaiolo.predict import Answer, order
from pizzaiolo.predict.order import ORDERS, Sorter, check_order

BAD = Answer("c/\udcff.jpg", error={"code": "unreadable", "message": "cut"})
ANSWERS = [
    Answer("b.jpg", "pizza", 0.7, "Pizza", {"pizza": 0.7}, 0.9),
    Answer("a.jpg", "pizza", 0.9, "Pizza", {"pizza": 0.9}, 0.1),
    Answer("d.jpg", "pizza", 0.6, "Not sure", {"pizza": 0.6}, 1.3, "unlike training"),
    Answer("b.jpg", "pizza", 0.7, "Pizza", {"pizza": 0.7}, 0.9),
    BAD,
]
PLACES = {"confidence": [1, 0, 3, 2, 4], "novelty": [2, 0, 3, 1, 4], "verdict": [2, 1, 0, 3, 4],
          "path": [1, 0, 3, 4, 2]}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_the_order(name: str) -> None:
    sorter = Sorter(name)
    for answer in ANSWERS:
        sorter.add(answer)
    assert list(sorter.answers()) == [ANSWERS[i] for i in PLACES[name]]


def test_paths_are_sorted_as_python_does() -> None:
    paths = [f"{random.Random(i).choice('abäß')}/{i}.jpg" for i in range(50)]
    sorter = Sorter("path")
    for path in paths:
        sorter.add(Answer(path))
    assert [a.path for a in sorter.answers()] == sorted(paths)


def test_many_are_told_to_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(order, "MANY", 3)
    sorter = Sorter("path")
    for answer in ANSWERS:
        sorter.add(answer)
    assert capsys.readouterr().err.count("--sort path has to wait for the last picture") == 1
    list(sorter.answers())


def test_an_unknown_order_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        check_order("confidance")
    assert caught.value.hint == "did you mean 'confidence'?"
