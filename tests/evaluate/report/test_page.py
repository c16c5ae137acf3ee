"""The test report: whole in one file, and every mistake in it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.config import EvaluateConfig
from pizzaiolo.core.card import Card
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.core.preprocess import Preprocess
from pizzaiolo.evaluate.report import write_report
from pizzaiolo.evaluate.run import measure

CONFIG = EvaluateConfig(bootstrap=100)
CARD = Card(Labels(("not_pizza", "pizza"), positive="pizza"), Preprocess(), {"name": "cnn"})


@pytest.fixture
def table(tmp_path: Path) -> Predictions:
    """Twenty answers, of which the pictures 3, 8 and 13 are wrong, 8 the most confident."""
    truth, pizza = np.arange(20) % 2, np.where(np.arange(20) % 2, 0.9, 0.1)
    pizza[[3, 8, 13]] = 0.4, 0.99, 0.2
    for i in range(20):
        Image.new("RGB", (40, 30), (10 * i, 0, 0)).save(tmp_path / f"{i}.png")
    return Predictions(
        CARD.labels, "test", tuple(f"shot <{i}>.png" for i in range(20)), truth,
        np.stack([1 - pizza, pizza], axis=1), tuple(map(str, range(20))),
        tuple(str(tmp_path / f"{i}.png") for i in range(20)),
    )  # fmt: skip


def page(table: Predictions, folder: Path, card: Card = CARD, **facts: Any) -> str:
    result = {**measure(table, CONFIG), "leaks": 0, "same_data": True, **facts}
    config = EvaluateConfig(max_mistakes=facts.pop("max_mistakes", 60))
    write_report(folder / "report.html", table, result, card, config)
    return (folder / "report.html").read_text()


def shown(html: str, heading: str) -> list[str]:
    """The pictures' paths under a heading, in order."""
    part = html.split(f"<h2>{heading}")[1].split("<h2>")[0].replace("<wbr>", "")
    return re.findall(r"shot &lt;(\d+)&gt;\.png", part)


def test_it_needs_nothing_from_elsewhere(table: Predictions, tmp_path: Path) -> None:
    html = page(table, tmp_path)
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html)
    assert sources and all(s.startswith(("data:", "#")) for s in sources)
    assert not re.search(r"@import|url\(\s*['\"]?http|<link|<script[^>]+src", html)


def test_the_mistakes_are_all_there_the_most_confident_first(
    table: Predictions, tmp_path: Path
) -> None:
    """Pain: a gallery that shows the wrong thing."""
    html = page(table, tmp_path)
    assert shown(html, "Mistakes") == ["8", "13", "3"]
    wrong = table.predicted != table.truth
    assert [str(i) for i in np.flatnonzero(wrong)] == sorted(shown(html, "Mistakes"), key=int)
    part = html.split("<h2>Mistakes")[1].split("<h2>")[0]
    assert "99.0" in part and "said" in part, "both probabilities stand under the picture"


def test_a_picture_can_be_lost_and_the_report_still_written(
    table: Predictions, tmp_path: Path
) -> None:
    Path(table.files[8]).unlink()
    assert shown(page(table, tmp_path), "Mistakes") == ["8", "13", "3"]


def test_more_mistakes_than_fit_are_counted(table: Predictions, tmp_path: Path) -> None:
    html = page(table, tmp_path, max_mistakes=1)
    assert shown(html, "Mistakes") == ["8"] and "and 2 more" in html


def test_names_are_escaped(table: Predictions, tmp_path: Path) -> None:
    html = page(table, tmp_path)
    assert "<8>" not in html and "&lt;8&gt;" in html.replace("<wbr>", "")


def test_figures_stand_with_their_intervals(table: Predictions, tmp_path: Path) -> None:
    result, html = measure(table, CONFIG), page(table, tmp_path)
    for name in ("accuracy", "recall", "auroc", "ece"):
        low, high = (f"{result[name][end]:.3f}" for end in ("low", "high"))
        assert f"{low} to {high}" in html


def test_advice_follows_from_the_figures(table: Predictions, tmp_path: Path) -> None:
    assert "figures are too good" in page(table, tmp_path, leaks=3)
    assert "only the test split tells" in page(table, tmp_path, split="validation")
    assert "test on more" in page(table, tmp_path)


def test_no_mistakes_and_many_classes(tmp_path: Path) -> None:
    labels, truth = Labels(("a", "b", "c")), np.arange(30) % 3
    perfect = Predictions(
        labels, "test", tuple(map(str, range(30))), truth, np.eye(3)[truth],
        tuple(map(str, range(30))), ("gone.png",) * 30,
    )  # fmt: skip
    html = page(perfect, tmp_path, CARD.with_(labels=labels))
    assert "<p>None.</p>" in html and "ROC curve" not in html


def test_one_class_only_has_no_curve(table: Predictions, tmp_path: Path) -> None:
    from dataclasses import replace

    html = page(replace(table, truth=np.ones(20, int)), tmp_path)
    assert "ROC curve" not in html and "auroc" not in html.split("<h2>Measures")[1].split("<h2>")[0]
