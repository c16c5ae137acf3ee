"""The pictures of the page: as large as the budget allows, and never more than that."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pizzaiolo.evaluate.report.facts import Facts, Shown
from pizzaiolo.evaluate.report.gallery import LEVELS, MOST_ASPECT, album, by_bucket
from toy_report import CARD, facts, mistake, photo, result


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def addresses(made: Facts, budget: int) -> list[str]:
    found = album(made, budget)
    groups = (*found.groups, *found.changed)
    cards = [card for group in groups for card in group["pictures"]]
    every = [*cards, *(n for card in cards for n in card["near"]), *found.strip, *found.unsure]
    return [card[key] for card in every for key in ("picture", "heat") if card.get(key)]


@pytest.mark.parametrize("budget", [330_000, 700_000, 3_000_000])
def test_pictures_are_as_large_as_the_budget_allows(budget: int) -> None:
    made = replace(facts(12), leaks=())
    found, sizes = album(made, budget), list(map(len, addresses(made, budget)))
    assert found.size == sum(sizes) <= budget and not found.lost
    level = next(i for i, level in enumerate(LEVELS) if level.large == found.side)
    assert level == 0 or found.size > 0.4 * budget, "a larger one would have had no room"


def test_what_has_no_room_at_any_size_is_counted() -> None:
    made = facts(12)
    found = album(made, 60_000)
    assert found.lost > 0 and found.side == LEVELS[-1].large
    assert found.size < 60_000 + 20_000 and found.groups[0]["pictures"][0]["picture"]


def test_a_long_picture_shows_its_middle() -> None:
    image = Image.new("RGB", (900, 100), "red")
    image.paste("blue", (400, 0, 500, 100))
    made = Facts(result(1), CARD, mistakes=[replace(mistake(0), picture=image, heat=None, near=())])
    small = opened(album(made).groups[0]["pictures"][0]["picture"])
    assert small.size == (MOST_ASPECT * 100, 100)
    red, _, blue = small.convert("RGB").getpixel((100, 50))  # type: ignore[misc]
    assert blue > red


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_a_picture_of_any_mode_is_shown(mode: str) -> None:
    shown = replace(mistake(0), picture=photo(0).convert(mode), heat=photo(1).convert(mode))
    card = album(Facts(result(1), CARD, mistakes=[shown])).groups[0]["pictures"][0]
    assert opened(card["picture"]).mode == opened(card["heat"]).mode == "RGB"


def test_a_picture_that_is_gone_leaves_its_card(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    for path in (tmp_path / "gone.png", tmp_path / "broken.jpg"):
        shown = replace(mistake(0), picture=path)
        found = album(Facts(result(1), CARD, mistakes=[shown]))
        assert found.groups[0]["pictures"][0]["picture"] is None and not found.lost


def test_an_unknown_bucket_is_shown_with_the_others() -> None:
    shown = [replace(mistake(i), bucket="?") for i in range(2)]
    groups = album(Facts(result(2), CARD, mistakes=shown)).groups
    assert [(g["name"], len(g["pictures"])) for g in groups] == [("", 2)]


def test_the_order_is_that_of_the_page() -> None:
    made: list[Shown] = [mistake(i) for i in range(7)]
    found = album(Facts(result(7), CARD, mistakes=made))
    shown = [card["shown"] for group in found.groups for card in group["pictures"]]
    assert shown == by_bucket(made) and [card["shown"] for card in found.strip] == shown[:4]
