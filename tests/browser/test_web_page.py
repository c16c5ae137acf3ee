"""The exported page with the real runtime: answers in the browser, the same as Python's."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from page_checks import DROP, answered
from pizzaiolo.export.web import export_web
from pizzaiolo.export.web_runtime import NAME, VERSION
from pizzaiolo.starter import load
from toy_web import hosting

Visit = Callable[..., AbstractContextManager[Any]]
DESKTOP, PHONE = (1280, 800), (390, 844)
PASTE = """([type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "", { type }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
}"""


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real runtime from npm's own cache or its registry; skips where neither has it."""
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "pack", f"{NAME}@{VERSION}", "--prefer-offline", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{NAME} can't be fetched with npm: {error}")
    return next(folder.glob("*.tgz"))


@pytest.fixture(scope="module")
def folder(starter: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("web") / "page"
    export_web(starter, page, runtime=runtime)
    return page


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with hosting(folder) as address:
        yield address


@pytest.fixture(scope="module")
def loaded(visit: Visit, address: str) -> Iterator[Any]:
    """One page for many tests: loading it takes two seconds. Its faults show at the end."""
    with visit(address) as page:
        page.locator("#state", has_text="Ready").wait_for()
        yield page


@pytest.fixture
def page(loaded: Any) -> Any:
    """The loaded page without answers."""
    if loaded.locator("#clear").is_visible():
        loaded.click("#clear")
    return loaded


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def facts(card: Any) -> dict[str, Any]:
    """All figures of an answer on the page."""
    found: dict[str, Any] = json.loads(card.locator(".body").get_attribute("data-answer"))
    return found


def test_photos_get_the_answers_that_python_gives(page: Any, starter: Path, photos: Path) -> None:
    files = [
        photos / kind / f"{kind}_00{n}.jpg" for kind in ("pizza", "not_pizza") for n in (10, 11)
    ]
    expected = list(load(starter).predict_many(files))
    page.set_input_files("#files", files)
    answered(page, len(files))
    cards = list(reversed(page.locator(".answer").all()))
    for card, file, answer in zip(cards, files, expected, strict=True):
        assert card.locator(".name").inner_text() == file.name
        assert card.locator(".verdict").inner_text() == answer.verdict
        assert answer.probabilities
        for name, share in facts(card)["probabilities"].items():
            assert share == pytest.approx(answer.probabilities[name], abs=1e-3)
    assert page.locator("#counts").inner_text().startswith("4 photos: ")
    page.click("#clear")
    assert page.locator(".answer").count() == 0
    assert not page.locator("#summary").is_visible()


@pytest.mark.parametrize("kind", ["alpha", "turned", "tall", "grey", "palette"])
def test_odd_pictures_get_the_answers_that_python_gives(
    page: Any, starter: Path, pizza_file: Path, tmp_path: Path, kind: str
) -> None:
    image, file = Image.open(pizza_file), tmp_path / "odd.png"
    if kind == "alpha":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    elif kind == "tall":
        image = image.resize((90, 1500))
    elif kind != "turned":
        image = image.convert({"grey": "L", "palette": "P"}[kind])
    exif = Image.Exif()
    exif[0x0112] = 6 if kind == "turned" else 1
    image.save(file, exif=exif)
    expected = load(starter).predict(file)
    assert expected.probabilities
    page.set_input_files("#files", file)
    received = facts(answered(page))
    assert received["label"] == expected.label and received["reason"] == expected.reason
    for name, share in received["probabilities"].items():
        assert share == pytest.approx(expected.probabilities[name], abs=1e-3)


def test_it_works_from_a_disk(visit: Visit, folder: Path, pizza_file: Path, starter: Path) -> None:
    with visit((folder / "index.html").as_uri()) as page:
        page.set_input_files("#files", pizza_file)
        verdict = answered(page).locator(".verdict").inner_text()
        assert verdict == load(starter).predict(pizza_file).verdict
        assert page.title() == "Pizza, or not? · pizzaiolo"


def test_an_isolated_page_computes_in_threads(
    visit: Visit, folder: Path, pizza_file: Path, starter: Path
) -> None:
    with hosting(folder, isolated=True) as address, visit(address) as page:
        page.set_input_files("#files", pizza_file)
        received = facts(answered(page))
        assert page.evaluate("crossOriginIsolated")
        cores = page.evaluate("navigator.hardwareConcurrency")
        assert page.locator("#loading").get_attribute("data-threads") == str(min(4, cores))
    expected = load(starter).predict(pizza_file).confidence
    assert received["confidence"] == pytest.approx(expected, abs=1e-3)


def test_it_asks_for_nothing_once_it_is_loaded(page: Any, pizza_file: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_input_files("#files", pizza_file)
    answered(page)
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []


def test_it_could_not_send_anything(visit: Visit, address: str) -> None:
    with visit(address, expected="Content Security Policy") as page:
        sent = page.evaluate("fetch('index.html').then(() => 'sent', () => 'refused')")
        assert sent == "refused"


def test_a_dropped_and_a_pasted_photo_are_answered(page: Any, pizza_file: Path) -> None:
    page.evaluate(DROP, ["dinner.jpg", "image/jpeg", encoded(pizza_file)])
    assert answered(page).locator(".name").inner_text() == "dinner.jpg"
    page.evaluate(PASTE, ["image/jpeg", encoded(pizza_file)])
    assert answered(page, 2).locator(".name").inner_text() == "pasted photo"


def test_a_photo_from_the_camera_is_answered(page: Any) -> None:
    page.click("#open-camera")
    page.locator("#shoot:enabled").click()
    assert answered(page).locator(".name").inner_text() == "camera photo"
    assert not page.locator("#camera").is_visible()
    assert page.evaluate("document.querySelector('#view').srcObject") is None


def test_a_refused_camera_is_told(visit: Visit, address: str) -> None:
    with visit(address) as page:
        page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(); }")
        page.click("#open-camera")
        page.locator("#camera-problem", has_text="can't be used").wait_for()
        page.keyboard.press("Escape")
        assert not page.locator("#camera").is_visible()


@pytest.mark.parametrize("content", [b"Flour, water, salt, yeast.", b"", b"\xff\xd8\xff\xe0 half"])
def test_a_wrong_file_shows_why_and_stops_no_other(
    page: Any, tmp_path: Path, pizza_file: Path, content: bytes
) -> None:
    (tmp_path / "recipe.jpg").write_bytes(content)
    page.set_input_files("#files", [tmp_path / "recipe.jpg", pizza_file])
    answered(page, 2)
    bad = page.locator(".answer").last
    assert bad.locator(".verdict").inner_text() == "No answer"
    assert "can't open the file" in bad.locator(".message").inner_text()
    assert page.locator(".answer").first.locator(".name").inner_text() == pizza_file.name


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_page_with_a_hole_says_so(
    visit: Visit, folder: Path, tmp_path: Path, pizza_file: Path, damage: str
) -> None:
    shutil.copytree(folder, copy := tmp_path / "copy")
    file = copy / "parts" / "model-1.js"
    if damage == "missing":
        file.unlink()
    else:
        text = file.read_text()
        file.write_text(text[:1000] + text[1400:])
    with hosting(copy) as address, visit(address, expected="404") as page:
        page.locator("#notice", has_text="The model can't be loaded").wait_for()
        assert damage in page.locator("#notice").inner_text()
        page.set_input_files("#files", pizza_file)
        assert damage in answered(page).inner_text()


def test_noise_in_what_a_page_reads_is_told(visit: Visit, address: str) -> None:
    """A browser that guards against fingerprints changes pixels; the page finds out."""
    noisy = """
      const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;
      OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...box) {
        const image = read.apply(this, box);
        image.data[5] ^= 1;
        return image;
      };
    """
    with visit("about:blank") as page:
        page.add_init_script(
            "const make = Blob; self.Blob = class extends make { constructor(parts, about) {"
            f"super(about ? [{json.dumps(noisy)}, ...parts] : parts, about); }} }};"
        )
        page.goto(address)
        page.locator("#notice", has_text="changes what a page reads").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_on_a_phone(
    visit: Visit, address: str, pizza_file: Path, scheme: str
) -> None:
    with visit(address, PHONE, scheme) as page:
        page.set_input_files("#files", pizza_file)
        answered(page)
        page.click("#about")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit: Visit, address: str) -> None:
    with visit(address) as page:
        page.locator("#state", has_text="Ready").wait_for()
        reached = []
        for _ in range(4):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id"))
            mark = "document.activeElement.id === 'files' ? document.querySelector('#choose')"
            outline = f"getComputedStyle({mark} : document.activeElement).outlineStyle"
            assert page.evaluate(outline) != "none", reached
        assert reached == ["files", "open-camera", "about", "licences"]


def test_agreement_on_shared_photos(page: Any, starter: Path, shared: Path) -> None:
    """The browser's own decoder reads real photos: the verdicts are Python's."""
    files = [
        file
        for kind in ("pizza", "not_pizza")
        for file in sorted((shared / "pizza_not_pizza" / kind).glob("*.jpg"))[:350:35]
    ]
    expected = list(load(starter).predict_many(files))
    page.set_input_files("#files", files)
    answered(page, len(files))
    received = [facts(card) for card in reversed(page.locator(".answer").all())]
    gaps = [
        abs(one["probabilities"]["pizza"] - (other.probabilities or {})["pizza"])
        for one, other in zip(received, expected, strict=True)
    ]
    assert [r["label"] for r in received] == [e.label for e in expected]
    assert float(np.max(gaps)) < 0.05
