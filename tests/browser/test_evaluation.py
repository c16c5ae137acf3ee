"""The test report in a browser: on a phone and a desktop, light, dark and printed; marking."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from page_checks import CONTRASTS, NAMELESS, WIDER
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.evaluate.mistakes import WRONG_LABEL
from pizzaiolo.evaluate.report import Facts, Shown, write_html
from pizzaiolo.evaluate.report.marks import Marks, read_marks
from pizzaiolo.prepare.decisions import Decision, read_decisions
from pizzaiolo.prepare.run import prepare
from toy_report import CARD, HOSTILE, LABELS, doubtful, facts, photo, plain_facts, result
from toy_review import CONFIG, Reviewable, make_reviewable
from toy_review import HOSTILE as REVIEWED

Visit = Callable[..., AbstractContextManager[Any]]
PHONE, DESKTOP = (360, 740), (1280, 800)
SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

OUTSIDE = "fetch('https://example.org/').then(() => 'got', () => 'refused')"


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The address of a report, made once."""
    made: dict[str, str] = {}
    kinds: dict[str, Callable[[], Facts]] = {
        "all": facts,
        "doubtful": doubtful,
        "plain": lambda: plain_facts(Path("data")),
    }

    def address(kind: str) -> str:
        if kind not in made:
            path = tmp_path_factory.mktemp("page") / "report.html"
            write_html(path, kinds[kind]())
            made[kind] = path.as_uri()
        return made[kind]

    return address


# --- seen -----------------------------------------------------------------------------------------


@SIZES
@SCHEMES
@pytest.mark.parametrize("kind", ["all", "doubtful", "plain"])
def test_all_can_be_read(
    visit: Visit, page_of: Callable[[str], str], kind: str, size: tuple[int, int], scheme: str
) -> None:
    with visit(page_of(kind), size, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.evaluate(WIDER) == []
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        found = page.evaluate(CONTRASTS)
        assert len(found) > 40 and [c for c in found if c[0] < 4.5] == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("[...document.images].every((i) => i.naturalWidth > 0 && i.alt)")


@SIZES
def test_the_first_screen_answers_four_questions(
    visit: Visit, page_of: Callable[[str], str], size: tuple[int, int]
) -> None:
    with visit(page_of("all"), size) as page:
        seen = {
            page.locator(f"#{name}").inner_text(): page.locator(f"#{name}").bounding_box()
            for name in ("q-good", "q-sure", "q-wrong", "q-next")
        }
        assert list(seen) == ["How good", "How sure", "Where wrong", "What next"]
        assert all(box["y"] + box["height"] < size[1] for box in seen.values())
        first = page.locator(".next li").first
        assert first.bounding_box()["y"] + 40 < size[1], "what to do first can be read, too"


def test_nothing_is_asked_of_the_network(browser: Any, tmp_path: Path) -> None:
    write_html(tmp_path / "report.html", doubtful())
    context, asked = browser.new_context(), []
    page = context.new_page()

    def stop(route: Any) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    page.route("**/*", stop)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert asked == [] and faults == []
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy and "unsafe-inline'; script" in policy
    assert page.evaluate(OUTSIDE) == "refused" and asked == []
    context.close()


def test_hostile_names_run_nothing(visit: Visit, page_of: Callable[[str], str]) -> None:
    with visit(page_of("doubtful")) as page:
        assert page.evaluate("typeof boom") == "undefined"
        paths = page.locator("#mistakes .path").all_text_contents()
        assert sorted(paths) == sorted(HOSTILE)


@SCHEMES
def test_it_prints_dark_on_white_without_what_can_not_be_pressed(
    visit: Visit, page_of: Callable[[str], str], scheme: str
) -> None:
    with visit(page_of("all"), DESKTOP, scheme) as page:
        page.emulate_media(media="print", color_scheme=scheme)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        assert [c for c in page.evaluate(CONTRASTS) if c[0] < 4.5] == []
        for gone in ("nav", "#bar", ".choices"):
            assert not page.locator(gone).first.is_visible()
        assert page.locator("#mistakes .card").count() == 5
        assert len(page.pdf()) > 10_000


def test_without_javascript_all_but_marking_is_there(browser: Any, tmp_path: Path) -> None:
    write_html(tmp_path / "report.html", facts())
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert (
        page.locator("#mistakes .card").count() == 5 and page.locator(".chart > svg").count() == 12
    )
    assert not page.locator("#bar").is_visible() and page.locator(".choices").count() == 0
    assert "needs JavaScript" in page.locator("#mistakes").inner_text()
    context.close()


# --- marking --------------------------------------------------------------------------------------


def card(page: Any, path: str) -> Any:
    return page.locator("#mistakes .card").filter(
        has=page.locator(".path").get_by_text(path, exact=True)
    )


def saved(page: Any, folder: Path, act: Callable[[], None]) -> Path:
    """The decisions.csv that the page saves."""
    with page.expect_download() as download:
        act()
    assert download.value.suggested_filename == "decisions.csv"
    download.value.save_as(folder / "decisions.csv")
    return folder / "decisions.csv"


def test_a_click_marks_and_takes_back(visit: Visit, page_of: Callable[[str], str]) -> None:
    with visit(page_of("all")) as page:
        first = page.locator("#m0")
        button = first.get_by_role("button", name="→ Not pizza")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert first.locator(".stamp").inner_text() == "now Not pizza"
        assert page.locator("#count").inner_text() == "1 picture marked"
        assert page.locator("#spoken").text_content().endswith(": now Not pizza")
        button.click()
        assert first.get_attribute("data-state") == "" and not first.locator(".stamp").is_visible()
        assert page.locator("#count").inner_text() == "Wrong labels? Mark them here."
        assert page.locator("#save").is_disabled()


def test_keys_mark_move_and_undo(visit: Visit, page_of: Callable[[str], str]) -> None:
    with visit(page_of("all")) as page:

        def states() -> list[str]:
            return [c.get_attribute("data-state") or "" for c in page.locator(".card[id]").all()]

        page.keyboard.press("d")  # nothing has the focus: nothing happens
        assert states() == [""] * 5
        page.keyboard.press("j")
        assert page.locator(":focus").get_attribute("id") == "m0"
        for key in ("d", "y", "r", "1"):
            page.keyboard.press(key)
        assert states()[:3] == ["drop", "keep", "relabel"]
        assert page.locator(":focus").get_attribute("id") == "m4"
        page.keyboard.press("u")
        page.keyboard.press("u")
        assert states() == ["drop", "keep", "", "", ""]
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("k")
        page.keyboard.press("k")
        page.keyboard.press("d")  # the same key again takes it back, and stays
        assert states() == ["", "keep", "", "", ""]
        assert page.locator(":focus").get_attribute("id") == "m0"
        page.keyboard.press("?")
        assert "relabel to Pizza" in page.locator("#keys").inner_text()
        page.keyboard.press("Escape")
        assert not page.locator("#keys").is_visible()


def test_marks_stay_until_they_are_saved(browser: Any, tmp_path: Path) -> None:
    write_html(tmp_path / "report.html", facts())
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("#m1").get_by_role("button", name="Drop").click()
    page.reload()
    assert page.locator("#m1").get_attribute("data-state") == "drop"
    file = saved(page, tmp_path, lambda: page.locator("#save").click())
    assert [line.decision for line in read_decisions(file)] == ["drop"]
    assert page.locator("#save").inner_text() == "Saved"
    message = page.locator("#message").inner_text()
    assert "pizzaiolo prepare photos --out 'my data' --decisions decisions.csv" in message
    context.close()


def test_many_classes_are_in_a_list(visit: Visit, tmp_path: Path) -> None:
    names = (*LABELS.names, *(f"class {i}" for i in range(12)))
    labels = replace(LABELS, names=names, positive=None)
    made = facts()
    write_html(tmp_path / "r.html", replace(made, card=made.card.with_(labels=labels)))
    with visit((tmp_path / "r.html").as_uri()) as page:
        page.locator("#m0 select").select_option("class 7")
        assert page.locator("#m0 .stamp").inner_text() == "now Class 7"
        file = saved(page, tmp_path, lambda: page.locator("#save").click())
        assert read_decisions(file)[0].new_label == "class 7"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Reviewable:
    return make_reviewable(tmp_path_factory.mktemp("marked"))


def wrong(dataset: Dataset, paths: list[str], marks: Marks) -> Facts:
    """A report in which these pictures are mistakes."""
    rows = {row.path: row for row in dataset.rows if row.kept}
    mistakes = [
        Shown(
            path=path, truth=rows[path].label, predicted="pizza", picture=photo(1),
            probabilities={"not_pizza": 0.1, "pizza": 0.9}, bucket=WRONG_LABEL,
            sha256=rows[path].sha256 or "",
        )
        for path in paths
    ]  # fmt: skip
    return Facts(result(len(paths)), CARD, mistakes=mistakes, marks=marks)


def test_prepare_replays_what_was_marked_by_keyboard(
    visit: Visit, made: Reviewable, tmp_path: Path
) -> None:
    dataset = Dataset.open(made.root)
    hostile = f"pizza/{REVIEWED[3]}"
    paths = ["not_pizza/5.png", "not_pizza/6.png", "not_pizza/7.png", hostile]
    earlier = ("pizza/8.png", "pizza", "", "drop", "")
    marks = replace(read_marks(dataset), lines=(earlier,))
    write_html(tmp_path / "report.html", wrong(dataset, paths, marks))
    with visit((tmp_path / "report.html").as_uri()) as page:
        page.keyboard.press("n")
        for key in ("r", "y", "d", "1"):
            page.keyboard.press(key)
        file = saved(page, tmp_path, lambda: page.keyboard.press("s"))
    shas = {row.path: row.sha256 for row in dataset.rows}
    assert read_decisions(file) == [
        Decision(*earlier),
        Decision(paths[0], "not_pizza", shas[paths[0]] or "", "relabel", "pizza"),
        Decision(paths[1], "not_pizza", shas[paths[1]] or "", "keep"),
        Decision(paths[2], "not_pizza", shas[paths[2]] or "", "drop"),
        Decision(hostile, "pizza", shas[hostile] or "", "relabel", "not_pizza"),
    ]
    prepare(made.source, tmp_path / "data", CONFIG, file)
    after = {row.path: row for row in Dataset.open(tmp_path / "data").rows}
    assert after[paths[0]].label == "pizza" and after[hostile].label == "not_pizza"
    assert after[paths[1]].kept and after[paths[1]].label == "not_pizza"
    assert [after[p].reason for p in (paths[2], "pizza/8.png")] == ["dropped", "dropped"]
