"""Dots, intervals, bars and parallel coordinates: well-formed, in their place, text stays text."""

import re
from xml.etree import ElementTree

import pytest

from pizzaiolo.core.bars import Bar, bars, shortened
from pizzaiolo.core.layers import (
    Band,
    Dot,
    Dots,
    Legend,
    Limit,
    Note,
    Whiskers,
    legend_space,
)
from pizzaiolo.core.parallel import Scale, Thread, parallel
from pizzaiolo.core.plot import STYLE, Drawing, Frame, Layer, Panel, axis, drawing

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>boom()</script> & \"'"
X, Y = axis("x", [0.0, 10.0]), axis("y", [0.0, 100.0])
FRAME = Frame(width=200, height=100, left=50, right=10, top=40, bottom=40)


def shapes(drawn: Drawing, tag: str, kind: str) -> list[ElementTree.Element]:
    """The elements of a kind; the SVG must be well-formed for that."""
    root = ElementTree.fromstring(drawn.svg())
    return [e for e in root.iter(f"{SVG}{tag}") if kind in (e.get("class") or "").split()]


def with_layers(*above: Layer) -> Drawing:
    return drawing("alt", [Panel("", X, Y, above=above)], FRAME)


def test_layers_lie_where_their_values_are() -> None:
    drawn = with_layers(
        Dots([Dot(5.0, 50.0, "middle"), Dot(10.0, 0.0)], "good"),
        Dots([Dot(0.0, 100.0)], "cross"),
        Whiskers([(2.5, 25.0, 75.0)]),
        Band([(0.0, 0.0, 50.0), (10.0, 50.0, 100.0)], "first"),
        Limit(2.5, 0.0, 100.0, "limit"),
    )
    dots = shapes(drawn, "circle", "good")
    assert [(d.get("cx"), d.get("cy")) for d in dots] == [("100.0", "50.0"), ("200.0", "100.0")]
    assert [t.text for t in dots[0]] == ["middle"] and len(dots[1]) == 0
    assert shapes(drawn, "path", "cross")[0].get("d") == "M-3.5,-3.5l7,7m0,-7l-7,7"
    whisker = shapes(drawn, "line", "whisker")[0]
    assert (whisker.get("x1"), whisker.get("y1"), whisker.get("y2")) == ("50.0", "75.0", "25.0")
    points = shapes(drawn, "polygon", "band")[0].get("points")
    assert points == "0.0,50.0 200.0,0.0 200.0,50.0 0.0,100.0"
    assert shapes(drawn, "line", "limit")[0].get("x1") == "50.0"


@pytest.mark.parametrize(("x", "side"), [(1.0, None), (9.8, "end")])
def test_a_note_stands_where_there_is_room(x: float, side: str | None) -> None:
    note = shapes(with_layers(Note(x, 50.0, "default", 200)), "text", "note")[0]
    assert note.get("text-anchor") == side


def test_a_legend_takes_as_many_rows_as_it_needs() -> None:
    few = [("best", "line second"), ("done", "faint")]
    many = [(f"a name of some length {i}", "hollow") for i in range(4)]
    assert len(Legend(few, FRAME).rows) == 1 and len(Legend(many, FRAME).rows) == 4
    assert legend_space(many, FRAME) - legend_space(few, FRAME) == 3 * 18
    assert all(left == 0 for ((left, *_), *_) in Legend(many, FRAME).rows)


@pytest.mark.parametrize("kind", ["line first", "band second", "limit", "cross", "ring"])
def test_each_kind_has_a_key(kind: str) -> None:
    drawn = with_layers(Legend([("name", kind)], FRAME))
    assert "name" in drawn.body and kind.split()[0].replace("line", "curve") in drawn.body


def test_bars_start_at_zero_and_have_their_intervals() -> None:
    scale = axis("points", [-10.0, 10.0])
    entries = [Bar("better", 5.0, "+5", 2.0, 8.0, "good"), Bar("worse", -5.0, "-5")]
    drawn = bars("alt", entries, scale)
    first, second = (r for r in ElementTree.fromstring(drawn.svg()).iter(f"{SVG}rect")
                     if "bar" in (r.get("class") or ""))  # fmt: skip
    assert float(first.get("x") or 0) == pytest.approx(165) == drawn.width / 2
    assert float(second.get("x") or 0) + float(second.get("width") or 0) == pytest.approx(165)
    assert len(shapes(drawn, "line", "whisker")) == 1 and len(shapes(drawn, "line", "zero")) == 1
    assert len(shapes(bars("alt", entries, scale, filled=False), "circle", "dot")) == 2


def test_a_long_name_has_a_line_of_its_own() -> None:
    scale = axis("", [0.0, 1.0])
    short, long = (bars("alt", [Bar("n" * count, 0.5, "50 %")], scale) for count in (5, 40))
    assert long.height - short.height == 18
    whole = bars("alt", [Bar("n" * 300, 0.5, "50 %")], scale)
    name = shapes(whole, "text", "name")[0].text or ""
    assert name.endswith("…") and 6.6 * len(name) <= whole.width
    assert "n" * 300 in whole.body, "the whole name is said where a pointer rests"


def test_shortened_leaves_short_texts() -> None:
    assert shortened("pizza", 5) == "pizza" and shortened("pizza pie", 7) == "pizza…"


def test_threads_go_from_axis_to_axis_and_leave_gaps() -> None:
    scales = [
        Scale("rate", axis("", [0.0, 1.0])),
        Scale("loss", choices=("bce", "focal")),
        Scale("accuracy", axis("", [0.9, 1.0])),
    ]
    threads = [Thread((0.5, "focal", 0.95)), Thread((1.0, None, 1.0), "second", "the best")]
    drawn = parallel("alt", scales, threads)
    first, second = shapes(drawn, "path", "thread")
    assert len(re.findall(r"[ML]", first.get("d") or "")) == 3
    assert re.fullmatch(r"M[\d.,]+M[\d.,]+", second.get("d") or "")
    assert "second" in (second.get("class") or "") and second[0].text == "the best"
    names = [e.text for e in shapes(drawn, "text", "name")]
    assert names == ["rate", "loss", "accuracy"]
    heights = [scales[1].share(choice, 0.5) for choice in ("bce", "focal")]
    assert heights == [0.25, 0.75]
    assert scales[1].share("bce", 0.0) < 0.25 < scales[1].share("bce", 1.0) < 0.5


def test_many_axes_stand_closer() -> None:
    numbers = axis("", [0.0, 1.0])
    few, many = (
        parallel("alt", [Scale(str(i), numbers) for i in range(count)], []) for count in (3, 8)
    )
    assert few.width < many.width < 8 * 172


def test_text_is_never_markup() -> None:
    numbers = axis(HOSTILE, [0.0, 1.0])
    drawn = [
        with_layers(Dots([Dot(1, 1, HOSTILE)]), Note(1, 1, HOSTILE, 200), Limit(1, 0, 1, HOSTILE)),
        with_layers(Legend([(HOSTILE, "faint")], FRAME)),
        bars(HOSTILE, [Bar(HOSTILE, 0.5, HOSTILE)], numbers),
        parallel(HOSTILE, [Scale(HOSTILE, numbers), Scale(HOSTILE, choices=(HOSTILE,))],
                 [Thread((0.1, HOSTILE), "", HOSTILE)]),
    ]  # fmt: skip
    for picture in drawn:
        text = picture.svg(heading=HOSTILE)
        assert "<script>" not in text
        ElementTree.fromstring(text)


def test_a_picture_stands_alone_or_in_a_page() -> None:
    picture = Drawing("what it shows", 30, 20, "<g/>")
    alone, part = picture.svg(heading="Title"), picture.svg(style=None)
    assert STYLE in alone and ">Title</text>" in alone and 'height="56"' in alone
    assert "<style>" not in part and 'height="20"' in part
    assert "<title>what it shows</title>" in alone and "<title>what it shows</title>" in part
