"""The web page of a really running service, seen in a browser."""

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from page_checks import DROP, answered
from pizzaiolo.serve.keys import new_key
from pizzaiolo.starter import load

Visit = Callable[..., AbstractContextManager[Any]]
PHONE = (390, 844)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(serve: Callable[..., AbstractContextManager[Any]]) -> Iterator[str]:
    with serve("--max-bytes", "200000") as service:
        yield service.address


def test_a_chosen_photo_gets_its_verdict(
    visit: Visit, address: str, starter: Path, pizza_file: Path
) -> None:
    expected = load(starter).predict(pizza_file)
    with visit(address) as page:
        page.set_input_files("#files", pizza_file)
        card = answered(page)
        assert page.title() == "Pizza, or not? · pizzaiolo"
        assert card.locator(".verdict").inner_text() == expected.verdict
        assert card.locator(".name").inner_text() == pizza_file.name
        assert card.locator("img").get_attribute("alt") == pizza_file.name
        assert [row.split("\n")[0] for row in card.locator(".row").all_inner_texts()] == [
            "Pizza" if expected.label == "pizza" else "Not pizza",
            "Not pizza" if expected.label == "pizza" else "Pizza",
        ]
        spoken = page.locator("[role=status]").text_content()
        assert spoken.startswith(f"{pizza_file.name}: {expected.verdict}, ")


def test_a_dropped_photo_gets_its_verdict(visit: Visit, address: str, pizza_file: Path) -> None:
    with visit(address) as page:
        content = base64.b64encode(pizza_file.read_bytes()).decode()
        page.evaluate(DROP, ["dinner.jpg", "image/jpeg", content])
        card = answered(page)
        assert card.locator(".name").inner_text() == "dinner.jpg"
        assert card.locator(".verdict").inner_text() in ("Pizza", "Not pizza", "Not sure")
        assert page.locator(".over").count() == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Flour, water, salt, yeast.", "holds no picture"),
        (b"", "empty"),
        (b"x" * 300_000, "larger than 200,000 bytes"),
    ],
)
def test_a_wrong_file_shows_why(
    visit: Visit, address: str, tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "recipe.jpg").write_bytes(content)
    # The browser itself reports an answer of 4xx to its console; our own code must not.
    with visit(address, expected="the server responded with a status of 4") as page:
        page.set_input_files("#files", tmp_path / "recipe.jpg")
        card = answered(page)
        assert card.locator(".verdict").inner_text() == "No answer"
        assert words in card.locator(".message").inner_text()
        assert not card.locator("img").is_visible()
        assert words in page.locator("[role=status]").text_content()


def test_several_photos_are_answered_newest_first(visit: Visit, address: str, photos: Path) -> None:
    files = [photos / "pizza" / f"pizza_00{i}.jpg" for i in (10, 11, 12)]
    with visit(address) as page:
        page.set_input_files("#files", files)
        answered(page, 3)
        names = page.locator(".name").all_inner_texts()
        assert names == [f.name for f in reversed(files)]


def test_a_lost_service_is_told(visit: Visit, address: str, pizza_file: Path) -> None:
    with visit(address, expected="ERR_FAILED") as page:
        page.route("**/v1/predict", lambda route: route.abort())
        page.set_input_files("#files", pizza_file)
        assert "can't be reached" in answered(page).inner_text()


@pytest.mark.parametrize("path", ["/", "/docs", "/status"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_on_a_phone(
    visit: Visit, address: str, pizza_file: Path, path: str, scheme: str
) -> None:
    with visit(address + path, PHONE, scheme) as page:
        if path == "/":
            page.set_input_files("#files", pizza_file)
            answered(page)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


def test_a_wrong_answer_can_be_corrected(
    visit: Visit,
    serve: Callable[..., AbstractContextManager[Any]],
    pizza_file: Path,
    tmp_path: Path,
) -> None:
    with serve("--feedback", str(tmp_path)) as service, visit(service.address) as page:
        page.set_input_files("#files", pizza_file)
        card = answered(page)
        assert "Only those that you correct are kept" in page.locator("#privacy").inner_text()
        card.locator(".wrong summary").click()
        card.get_by_role("button", name="Not pizza").click()
        card.get_by_text("Kept as: Not pizza").wait_for()
        assert page.locator("[role=status]").text_content() == "Thank you. Kept as: Not pizza"
        (kept,) = tmp_path.rglob("*.*")
        assert kept.parent.name == "not_pizza" and kept.read_bytes() == pizza_file.read_bytes()


def test_a_photo_from_the_camera_is_answered(visit: Visit, address: str) -> None:
    with visit(address, expected="the server responded with a status of 4") as page:
        page.click("#open-camera")
        page.locator("#shoot:enabled").click()
        assert answered(page).locator(".name").inner_text() == "camera photo"
        assert not page.locator("#camera").is_visible()


def test_nothing_asks_for_corrections_where_none_are_kept(
    visit: Visit, address: str, pizza_file: Path
) -> None:
    with visit(address) as page:
        page.set_input_files("#files", pizza_file)
        assert answered(page).locator(".wrong").count() == 0
        assert "nothing is stored" in page.locator("#privacy").inner_text()


def test_a_browser_that_has_the_key_as_a_password_is_let_in(
    browser: Any,
    serve: Callable[..., AbstractContextManager[Any]],
    pizza_file: Path,
    tmp_path: Path,
) -> None:
    secret, key = new_key("ann")
    (tmp_path / "keys").write_text(str(key))
    with serve("--keys", str(tmp_path / "keys")) as service:
        context = browser.new_context(http_credentials={"username": "", "password": secret})
        page = context.new_page()
        page.goto(service.address)
        page.set_input_files("#files", pizza_file)
        assert answered(page).locator(".verdict").inner_text() in ("Pizza", "Not pizza", "Not sure")
        context.close()
        context = browser.new_context(http_credentials={"username": "x", "password": "wrong"})
        assert context.new_page().goto(service.address).status == 401
        context.close()


def test_the_keyboard_reaches_the_button_and_shows_it(visit: Visit, address: str) -> None:
    with visit(address) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "files"
        outline = "getComputedStyle(document.querySelector('.button')).outlineStyle"
        assert page.evaluate(outline) == "solid"


def test_a_person_sees_and_hears_what_the_model_looked_at(
    visit: Visit, address: str, pizza_file: Path
) -> None:
    with visit(address) as page:
        page.set_input_files("#files", pizza_file)
        card = answered(page)
        card.locator(".look summary").focus()
        page.keyboard.press("Enter")
        card.locator(".look figure").wait_for(timeout=30_000)
        drawn = card.locator(".look img")
        assert drawn.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 224
        said = card.locator(".look figcaption").inner_text()
        assert "speak for" in said or "speaks for" in said
        assert page.locator("[role=status]").text_content() == said
        page.keyboard.press("Enter")
        assert not card.locator(".look figure").is_visible()


def test_a_map_that_can_not_be_had_is_told_and_asked_for_again(
    visit: Visit, address: str, pizza_file: Path
) -> None:
    with visit(address, expected="status of 503") as page:
        page.set_input_files("#files", pizza_file)
        card = answered(page)
        page.route("**/v1/explain", lambda route: route.fulfill(status=503, json={}))
        card.locator(".look summary").click()
        card.get_by_text("The service is busy").wait_for()
        page.unroute("**/v1/explain")
        card.locator(".look summary").click()
        card.locator(".look summary").click()
        card.locator(".look figure").wait_for(timeout=30_000)
        assert card.locator(".look .message").count() == 0


def test_the_page_speaks_another_language(visit: Visit, address: str, pizza_file: Path) -> None:
    """docs/guide/translate.md: all words stand in three tables."""
    package = REPOSITORY / "src/pizzaiolo"
    words = (package / "core/templates/answers.js").read_text()
    texts = (package / "serve/page/app.js").read_text()
    german = 'said: { "Pizza": "Ja, Pizza", "Not pizza": "Keine Pizza", "Not sure": "Unsicher" },'
    words, texts = words.replace("said: {},", german), texts.replace('"Status"', '"Zustand"')
    assert german in words and "Zustand" in texts
    with visit("about:blank") as page:
        script = {"content_type": "text/javascript"}
        page.route("**/page/answers.js", lambda route: route.fulfill(body=words, **script))
        page.route("**/page/app.js", lambda route: route.fulfill(body=texts, **script))
        page.goto(address)
        page.get_by_text("Ja, Pizza, or not?").wait_for()
        assert page.locator("footer").inner_text().count("Zustand") == 1
        page.set_input_files("#files", pizza_file)
        verdict = answered(page).locator(".verdict").inner_text()
        assert verdict in ("Ja, Pizza", "Keine Pizza", "Unsicher")
