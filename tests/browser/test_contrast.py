"""Every text colour of the pages against every ground it lies on: at least 4.5 to 1 (WCAG AA)."""

import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pizzaiolo"
PAGES = {"report": SRC / "core/templates/base.css", "page": SRC / "core/templates/answers.css"}
TEXTS = ("ink", "soft", "accent", "good", "bad")


def colours(text: str, dark: bool) -> dict[str, str]:
    """The custom properties of :root, as name -> #rrggbb."""
    roots = re.findall(r":root \{([^}]*)\}", text)
    return dict(re.findall(r"--([\w-]+): (#\w+)", roots[0] + (roots[1] if dark else "")))


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_text_can_be_read(page: str, dark: bool) -> None:
    found = colours(PAGES[page].read_text(), dark)
    pairs = [(text, ground) for text in TEXTS for ground in ("paper", "card")]
    pairs += [("warn", "paper"), ("warn", "card")] if "warn" in found else []
    pairs += [("on-accent", "accent")] if "on-accent" in found else []
    pairs += [("soft", "line")] if page == "report" else [("ink", "line")]
    weak = {p: round(contrast(found[p[0]], found[p[1]]), 2) for p in pairs}
    assert {p: c for p, c in weak.items() if c < 4.5} == {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_the_review_sheet_adds_can_be_read(dark: bool) -> None:
    style = (SRC / "prepare/review/style.css").read_text()
    found = colours(PAGES["report"].read_text(), dark) | colours(style, dark)
    pairs = [("paper", ground) for ground in ("ink", "good", "bad", "accent", "change")]
    pairs += [(text, "tint") for text in ("ink", "soft", "accent")]
    weak = {p: round(contrast(found[p[0]], found[p[1]]), 2) for p in pairs}
    assert {p: c for p, c in weak.items() if c < 4.5} == {}


def test_the_measure_knows_black_on_white() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
