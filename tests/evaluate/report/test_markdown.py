"""The Markdown: the same figures, and no name that is taken for markup."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pizzaiolo.evaluate.report import Facts, write_markdown
from pizzaiolo.evaluate.report.markdown import code, markdown, plain, table
from toy_report import CARD, HOSTILE, doubtful, facts, mistake, result

READER = MarkdownIt("commonmark").enable("table")


def test_it_has_the_figures_of_the_page(tmp_path: Path) -> None:
    write_markdown(tmp_path / "report.md", facts())
    text = (tmp_path / "report.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings == [
        "What next", "Measures", "Which is taken for which", "Classes", "Confidence", "Threshold",
        "Unlike training", "Kinds of pictures", "Robustness", "Compared with another model",
        "Mistakes",
    ]  # fmt: skip
    for said in ("95 % interval 95.5 % to 99.5 %", "| 0.975 | 0.955 to 0.995 |",
                 "temperature 1.40", "Within noise of old run", "the other says Not pizza",
                 "dark, up to 0.31", "| blur | 97.0 % | 95.0 %"):  # fmt: skip
        assert said in text


def test_what_is_not_there_is_left_out() -> None:
    text = markdown(Facts(result(0), CARD))
    assert re.findall(r"^## (.+)$", text, re.M) == [
        "What next", "Measures", "Which is taken for which", "Classes", "Mistakes"
    ]  # fmt: skip
    assert text.endswith("licence Apache-2.0.\n") and "\n\n\n" not in text and "None." in text


def test_doubts_stand_at_the_top() -> None:
    text = markdown(doubtful()).split("## What next")[0]
    assert text.count("> **Doubtful.**") == 3


def test_hostile_names_stay_text() -> None:
    html = READER.render(markdown(doubtful()))
    assert "<img" not in html and "<script" not in html and "\u202e" not in html
    assert "&lt;img src=x onerror=boom()&gt;.png" in html
    rows = html.split("<h2>Mistakes</h2>")[1].count("<tr>")
    assert rows == 1 + len(HOSTILE), "a bar or a new line in a name ends no cell and no row"


@given(st.text(max_size=60))
def test_any_text_stays_text(text: str) -> None:
    rendered = READER.render(table(("a", "b"), [(plain(text), 1)]))
    assert rendered.count("<td") == 2 and rendered.count("<tr") == 2
    inside = rendered.split("<td>")[1].split("</td>")[0]
    assert not re.search(r"<(?!/?p>)", inside)


@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=30))
def test_a_command_ends_no_block(text: str) -> None:
    rendered = READER.render(code(f"pizzaiolo {text}"))
    assert rendered.count("<pre>") == 1 and rendered.endswith("</code></pre>\n")


def test_many_mistakes_are_counted() -> None:
    made = facts(5, result=result(7))
    assert "and 2 more: predictions.parquet" in markdown(made)


@pytest.mark.parametrize("bucket", ["", "hard", "?"])
def test_a_mistake_may_have_any_bucket(bucket: str) -> None:
    made = replace(facts(), mistakes=[replace(mistake(0), bucket=bucket)])
    assert f"| {'Hard' if bucket == 'hard' else ''} |" in markdown(made).split("## Mistakes")[1]


def test_means_stand_under_more_than_two_classes() -> None:
    means = {
        name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("precision", "recall", "f1")
    }
    each = {"precision": None, "recall": 0.5, "f1": 0.25, "support": 3}
    told = {"per_class": dict.fromkeys("abc", each), "averages": {"macro": means},
            "top_k": {"2": {"value": 0.875, "low": 0.8, "high": 0.9}}}  # fmt: skip
    text = markdown(Facts(result(**told), CARD))
    assert "| A | 3 | undefined | 0.500 | 0.250 |" in text
    assert "| mean, classes alike | 200 | 0.500 | 0.500 | 0.500 |" in text
    assert "| top-2 accuracy | 0.875 | 0.800 to 0.900 |" in text
    two = dict.fromkeys(("a", "b"), each)
    assert "mean," not in markdown(Facts(result(**{**told, "per_class": two}), CARD))
