"""The review sheet used by a person: keys, clicks, saving, and what the next run makes of it."""

import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pizzaiolo.core.manifest import Dataset, Row
from pizzaiolo.prepare.decisions import Decision, read_decisions, write_decisions
from pizzaiolo.prepare.run import prepare
from toy_review import CONFIG, HOSTILE, Reviewable, make_reviewable, served, show

Visit = Callable[..., AbstractContextManager[Any]]
WIDTHS = {"desktop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Reviewable:
    return make_reviewable(tmp_path_factory.mktemp("review"))


@pytest.fixture
def sheet(made: Reviewable) -> str:
    return (made.root / "review.html").as_uri()


def card(page: Any, path: str, section: str = "all") -> Any:
    """The card of a picture in a section."""
    name = page.locator(".name").get_by_text(path, exact=True)
    return page.locator(f"#{section} .card").filter(has=name).first


def state(page: Any, path: str, section: str = "all") -> str:
    return str(card(page, path, section).get_attribute("data-state"))


def count(page: Any) -> str:
    return str(page.locator("#count").inner_text())


def download(page: Any, act: Callable[[], None]) -> Path:
    """The file that the page saves."""
    with page.expect_download() as saved:
        act()
    return Path(saved.value.path())


# --- deciding -----------------------------------------------------------------------------------


def test_a_click_relabels_and_shows_it_everywhere(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        suspect = card(page, "pizza/2.png", "suspects")
        assert suspect.locator(".tag").all_inner_texts() == [
            "labelled\nPizza", "looks like, 95 %\nNot pizza"
        ]  # fmt: skip
        button = suspect.get_by_role("button", name="→ Not pizza")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert suspect.locator(".stamp").inner_text() == "now Not pizza"
        assert state(page, "pizza/2.png") == "relabel"
        assert count(page).startswith("1 decision: 1 relabel · 5 of 6 flagged pictures left")
        assert page.locator("#said").text_content() == "pizza/2.png: now Not pizza"
        button.click()
        assert state(page, "pizza/2.png") == "" and count(page).startswith("No decisions yet")


def test_keys_move_decide_and_undo(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        card(page, "pizza/2.png", "suspects").focus()
        page.keyboard.press("d")  # drops, and goes on to the next
        page.keyboard.press("y")
        page.keyboard.press("1")
        states = [state(page, p) for p in ("pizza/2.png", "not_pizza/2.png", "pizza/3.png")]
        assert states == ["drop", "keep", "relabel"]
        assert count(page).startswith("3 decisions: 1 keep, 1 drop, 1 relabel")
        page.keyboard.press("u")
        page.keyboard.press("Control+z")
        assert [state(page, p) for p in ("pizza/2.png", "not_pizza/2.png")] == ["drop", ""]
        focused = page.locator(":focus")
        assert focused.get_attribute("aria-label").startswith("not_pizza/2.png, labelled")
        page.keyboard.press("k")
        page.keyboard.press("d")  # the same key again takes it back
        assert state(page, "pizza/2.png") == "" and count(page).startswith("No decisions yet")
        page.keyboard.press("r")
        assert state(page, "pizza/2.png") == "relabel"


@pytest.mark.parametrize("keys", [("j", "k"), ("n", "p"), ("ArrowRight", "ArrowLeft")])
def test_the_focus_moves_over_all_sections_and_can_be_seen(
    visit: Visit, sheet: str, keys: tuple[str, str]
) -> None:
    with visit(sheet) as page:
        seen = []
        for _ in range(8):
            page.keyboard.press(keys[0])
            focused = page.locator(":focus")
            seen.append((focused.get_attribute("data-item"), focused.evaluate(SECTION)))
            assert focused.evaluate("e => getComputedStyle(e).outlineWidth") == "3px"
            box, bar = focused.bounding_box(), page.locator("#bar").bounding_box()
            assert bar["y"] + bar["height"] <= box["y"] < WIDTHS["desktop"][1]
        assert [s for _, s in seen[:6]] == [*["conflicts"] * 2, *["suspects"] * 3, "outliers"]
        page.keyboard.press(keys[1])
        again = page.locator(":focus")
        assert (again.get_attribute("data-item"), again.evaluate(SECTION)) == seen[-2]


GROUND = "e => getComputedStyle(e).backgroundColor"
SECTION = "e => e.closest('section').id"


def test_up_and_down_stay_in_the_column(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        cards = page.locator("#all .card")
        cards.nth(1).focus()
        left = cards.nth(1).bounding_box()["x"]
        page.keyboard.press("ArrowDown")
        below = page.locator(":focus").bounding_box()
        assert below["x"] == left and page.locator(":focus").evaluate("e => e !== null")
        page.keyboard.press("ArrowUp")
        assert cards.nth(1).evaluate("e => e === document.activeElement")


def test_keeping_one_side_settles_a_conflict(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        right = card(page, "pizza/argued.png", "conflicts")
        right.get_by_role("button", name="Keep").click()
        other = card(page, "not_pizza/argued.png", "conflicts")
        assert right.locator(".stamp").inner_text() == "kept as Pizza"
        assert other.locator(".stamp").inner_text() == "stays out"
        assert "4 of 6 flagged pictures left" in count(page)
        row = page.locator("#balance-body tr").filter(has_text=re.compile("^Pizza"))
        assert row.locator("td").all_inner_texts()[2:5] == ["18", "19", "+1"]
        before, after = (bar.bounding_box() for bar in row.locator(".pair i").all())
        assert before["width"] < after["width"]
        grounds = [b.evaluate(GROUND) for b in row.locator(".pair i").all()]
        assert len(set(grounds)) == 2 and "rgba(0, 0, 0, 0)" not in grounds


def test_looking_closer_shows_the_facts_and_decides(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        card(page, "pizza/5.png").locator(".picture").click()
        loupe = page.locator("#loupe")
        assert "80 x 64 pixels" in loupe.inner_text() and "pizza/5.png" in loupe.inner_text()
        loupe.get_by_role("button", name="Drop").click()
        assert state(page, "pizza/5.png") == "drop"
        assert loupe.locator(".stamp").inner_text() == "dropped"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("y")  # and on to the next
        assert "pizza/7.png" in loupe.inner_text()
        page.keyboard.press("Escape")
        page.locator("#all .card:focus[aria-label^='pizza/7.png']").wait_for()
        assert state(page, "pizza/6.png") == "keep"


def test_undecided_only_hides_what_is_done(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        card(page, "pizza/2.png", "suspects").focus()
        page.keyboard.press("d")
        assert page.locator("#suspects .card").count() == 3  # nothing jumps away under the hand
        page.keyboard.press("f")
        assert page.locator("#suspects .card").count() == 2
        assert card(page, "pizza/2.png", "all").count() == 0
        page.get_by_role("button", name="Undecided only").click()
        assert page.locator("#suspects .card").count() == 3


def test_what_can_not_be_decided_takes_no_key(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        page.locator("#rejected summary", has_text="Unreadable").click()
        card(page, "pizza/broken.jpg", "rejected").focus()
        for key in "yd12":
            page.keyboard.press(key)
        assert count(page).startswith("No decisions yet")
        page.locator("#rejected summary", has_text="Blank").click()
        card(page, "not_pizza/blank.png", "rejected").focus()
        page.keyboard.press("d")
        page.keyboard.press("y")
        assert count(page).startswith("1 decision: 1 keep")


def test_a_reload_loses_nothing(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        card(page, "pizza/2.png", "suspects").focus()
        page.keyboard.press("d")
        page.reload()
        assert state(page, "pizza/2.png") == "drop" and count(page).startswith("1 decision")


# --- saving -------------------------------------------------------------------------------------


def decide_much(page: Any) -> None:
    """One decision of each kind, and one on each hostile name."""
    card(page, "pizza/2.png", "suspects").get_by_role("button", name="→ Not pizza").click()
    card(page, "pizza/argued.png", "conflicts").get_by_role("button", name="Keep").click()
    card(page, "not_pizza/3.png", "outliers").get_by_role("button", name="Drop").click()
    page.locator("#rejected summary", has_text="Blank").click()
    card(page, "not_pizza/blank.png", "rejected").get_by_role("button", name="Keep").click()
    for name in HOSTILE:
        item = page.evaluate("p => data_items().findIndex((i) => i.path === p)", f"pizza/{name}")
        page.locator(f'#all .card[data-item="{item}"]').focus()
        page.keyboard.press("d")


ITEMS = "window.data_items = () => JSON.parse(document.getElementById('data').textContent).items"


def test_the_saved_file_replays_to_what_was_decided(
    visit: Visit, made: Reviewable, sheet: str, tmp_path: Path
) -> None:
    with visit(sheet) as page:
        page.evaluate(ITEMS)
        decide_much(page)
        saved = download(page, lambda: page.keyboard.press("s"))
        assert "9 decisions saved" in page.locator("#message").inner_text()
        assert "--decisions decisions.csv" in page.locator("#message code").inner_text()
        assert page.locator("#save").inner_text() == "Saved"
        static = saved.read_bytes()
    with served(made.root) as (address, process), visit(address) as page:
        page.evaluate(ITEMS)
        decide_much(page)
        page.get_by_role("button", name="Save").click()
        file = made.root / "decisions.csv"
        page.locator("#message", has_text=f"9 decisions saved to {file}").wait_for()
        assert process.stderr and "9 decisions saved to" in process.stderr.readline()
    assert file.read_bytes() == static

    shas = {row.path: row.sha256 or "" for row in Dataset.open(made.root).rows}
    expected = [
        Decision("not_pizza/3.png", "not_pizza", shas["not_pizza/3.png"], "drop"),
        Decision("not_pizza/blank.png", "not_pizza", shas["not_pizza/blank.png"], "keep"),
        Decision("pizza/2.png", "pizza", shas["pizza/2.png"], "relabel", "not_pizza"),
        Decision("pizza/argued.png", "pizza", shas["pizza/argued.png"], "keep"),
        *[Decision(p, "pizza", shas[p], "drop") for p in map("pizza/{}".format, HOSTILE)],
    ]
    assert sorted(read_decisions(file), key=str) == sorted(expected, key=str)
    write_decisions(tmp_path / "by hand.csv", expected)
    prepare(made.source, tmp_path / "A", CONFIG, decisions=file)
    prepare(made.source, tmp_path / "B", CONFIG, decisions=tmp_path / "by hand.csv")
    again = Dataset.open(tmp_path / "A")
    assert again.fingerprint == Dataset.open(tmp_path / "B").fingerprint
    assert read_decisions(tmp_path / "A" / "decisions.csv") == read_decisions(file)
    rows = {row.path: row for row in again.rows}
    assert (rows["pizza/2.png"].label, rows["pizza/2.png"].kept) == ("not_pizza", True)
    assert rows["pizza/argued.png"].kept and rows["not_pizza/blank.png"].kept
    assert all(rows[f"pizza/{name}"].reason == "dropped" for name in HOSTILE)
    file.unlink()


def test_the_server_gives_back_what_was_saved(visit: Visit, made: Reviewable) -> None:
    sha = next(r.sha256 or "" for r in Dataset.open(made.root).rows if r.path == "pizza/5.png")
    file, stranger = made.root / "decisions.csv", Decision("gone.png", "pizza", "00", "drop")
    write_decisions(file, [stranger, Decision("pizza/5.png", "pizza", sha, "drop")])
    with served(made.root) as (address, _), visit(address) as page:
        assert state(page, "pizza/5.png") == "drop"
        card(page, "pizza/5.png").focus()
        page.keyboard.press("d")
        page.keyboard.press("s")
        page.locator("#message", has_text="1 decision saved").wait_for()
        assert page.locator("#message code").inner_text().endswith(f"--decisions {file}")
    assert read_decisions(file) == [stranger]  # what is not on the page is not lost
    file.unlink()


def test_a_server_that_is_gone_is_told_and_nothing_is_lost(visit: Visit, made: Reviewable) -> None:
    refused = "net::ERR_CONNECTION_REFUSED"
    with served(made.root) as (address, process), visit(address, expected=refused) as page:
        card(page, "pizza/2.png", "suspects").focus()
        page.keyboard.press("d")
        process.send_signal(signal.SIGINT)
        process.wait(20)
        page.keyboard.press("s")
        page.locator("#message.failed", has_text="does not answer").wait_for()
        assert page.locator("#save").inner_text() == "Save"
        assert state(page, "pizza/2.png") == "drop"


def test_applied_decisions_are_shown_and_can_be_taken_back(
    visit: Visit, made: Reviewable, tmp_path: Path
) -> None:
    shas = {row.path: row.sha256 or "" for row in Dataset.open(made.root).rows}
    relabelled = Decision("pizza/6.png", "pizza", shas["pizza/6.png"], "relabel", "not_pizza")
    applied = [Decision("pizza/5.png", "pizza", shas["pizza/5.png"], "drop"), relabelled]
    write_decisions(tmp_path / "d.csv", applied)
    prepare(made.source, tmp_path / "D", CONFIG, decisions=tmp_path / "d.csv")
    show(made.source, tmp_path / "D", applied)
    with visit((tmp_path / "D" / "review.html").as_uri()) as page:
        assert count(page).startswith("2 decisions: 1 drop, 1 relabel")
        other = card(page, "pizza/6.png")
        assert other.locator(".tag").inner_text() == "Not pizza"
        other.focus()
        page.keyboard.press("2")
        assert other.locator(".stamp").inner_text() == "kept as Pizza"
        page.locator("#rejected summary", has_text="Dropped").click()
        dropped = card(page, "pizza/5.png", "rejected")
        dropped.get_by_role("button", name="Drop").click()
        assert dropped.locator(".stamp").inner_text() == "comes back"
        saved = download(page, lambda: page.get_by_role("button", name="Save").click())
        kept = replace(relabelled, decision="keep", new_label="")
        assert read_decisions(saved) == [kept]


# --- the look of it -----------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sheet_is_whole(visit: Visit, sheet: str, width: str, scheme: str) -> None:
    with visit(sheet, WIDTHS[width], scheme) as page:
        page.locator("#rejected summary").first.click()
        page.keyboard.press("j")
        page.keyboard.press("y")
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width][0]
        for picture in page.locator("#suspects img, #conflicts img").all():
            picture.scroll_into_view_if_needed()
            assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
            assert picture.get_attribute("alt")
        for control in page.locator("button:visible, select:visible, a:visible").all():
            assert control.get_attribute("aria-label") or control.text_content().strip()


def test_hostile_names_are_shown_as_they_are(visit: Visit, sheet: str) -> None:
    with visit(sheet) as page:
        shown = page.locator("#all .name").all_text_contents()
        assert {f"pizza/{name}" for name in HOSTILE} <= set(shown)
        assert page.locator("#all .name bdi").count() == len(shown)


def test_thousands_of_pictures_are_shown_a_part_at_a_time(
    visit: Visit, made: Reviewable, tmp_path: Path, make_many: Callable[[Path], Path]
) -> None:
    with visit(make_many(tmp_path).as_uri()) as page:
        assert page.locator("#all h2 .n").inner_text() == "3,000"
        first = page.locator("#all .card").count()
        assert 0 < first < 1000
        page.locator("#all .card").last.focus()
        page.keyboard.press("j")
        assert page.locator(":focus").evaluate("e => e.closest('section').id") == "all"
        assert page.locator("#all .card").count() > first


def test_a_jump_to_a_section_stays_there(
    visit: Visit, made: Reviewable, tmp_path: Path, make_many: Callable[[Path], Path]
) -> None:
    with visit(make_many(tmp_path).as_uri()) as page:
        page.locator("#chips a", has_text="Outliers").click()
        page.wait_for_timeout(150)  # what is made on scrolling above must not push it away
        bar, section = (page.locator(s).bounding_box() for s in ("#bar", "#outliers"))
        assert bar["y"] == 0 and bar["height"] <= section["y"] < bar["height"] + 60


@pytest.fixture
def make_many(made: Reviewable) -> Callable[[Path], Path]:
    """Writes the sheet of three thousand pictures of twelve classes, without the pictures."""
    from pizzaiolo.core.labels import Labels
    from pizzaiolo.prepare.review.sheet import write_review

    def make(root: Path) -> Path:
        names = tuple(f"class_{i:02}" for i in range(12))
        flags = {"label_suspect": 0.5, "suggested": names[11]}
        rows = [Row(f"{i:04}.jpg", names[i % 12], sha256=f"{i:064}", group=str(i), split="train",
                    **flags if i < 200 else {}) for i in range(3000)]  # fmt: skip
        dataset = replace(
            Dataset.open(made.root), root=root, labels=Labels(names), rows=tuple(rows)
        )
        write_review(dataset, {"found": 3000, "kept": 3000}, [], {})
        return root / "review.html"

    return make


def test_many_classes_are_chosen_from_a_list(
    visit: Visit, make_many: Callable[[Path], Path], tmp_path: Path
) -> None:
    with visit(make_many(tmp_path).as_uri()) as page:
        suspect = page.locator("#suspects .card").first
        suspect.locator("select").select_option("class_10")
        assert suspect.locator(".stamp").inner_text() == "now Class 10"
        suspect.focus()
        page.keyboard.press("r")  # what it looks like
        assert suspect.locator(".stamp").inner_text() == "now Class 11"
        suspect.focus()
        page.keyboard.press("9")
        assert suspect.locator(".stamp").inner_text() == "now Class 08"
