"""The report of a search in a browser: on a phone and a desktop, light, dark and printed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from page_checks import CONTRASTS, NAMELESS, WIDER
from pizzaiolo.core.labels import Labels
from pizzaiolo.improve.leaderboard import Limits, leaderboard
from pizzaiolo.improve.report import Facts, write_report
from toy_study import make_facts, make_folds, make_study, write_pictures

Visit = Callable[..., AbstractContextManager[Any]]
PHONE, DESKTOP = (360, 740), (1280, 800)
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
LONG = tuple(f"{'Donaudampfschifffahrtsgesellschaft' * 3 if i % 2 else 'a_b_' * 20}{i}"
             for i in range(50))  # fmt: skip
# Text of a chart that another text of it lies over.
COVERED = """() => [...document.querySelectorAll("figure.chart svg")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim());
  const boxes = texts.map((t) => t.getBoundingClientRect());
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  return texts.flatMap((t, i) => texts.slice(i + 1)
    .filter((_, j) => over(boxes[i], boxes[i + 1 + j]))
    .map((other) => t.textContent + " | " + other.textContent));
})"""


def made(kind: str, folder: Path) -> Facts:
    """The facts of a report of a kind."""
    if kind == "whole":
        files = write_pictures(folder / "pictures", 34)
        return make_facts(make_study(40, folds=make_folds(680, files=files * 20)))
    if kind == "bare":
        study = make_study(1)
        return Facts(study, leaderboard(study))
    if kind == "unfit":
        return make_facts(make_study(20, "log_loss", make_folds(400)), Limits(2.0))
    return make_facts(make_study(20, "f1", make_folds(600, Labels(LONG))))


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a report, made once."""
    known: dict[str, str] = {}

    def address(kind: str) -> str:
        if kind not in known:
            folder = tmp_path_factory.mktemp("study")
            known[kind] = write_report(folder, made(kind, folder)).as_uri()
        return known[kind]

    return address


@SIZES
@SCHEMES
@pytest.mark.parametrize("kind", ["whole", "bare", "unfit", "classes"])
def test_all_can_be_read(
    visit: Visit, page_of: Callable[[str], str], kind: str, size: tuple[int, int], scheme: str
) -> None:
    with visit(page_of(kind), size, scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.evaluate(WIDER) == []
        found = page.evaluate(CONTRASTS)
        assert len(found) > 25 and [c for c in found if c[0] < 4.5] == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("[...document.images].every((i) => i.naturalWidth > 0 && i.alt)")


@SIZES
@pytest.mark.parametrize("kind", ["whole", "unfit", "classes"])
def test_no_word_of_a_chart_covers_another(
    visit: Visit, page_of: Callable[[str], str], kind: str, size: tuple[int, int]
) -> None:
    with visit(page_of(kind), size) as page:
        assert page.evaluate(COVERED) == []
        small = "[...document.querySelectorAll('figure.chart:not(.wide) text')].map((t) => "
        heights = page.evaluate(small + "t.getBoundingClientRect().height)")
        assert min(heights) > 12, "letters stay as large as beside the chart"


@SIZES
def test_the_first_screen_answers_what_is_asked(
    visit: Visit, page_of: Callable[[str], str], size: tuple[int, int]
) -> None:
    with visit(page_of("whole"), size) as page:
        asked = ["q-better", "q-cost", "q-test", "q-next"]
        texts = [page.locator(f"#{name}").inner_text() for name in asked]
        assert texts == ["Is something better?", "What it costs", "On unseen pictures", "What next"]
        boxes = [page.locator(f"#{name}").bounding_box() for name in asked]
        assert all(box["y"] + box["height"] < size[1] for box in boxes)
        first = page.locator(".next li").first
        assert first.bounding_box()["y"] + 40 < size[1], "what to do first can be read, too"


@SCHEMES
def test_it_prints_dark_on_white(visit: Visit, page_of: Callable[[str], str], scheme: str) -> None:
    with visit(page_of("whole"), DESKTOP, scheme) as page:
        page.emulate_media(media="print", color_scheme=scheme)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        assert [c for c in page.evaluate(CONTRASTS) if c[0] < 4.5] == []
        assert len(page.pdf()) > 10_000


def test_without_scripts_all_is_there(browser: Any, page_of: Callable[[str], str]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_of("whole"))
    assert page.locator("script").count() == 0
    assert page.locator("figure.chart > svg, .scroll > svg").count() == 8
    assert page.locator("#leaderboard tr.chosen").count() == 1
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy and "script-src" not in policy
    context.close()


@SCHEMES
def test_the_pictures_stand_alone(visit: Visit, page_of: Callable[[str], str], scheme: str) -> None:
    folder = Path(page_of("whole").removeprefix("file://")).parent / "report"
    grounds = {"light": "rgb(251, 249, 245)", "dark": "rgb(25, 23, 20)"}
    paper = "getComputedStyle(document.querySelector('.paper')).fill"
    outside = """[...document.querySelectorAll('text')].filter((t) => {
      const a = t.getBoundingClientRect(), b = document.documentElement.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1; }).map((t) => t.textContent)"""
    files = sorted(folder.iterdir())
    with visit(files[0].as_uri(), DESKTOP, scheme) as page:
        for file in files:
            page.goto(file.as_uri())
            assert page.evaluate(paper) == grounds[scheme]
            assert page.evaluate(outside) == [], file.name
