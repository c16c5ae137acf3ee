"""The data report: every reason, group and class shown, everything escaped, no network."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pizzaiolo.config import PrepareConfig
from pizzaiolo.prepare import report
from pizzaiolo.prepare.run import prepare


@pytest.fixture(scope="module")
def page(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path_factory: pytest.TempPathFactory
) -> str:
    folder = tmp_path_factory.mktemp("report")
    source = make_folder(folder / "s", ("<b>bold", "pizza"))
    with Image.open(source / "pizza/0.png") as picture:
        picture.resize((160, 128)).save(source / "pizza/twin.jpg", quality=80)
        picture.save(source / "pizza/copy & paste.png")
    (source / "pizza/<script>alert(1)<\u2215script>.jpg").write_text("no picture")
    Image.new("RGB", (64, 64)).save(source / "pizza/black.png")
    prepare(source, folder / "D", replace(alone, size=64))
    page = (folder / "D/report.html").read_text(encoding="utf-8")
    return page.replace("<wbr>", "")  # where a long path may break


def test_names_are_escaped(page: str) -> None:
    assert "<script" not in page and "<b>bold" not in page
    assert "&lt;script&gt;alert(1)" in page and "&lt;b&gt;bold" in page


def test_the_report_needs_no_network(page: str) -> None:
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|url\(", page)


def test_every_rejection_is_shown_with_its_reason(page: str) -> None:
    for words in (
        "Not an image",
        "Blank",
        "Exact duplicate",
        "copy of pizza/0.png",
        "copy &amp; paste",
    ):
        assert words in page
    assert "grey values spread by 0.0 of 255" in page


def test_look_alikes_stand_side_by_side(page: str) -> None:
    """Pain: near-duplicate thresholds nobody can check; pairs are shown."""
    pairs = page[page.index("Look-alikes kept together") :]
    assert "pizza/twin.jpg" in pairs and pairs.count('class="pair"') == 1
    assert "Leak:" not in page


def test_a_long_list_is_cut_with_a_count(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(report, "MAX_PER_REASON", 2)
    source = make_folder(tmp_path / "s")
    for i in range(5):
        (source / f"a/bad{i}.jpg").write_text(f"no picture {i}")
    prepare(source, tmp_path / "D", alone)
    page = (tmp_path / "D/report.html").read_text(encoding="utf-8")
    assert "and 3 more: rejected.csv has them all" in page
    assert "bad1.jpg" in page and "bad2.jpg" not in page


@pytest.mark.parametrize("reason", report.REASONS)
def test_every_reason_is_explained(reason: str) -> None:
    assert report.REASONS[reason]
