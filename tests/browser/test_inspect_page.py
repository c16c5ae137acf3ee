"""The page of tensors in a browser: on a phone and a desktop, light, dark, printed; clicking."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from page_checks import CONTRASTS, NAMELESS, WIDER
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.inspect_tensors import Way, follow, pixel_at, write_html
from pizzaiolo.inspect_tensors.slots import slots_of
from toy_predictor import predictor

Visit = Callable[..., AbstractContextManager[Any]]
PHONE, DESKTOP = (360, 740), (1280, 800)
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
PREPROCESS = {
    "crop": Preprocess(64, 72, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "pad": Preprocess(64, 64, mode="pad"),
}
# Texts and colours of all slots; the first of each key.
SLOTS = """() => Object.fromEntries([...document.querySelectorAll("[data-k]")].reverse().map((e) =>
  [e.dataset.k, [e.textContent, e.style.background]]))"""


def waves(width: int, height: int) -> Image.Image:
    """A picture whose every pixel is another."""
    y, x = np.indices((height, width))
    parts = [np.sin(x / 9 + y / 31), np.cos(x / 5 - y / 17), np.sin(y / 7) * np.cos(x / 23)]
    return Image.fromarray(np.rint(127.5 + 127.5 * np.stack(parts, 2)).astype(np.uint8))


@pytest.fixture(scope="module", params=PREPROCESS)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Way:
    """A turned photo on its way, with two stages of feature maps."""
    path, exif = tmp_path_factory.mktemp("way") / "my photo & <b>me.png", Image.Exif()
    exif[0x0112] = 6
    waves(301, 203).save(path, exif=exif)
    noise = np.random.default_rng(0)
    maps = [noise.random((1, 20, side, side), np.float32) - 0.3 for side in (32, 4)]
    return replace(follow(predictor(preprocess=PREPROCESS[request.param]), path), maps=maps)


@pytest.fixture(scope="module")
def address(way: Way, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "way.html"
    write_html(path, way, pixel_at(way))
    return path.as_uri()


@SIZES
@SCHEMES
def test_all_can_be_read(visit: Visit, address: str, size: tuple[int, int], scheme: str) -> None:
    with visit(address, size, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.evaluate(WIDER) == []
        found = page.evaluate(CONTRASTS)
        assert len(found) > 150 and [c for c in found if c[0] < 4.5] == []
        assert page.evaluate(NAMELESS) == []
        shown = "[...document.images].filter((i) => !i.hidden)"
        assert page.evaluate(f"{shown}.length") > 30
        assert page.evaluate(f"{shown}.every((i) => i.naturalWidth > 0 && i.alt)")


def test_the_first_screen_shows_photo_verdict_and_way(visit: Visit, address: str) -> None:
    with visit(address, DESKTOP) as page:
        for name in (".first img", ".way .verdict", ".way li:last-child"):
            box = page.locator(name).bounding_box()
            assert box["y"] + box["height"] < DESKTOP[1], name
        page.get_by_role("link", name="embedding").click()
        assert page.locator("#embedding").bounding_box()["y"] < 100


def told(page: Any) -> dict[str, tuple[str, str]]:
    """What stands in the slots, with the colour under it as the browser writes it."""
    return {key: tuple(value) for key, value in page.evaluate(SLOTS).items()}


def expected(way: Way, place: tuple[int, int]) -> dict[str, tuple[str, str]]:
    slots = slots_of(way, pixel_at(way, place))
    colours = {k: f"rgb({r}, {g}, {b})" for k, (r, g, b) in slots.colours.items()}
    return {key: (text, colours.get(key, "")) for key, text in slots.texts.items()}


def choose(page: Any, x: int, y: int) -> None:
    page.locator("#pick-x").fill(str(x))
    page.locator("#pick-y").fill(str(y))


def test_the_page_starts_with_the_numbers_of_the_middle(
    visit: Visit, address: str, way: Way
) -> None:
    with visit(address) as page:
        assert told(page) == expected(way, (32, 32))


@pytest.mark.parametrize("place", [(0, 0), (63, 63), (1, 62), (20, 41), (63, 5)])
def test_another_pixel_has_the_numbers_that_python_computes(
    visit: Visit, address: str, way: Way, place: tuple[int, int]
) -> None:
    with visit(address) as page:
        page.locator("body.live").wait_for()
        choose(page, *place)
        assert told(page) == expected(way, place)


def test_the_ring_on_the_photo_hides_where_the_input_was_padded(
    visit: Visit, address: str, way: Way
) -> None:
    with visit(address) as page:
        page.locator("body.live").wait_for()
        ring = page.locator("#pixels .spot")
        for place in ((0, 0), (32, 32)):
            choose(page, *place)
            assert ring.is_visible() == (pixel_at(way, place).picture is not None)


@SIZES
def test_a_click_chooses_the_pixel_under_it(
    visit: Visit, address: str, way: Way, size: tuple[int, int]
) -> None:
    with visit(address, size) as page:
        page.locator("body.live").wait_for()
        picture = page.locator("#seen-pixels")
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        one = box["width"] / 64
        picture.click(position={"x": 40.5 * one, "y": 11.5 * one})
        assert told(page) == expected(way, (40, 11))
        assert page.locator("#pick-x").input_value() == "40"
        ring = page.locator(".pick .spot").bounding_box()
        assert ring["x"] + ring["width"] / 2 == pytest.approx(box["x"] + 40.5 * one, abs=1)


def test_a_number_that_is_too_large_is_the_last_pixel(visit: Visit, address: str, way: Way) -> None:
    with visit(address) as page:
        page.locator("body.live").wait_for()
        choose(page, 4000, 3)
        assert told(page) == expected(way, (63, 3))
        page.locator("#pick-x").fill("")
        assert told(page) == expected(way, (63, 3))


def test_without_javascript_all_but_choosing_is_there(browser: Any, address: str, way: Way) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert not page.locator(".with-js").first.is_visible()
    assert page.locator("table.numbers").is_visible() and page.locator(".maps img").count() == 24
    for key, (text, _) in expected(way, (32, 32)).items():
        assert page.locator(f'[data-k="{key}"]').first.text_content() == text
    context.close()


@pytest.mark.parametrize("width", [360, 760, 1280])
def test_the_numbers_of_a_pixel_are_seen_whole(visit: Visit, address: str, width: int) -> None:
    with visit(address, (width, 800)) as page:
        room = "(e) => e.scrollWidth - e.clientWidth"
        assert page.locator("#one-pixel .scroll").evaluate(room) <= 0
        assert page.locator("#probabilities .scroll").evaluate(room) <= 0


@SCHEMES
def test_it_prints_dark_on_white(visit: Visit, address: str, scheme: str) -> None:
    with visit(address, DESKTOP, scheme) as page:
        page.emulate_media(media="print", color_scheme=scheme)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        assert [c for c in page.evaluate(CONTRASTS) if c[0] < 4.5] == []
        assert not page.locator(".fields").is_visible()
        assert len(page.pdf()) > 10_000


def test_nothing_but_its_own_script_runs(visit: Visit, address: str) -> None:
    with visit(address, expected="Content Security Policy") as page:
        policy = page.locator("meta[http-equiv]").get_attribute("content")
        assert "default-src 'none'" in policy and "script-src 'sha256-" in policy
        asked = "fetch('https://example.org/').then(() => 'got', () => 'refused')"
        assert page.evaluate(asked) == "refused"
        assert page.locator("h1").inner_text() == "From photo to answer"
        assert "my photo & <b>me.png" in page.locator("header").inner_text()
