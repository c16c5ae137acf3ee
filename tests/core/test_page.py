"""Pages: everything escaped, pictures inside, no network."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from pizzaiolo.core.page import thumbnail, write_page

jinja2 = pytest.importorskip("jinja2")

ATTACK = """<script>alert("x")</script>' onload='alert(1)"""
TEMPLATE = (
    '{% extends "base.html" %}{% block body %}<p title="{{ name }}">{{ name }}</p>'
    "{{ 0.1234 | percent }} {{ 1234567 | number }}{% endblock %}"
)
VALUES = {"title": "T", "subtitle": "S", "version": "0", "name": "plain"}


def written(folder: Path, **values: str) -> str:
    (folder / "page.html").write_text(TEMPLATE)
    write_page(folder / "out.html", folder / "page.html", {**VALUES, **values})
    return (folder / "out.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["title", "subtitle", "version", "name"])
def test_every_value_is_escaped(tmp_path: Path, key: str) -> None:
    page = written(tmp_path, **{key: ATTACK})
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "' onload='" not in page


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert not re.search(r"https?://|<link|<script|@import|url\(", page)
    assert "12.3 %" in page and "1,234,567" in page


def test_a_missing_value_is_an_error_and_leaves_no_page(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '{% extends "base.html" %}{% block body %}{{ gone }}{% endblock %}'
    )
    with pytest.raises(jinja2.UndefinedError, match="gone"):
        write_page(tmp_path / "out.html", tmp_path / "page.html", VALUES)
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    ("size", "shown"), [((800, 400), (320, 160)), ((100, 50), (100, 50)), ((160, 900), (160, 900))]
)
@pytest.mark.parametrize("as_file", [True, False])
def test_thumbnails_shrink_and_never_grow(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int], as_file: bool
) -> None:
    image = Image.new("RGB", size, (200, 30, 30))
    image.save(tmp_path / "p.png")
    address = thumbnail(tmp_path / "p.png" if as_file else image, 160)
    head, _, data = (address or "").partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == shown and small.format == "JPEG"


def test_a_thumbnail_of_no_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("text")
    assert thumbnail(tmp_path / "bad.jpg") is None and thumbnail(tmp_path / "gone.jpg") is None
