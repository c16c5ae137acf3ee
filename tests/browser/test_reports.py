"""Both reports, made from rendered pictures and seen in a browser."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import pizzaiolo

Visit = Callable[..., AbstractContextManager[Any]]
WIDTHS = {"desktop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="session")
def reports(photos: Path, starter: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("reports")
    pizzaiolo.prepare(photos, folder / "data")
    pizzaiolo.evaluate(starter, folder / "data", folder / "test")
    return [folder / "data" / "report.html", folder / "test" / "report.html"]


@pytest.mark.parametrize("which", [0, 1], ids=["prepare", "evaluate"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_whole(
    visit: Visit, reports: list[Path], which: int, width: str, scheme: str
) -> None:
    with visit(reports[which].as_uri(), WIDTHS[width], scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width][0]
        pictures = page.evaluate(
            "[...document.images].map((i) => [i.naturalWidth, i.alt, i.src.slice(0, 11)])"
        )
        assert len(pictures) > 5
        assert all(wide > 0 and alt and start == "data:image/" for wide, alt, start in pictures)


@pytest.mark.parametrize("which", [0, 1], ids=["prepare", "evaluate"])
def test_no_text_is_cut_or_overlaid(visit: Visit, reports: list[Path], which: int) -> None:
    with visit(reports[which].as_uri()) as page:
        wide = "[...document.querySelectorAll('main *')].filter((e) => e.scrollWidth > 1280).length"
        assert page.evaluate(wide) == 0
        assert page.locator("h1").count() == 1 and page.locator("h2").count() >= 4


def test_reports_say_what_was_found(visit: Visit, reports: list[Path]) -> None:
    with visit(reports[0].as_uri()) as page:
        text = page.locator("main").inner_text()
        assert all(word in text for word in ("Exact duplicate", "Conflict", "pizza/half_sent.jpg"))
    with visit(reports[1].as_uri()) as page:
        text = page.locator("main").inner_text()
        assert "95 % interval" in text and "Mistakes" in text
