"""The data report: every reason, group and class shown, everything escaped, no network."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from pizzaiolo.config import PrepareConfig
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset, Row
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
    prepare(source, folder / "D", replace(alone, size=64, features=False))
    page = (folder / "D/report.html").read_text(encoding="utf-8")
    return page.replace("<wbr>", "")  # where a long path may break


def test_names_are_escaped(page: str) -> None:
    assert "<script" not in page and "<b>bold" not in page
    assert "&lt;script&gt;alert(1)" in page and "&lt;b&gt;bold" in page


def test_the_report_needs_no_network(page: str) -> None:
    beside = r"(src|href)=\"(?!data:|review\.html\")"
    assert not re.search(rf"{beside}|https?://|@import|url\(", page)


def test_the_report_leads_to_the_review(page: str) -> None:
    assert page.count('href="review.html"') == 1


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
    prepare(source, tmp_path / "D", replace(alone, features=False))
    page = (tmp_path / "D/report.html").read_text(encoding="utf-8")
    assert "and 3 more: rejected.csv has them all" in page
    assert "bad1.jpg" in page and "bad2.jpg" not in page


# --- flags, sizes, before and after -------------------------------------------------------------


def report_of(root: Path, rows: list[Row], size: int = 256) -> str:
    """The report of pictures that were looked at."""
    Image.new("RGB", (80, 64), "red").save(root / "red.png")
    dataset = Dataset(root, Labels(("cake", "pizza")), {"size": size}, "f", tuple(rows))
    kept = sum(row.kept for row in rows)
    summary = {"found": len(rows), "kept": kept, "seconds": 1.0, "groups": 0,
               "splits": dataset.counts()}  # fmt: skip
    report.write_report(dataset, summary, [], {})
    return (root / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")


def kept_row(name: str, label: str = "pizza", **facts: Any) -> Row:
    return Row(name, label, split="train", group=name, file="red.png", **facts)


def section(page: str, title: str) -> str:
    return page.split(f"<h2>{title}</h2>")[1].split("<h2>")[0]


def test_flagged_pictures_are_shown_with_both_labels_the_surest_first(tmp_path: Path) -> None:
    rows = [kept_row("plain.jpg"), kept_row("other.jpg", "cake"),
            kept_row("odd.jpg", outlier=0.8), kept_row("odder.jpg", outlier=0.9),
            kept_row("wrong.jpg", label_suspect=0.5, suggested="cake"),
            kept_row("wrong too.jpg", label_suspect=0.95, suggested="cake")]  # fmt: skip
    page = report_of(tmp_path, rows)
    suspects, outliers = (
        section(page, "Labels that look wrong"),
        section(page, "Pictures unlike all others"),
    )
    assert re.findall(r"looks like cake|95.0 %|wrong too|50.0 %|wrong.jpg", suspects) == [
        "looks like cake", "95.0 %", "wrong too", "looks like cake", "50.0 %", "wrong.jpg"
    ]  # fmt: skip
    assert outliers.index("odder.jpg") < outliers.index("odd.jpg")
    assert "plain.jpg" not in suspects + outliers
    assert "<b>4</b><span>flagged" in page


def test_many_flagged_pictures_are_cut_with_a_count(tmp_path: Path) -> None:
    rows = [kept_row(f"{i}.jpg", outlier=0.5) for i in range(report.MAX_FLAGGED + 3)]
    odd = section(report_of(tmp_path, rows), "Pictures unlike all others")
    assert odd.count("<figure>") == report.MAX_FLAGGED and "and 3 more in the review" in odd


def test_nothing_flagged_is_said(tmp_path: Path) -> None:
    page = report_of(tmp_path, [kept_row("plain.jpg")])
    for title in ("Labels that look wrong", "Pictures unlike all others"):
        assert "None flagged." in section(page, title)


def test_sizes_are_counted_by_short_side(tmp_path: Path) -> None:
    sides = [(60, 900), (64, 64), (900, 127), (128, 128), (5000, 9000)]
    rows = [kept_row(f"{w}.jpg", width=w, height=h) for w, h in sides]
    rows += [Row("gone.jpg", "cake", "rejected", "blank", width=300, height=300)]
    found = section(report_of(tmp_path, rows), "Size and quality")
    assert re.findall(r"<td>([^<]+)</td><td class=\"n\">(\d+)", found) == [
        ("under 64", "1"), ("64 to 127", "2"), ("128 to 255", "1"), ("256 to 511", "0"),
        ("512 to 1023", "0"), ("1024 to 2047", "0"), ("2048 to 4095", "0"), ("4096 and more", "1"),
    ]  # fmt: skip
    assert "4 pictures are smaller than the 256 pixels" in found


def test_poor_pictures_are_counted_by_what_they_have(tmp_path: Path) -> None:
    rows = [kept_row("a.jpg", quality="blurry, dark"), kept_row("b.jpg", quality="dark")]
    rows += [kept_row("c.jpg"), Row("d.jpg", "cake", "rejected", "blank", quality="dark")]
    found = section(report_of(tmp_path, rows), "Size and quality")
    assert re.findall(r"<b>(\w+)</b> <span class=\"soft\">(\d+)", found) == [
        ("Dark", "2"), ("Blurry", "1")
    ]  # fmt: skip


def test_what_was_found_stands_beside_what_is_kept(tmp_path: Path) -> None:
    rows = [kept_row(f"{i}.jpg") for i in range(3)]
    rows += [Row(f"bad{i}.jpg", "pizza", "rejected", "blank") for i in range(2)]
    row = section(report_of(tmp_path, rows), "Classes and splits").split("<td>pizza</td>")[1]
    assert re.findall(r"class=\"n\">(\d+)<", row) == ["5", "3", "3", "0", "0"]
    assert 'class="gone" style="flex:2 0 0"' in row


@pytest.mark.parametrize("reason", report.REASONS)
def test_every_reason_is_explained(reason: str) -> None:
    assert report.REASONS[reason]


def test_look_alikes_under_two_labels_are_listed_with_both(
    make_folder: Callable[..., Path], alone: PrepareConfig, tmp_path: Path
) -> None:
    source = make_folder(tmp_path / "s", ("pizza", "other"))
    with Image.open(source / "pizza/0.png") as picture:
        ImageOps.mirror(picture).save(source / "other/twin.png")
    made = prepare(source, tmp_path / "D", replace(alone, size=64))
    page = (tmp_path / "D/report.html").read_text(encoding="utf-8").replace("<wbr>", "")
    part = page.split("The same picture under two labels?")[1].split("<h2>")[0]
    assert "2 pictures in 1 groups" in part and "other and pizza" in part
    assert "other/twin.png" in part and "pizza/0.png" in part
    assert made["kept"] == made["found"]  # shown, and not rejected


def test_no_such_section_without_them(page: str) -> None:
    assert "under two labels?" not in page
