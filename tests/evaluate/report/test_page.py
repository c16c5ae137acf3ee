"""The page: whole in one file, every part where there are facts for it, every mistake in it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pizzaiolo.config import EvaluateConfig
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.evaluate.mistakes import HARD, UNLIKE, WRONG_LABEL
from pizzaiolo.evaluate.report import Facts, basic_facts, write_html
from pizzaiolo.evaluate.report.gallery import PAGE_BYTES
from pizzaiolo.evaluate.report.marks import Marks
from pizzaiolo.evaluate.report.page import SECTIONS
from pizzaiolo.evaluate.run import measure
from toy_report import CARD, HOSTILE, doubtful, facts, mistake, plain_facts, result

CONFIG = EvaluateConfig(bootstrap=100)


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


def of_answers(table: Predictions, folder: Path, most: int = 60, **changed: Any) -> str:
    """The page of answers alone."""
    found = {**measure(table, CONFIG), "leaks": 0, "same_data": True, **changed}
    card = CARD.with_(labels=table.labels)
    return of_facts(basic_facts(table, found, card, most), folder)


def of_facts(made: Facts, folder: Path) -> str:
    write_html(folder / "report.html", made)
    return (folder / "report.html").read_text().replace("\u00a0", " ")


def section(html: str, name: str) -> str:
    return html.split(f'<section id="{name}">')[1].split("\n</section>")[0]


def shown(html: str, name: str) -> list[str]:
    """The pictures' paths in a section, in order."""
    part = re.findall(r'class="path"><bdi[^>]*>(.*?)</bdi>', section(html, name))
    return [re.sub(r"<wbr>|\D", "", path.replace("&lt;", "")) for path in part]


def test_it_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    html = of_facts(doubtful(), tmp_path)
    sources = re.findall(r'(?:src|href|action)\s*=\s*"([^"]*)"', html)
    assert sources and all(s.startswith(("data:", "#")) for s in sources)
    assert not re.search(r"@import|url\(|<link(?! rel=\"icon\")|<script[^>]+src", html)


def test_the_mistakes_are_all_there_the_most_confident_first(
    table: Predictions, tmp_path: Path
) -> None:
    """Pain: a gallery that shows the wrong thing."""
    html = of_answers(table, tmp_path)
    assert shown(html, "mistakes") == ["8", "13", "3"]
    part = section(html, "mistakes")
    assert "Labelled" in part and "99.0 %" in part and "1.0 %" in part, "both probabilities"


def test_a_picture_can_be_lost_and_the_report_still_written(
    table: Predictions, tmp_path: Path
) -> None:
    Path(table.files[8]).unlink()
    html = of_answers(table, tmp_path)
    assert shown(html, "mistakes") == ["8", "13", "3"] and "no picture" in section(html, "mistakes")


def test_more_mistakes_than_fit_are_counted(table: Predictions, tmp_path: Path) -> None:
    html = of_answers(table, tmp_path, most=1)
    assert shown(html, "mistakes") == ["8"] and "and 2 more" in html


def test_right_but_unsure_answers_are_shown_the_least_sure_first(
    table: Predictions, tmp_path: Path
) -> None:
    assert shown(of_answers(table, tmp_path), "unsure")[:3] == ["0", "1", "2"]


def test_no_name_is_markup(tmp_path: Path) -> None:
    html = of_facts(doubtful(), tmp_path)
    assert "<img src=x" not in html and "<script>boom" not in html and "49.png" not in html
    assert len(re.findall(r"</script>", html)) == 2, "no name ends the data or the script"
    data = json.loads(re.findall(r'id="data" type="application/json">(.*?)</script>', html)[0])
    assert {item["path"] for item in data["items"]} == set(HOSTILE)


def test_figures_stand_with_their_intervals(table: Predictions, tmp_path: Path) -> None:
    found, html = measure(table, CONFIG), of_answers(table, tmp_path)
    for name in ("accuracy", "recall", "auroc", "ece"):
        low, high = (f"{found[name][end]:.3f}" for end in ("low", "high"))
        assert f"{low} to {high}" in section(html, "measures")


def test_the_first_screen_answers_four_questions(tmp_path: Path) -> None:
    html = of_facts(facts(), tmp_path).split("<nav")[0]
    asked = re.findall(r'<h2 id="q-\w+">([^<]+)</h2>', html)
    assert asked == ["How good", "How sure", "Where wrong", "What next"]
    for said in (
        "97.5 %", "95.5 % to 99.5 %",  # how good
        "98.9 %", "It answers 90.5 %", "not sure 9.5 %", "1.2 points", "6.0 points before",
        "2 perhaps wrong labels", "2 unlike training", "1 hard", "3 times",  # where wrong
        "<span>--decisions</span> <span>decisions.csv</span>",
    ):  # fmt: skip
        assert said in html, said


def test_without_a_decision_it_says_how_many_are_not_sure(tmp_path: Path) -> None:
    html = of_facts(facts(decision=None), tmp_path).split("<nav")[0]
    assert 'answers of 200 are "Not sure"' in html.replace("&#34;", '"')


def test_calibration_that_changed_nothing_is_not_spoken_of_as_a_change(tmp_path: Path) -> None:
    found = facts().calibration
    assert found is not None
    none = replace(found, method="none", note="no temperature does better")
    html = of_facts(facts(calibration=none), tmp_path)
    assert "before calibration" not in html and "left as it is: no temperature" in html
    vector = of_facts(facts(calibration=replace(found, method="vector")), tmp_path)
    assert "with a scale and an offset for each class, and 0.060 without" in vector


PARTS = {
    "unsure": {"unsure": ()}, "confidence": {"calibration": None, "decision": None},
    "decision": {"decision": None, "roc": ()}, "novelty": {"novelty": None},
    "slices": {"slices": ()}, "robustness": {"robustness": None},
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_what_is_not_there_is_left_out(name: str, tmp_path: Path) -> None:
    whole, without = of_facts(facts(), tmp_path), of_facts(facts(**PARTS[name]), tmp_path)
    for mark in (f'<section id="{name}">', f'href="#{name}"'):
        assert mark in whole and mark not in without


def test_the_links_lead_to_the_sections_that_are_there(tmp_path: Path) -> None:
    for made in (facts(), doubtful(), plain_facts(tmp_path)):
        html = of_facts(made, tmp_path)
        links = re.findall(r'href="#([^"]+)"', html)
        assert links and set(links) <= set(re.findall(r'\bid="([^"]+)"', html))
        ids = re.findall(r'<section id="([^"]+)">', html)
        assert ids == [name for name in SECTIONS if name in ids]


def test_facts_without_any_option_make_a_page(tmp_path: Path) -> None:
    html = of_facts(plain_facts(tmp_path), tmp_path)
    assert "<p>None.</p>" in html and "<script>" not in html and "<figure" not in html


def test_mistakes_stand_under_what_is_behind_them(tmp_path: Path) -> None:
    part = section(of_facts(facts(6), tmp_path), "mistakes")
    groups = re.findall(r'<h3 id="b-(\w+)">.*?<span class="n">(\d+)</span>', part)
    assert groups == [(WRONG_LABEL, "2"), (UNLIKE, "2"), (HARD, "2")]
    assert part.count('alt="Training picture labelled') == 30
    assert part.count("Heat map: which parts speak for") == 6


def test_what_makes_the_figures_doubtful_comes_first(tmp_path: Path) -> None:
    html = of_facts(doubtful(), tmp_path)
    alarms = re.findall(r'class="alarm"><b>Doubtful\.</b> (.*?)</p>', html)
    assert [a.split()[0] for a in alarms] == ["The", "2", "The"] and "3rd time" in alarms[0]
    assert html.index('class="alarm"') < html.index("How good")
    assert 'class="alarm"' not in of_facts(facts(), tmp_path)


def test_leaks_are_shown_in_pairs_and_counted(tmp_path: Path) -> None:
    leaking = replace(doubtful(), result=result(leaks=9))
    part = section(of_facts(leaking, tmp_path), "leaks")
    assert part.count('alt="Tested picture') == part.count('alt="Training picture') == 2
    assert "and 7 more" in part


def test_a_slice_that_is_worse_is_marked(tmp_path: Path) -> None:
    part = section(of_facts(facts(), tmp_path), "slices")
    rows = [row for row in part.split("<tr") if 'class="worse"' in row]
    assert len(rows) == 1 and "dark, up to 0.31" in rows[0] and "worse</b>" in rows[0]


def test_classes_may_have_intervals_or_not(tmp_path: Path) -> None:
    part = section(of_facts(facts(), tmp_path), "classes")
    assert (
        '0.975 <span class="ends">(0.955 to 0.995)</span>' in part
        and '<td class="n">0.975</td>' in part
    )


def test_many_classes_are_told_by_their_mix_ups(tmp_path: Path) -> None:
    names = tuple(f"class_{i:02}" for i in range(30))
    truth = np.arange(300) % 30
    chances = np.eye(30)[np.where(np.arange(300) < 9, 7, truth)]
    table = Predictions(
        Labels(names), "test", tuple(map(str, range(300))), truth, chances,
        tuple(map(str, range(300))), ("gone.png",) * 300,
    )  # fmt: skip
    html = of_answers(table, tmp_path)
    assert '<table class="matrix">' not in html and "taken for" in section(html, "classes")
    assert "ROC curve" not in html


def test_one_class_only_has_no_curve(table: Predictions, tmp_path: Path) -> None:
    html = of_answers(replace(table, truth=np.ones(20, int)), tmp_path)
    assert "ROC curve" not in html and "AUROC" not in section(html, "measures")


def test_a_hundred_mistakes_stay_under_five_megabytes(tmp_path: Path) -> None:
    html = of_facts(facts(100), tmp_path)
    assert html.count('<article class="card" id="m') == 100
    assert html.count('alt="Training picture labelled') == 500 and "had no room" not in html
    assert len(html.encode()) < PAGE_BYTES
    size = re.search(r"Pictures on this page: ([\d.]+) MB of at most 4.5 MB", html)
    assert size and 2.5 < float(size[1]) <= 4.5, "the room is used"


def test_marks_start_from_earlier_decisions(tmp_path: Path) -> None:
    lines = (("a.png", "pizza", "", "drop", ""),)
    made = facts(marks=Marks(lines, "f", "pizzaiolo prepare x --out y"))
    moved = replace(mistake(1), source_label="calzone")
    html = of_facts(replace(made, mistakes=[moved]), tmp_path)
    data = json.loads(re.findall(r'id="data" type="application/json">(.*?)</script>', html)[0])
    assert data["lines"] == [list(lines[0])] and data["command"] == "pizzaiolo prepare x --out y"
    assert (data["items"][0]["label"], data["items"][0]["now"]) == ("calzone", "not_pizza")


def test_undefined_figures_are_left_out(tmp_path: Path) -> None:
    nothing = {"value": None, "low": None, "high": None}
    found = result(auroc=nothing, ece=nothing, accuracy={"value": 1.0, "low": None, "high": None})
    html = of_facts(Facts(found, CARD), tmp_path)
    assert "AUROC" not in html and "nan" not in html.lower().split("</style>")[1]
    assert "100.0 %" in html and "95 % interval:" not in html


def several(table: Predictions) -> Predictions:
    """The answers of a model that knows of two more classes, and never says so."""
    probabilities = np.concatenate([table.probabilities * 0.9, np.full((20, 2), 0.05)], axis=1)
    labels = Labels((*CARD.labels.names, "soup", "cake"))
    return replace(table, labels=labels, probabilities=probabilities)


def test_several_classes_have_means_and_the_likeliest_few(
    table: Predictions, tmp_path: Path
) -> None:
    html = of_answers(several(table), tmp_path)
    rows = re.findall(r"<tr[^>]*><th>(.*?)</th>(.*?)</tr>", section(html, "classes").split("F1")[1])
    names = [re.sub("<.*?>", "", name) for name, _ in rows]
    assert names == ["Not pizza", "Pizza", "Soup", "Cake", "mean, classes alike",
                     "mean, by pictures"]  # fmt: skip
    assert [text.count("undefined") for _, text in rows] == [0, 0, 3, 3, 0, 0]
    assert "0.850 (0.6" in re.sub("<.*?>", "", rows[5][1]), (
        "weighted recall is the accuracy, with its interval"
    )
    told = section(html, "measures")
    assert "top-2 accuracy" in told and "top-3 accuracy" in told and "likeliest" in told
    two = of_answers(table, tmp_path)
    assert "mean, by pictures" not in two and "top-" not in two


def test_another_model_is_told_of_with_the_pictures_that_changed_sides(tmp_path: Path) -> None:
    html = of_facts(facts(), tmp_path)
    part = section(html, "against")
    assert "Within noise of old run: +0.5 points" in part and part.count("<article") == 3
    assert "Right here, wrong there" in part and "The other says Not pizza, 71.0 %." in part
    assert '<a href="#against">Within noise of old run.</a>' in html.split("<nav")[0]
    many = replace(facts().against, gained=[mistake(i) for i in range(30)], lost=())  # type: ignore[type-var]
    part = section(of_facts(facts(against=many), tmp_path), "against")
    assert "and 18 more" in part and "Wrong here" not in part
