"""The report of a search: what it says, with any part missing, whatever names there are."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from pizzaiolo.config import TrainConfig, load_config
from pizzaiolo.core.labels import Labels
from pizzaiolo.improve.leaderboard import Leaderboard, Limits, leaderboard
from pizzaiolo.improve.report import Facts, sentences, write_report
from pizzaiolo.improve.report.answers import better, cost, span
from pizzaiolo.improve.report.charts import history, pareto, together
from pizzaiolo.improve.report.findings import effect_name
from pizzaiolo.improve.report.importance import importances
from pizzaiolo.improve.report.recipe import as_command, as_toml
from pizzaiolo.improve.report.sentences import balance, noise, too_few
from pizzaiolo.improve.scale import Scale
from pizzaiolo.improve.trial import FAILED, Study
from toy_study import DEFAULT, make_facts, make_folds, make_study, write_pictures

PAGE_BYTES = 5_000_000
HOSTILE = ("<script>boom()</script>", '"><img src=x onerror=boom()>', "{{ 7 * 7 }}\u202e.gnp")


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study(60)


@pytest.fixture(scope="module")
def facts(study: Study) -> Facts:
    return make_facts(study)


def page_of(folder: Path, made: Facts) -> str:
    """The page as text, without its style."""
    text = write_report(folder, made).read_text(encoding="utf-8")
    return re.sub(r"<style>.*?</style>", "", text, flags=re.S)


# --- the first screen -----------------------------------------------------------------------------


def test_a_real_gain_is_told_with_its_interval_and_chance(facts: Facts) -> None:
    best, found = facts.board.best, better(facts)
    assert best is not None and best.gain is not None and best.real
    assert found.big == f"+{100 * best.gain.value:.1f}" and found.colour == "good"
    assert best.setting in found.said[0] and "corrected for" in found.minor[0]
    drawn = span(facts)
    assert drawn is not None and drawn.zero < drawn.low < drawn.value < 100 - drawn.high


def test_a_gain_by_chance_is_within_noise(study: Study) -> None:
    board = leaderboard(study)
    best = next(r for r in board.rows if r.gain and r.gain.value > 0 and not r.real)
    found = better(Facts(study, replace(board, rows=board.rows[best.rank - 1 :])))
    assert found.big == "Within noise" and found.colour == "plain"
    assert best.gain is not None and Scale.of(study.aim).gain(best.gain.value) in found.minor[0]


def test_the_default_may_stay_the_best(study: Study) -> None:
    board = leaderboard(study)
    assert board.default is not None
    rest = [row for row in board.rows if row.gain and row.gain.value < 0]
    made = Facts(study, Leaderboard((board.default, *rest)))
    assert better(made).big == "Keep the default" and span(made) is None
    assert "No other setting was better" in better(made).said[0]


def test_limits_that_nothing_keeps_are_told(study: Study) -> None:
    made = Facts(study, leaderboard(study, Limits(2.0, 3.0)))
    assert better(made).big == "Nothing fits" and "2 ms and 3 MB" in better(made).said[0]
    assert cost(made).big == "6.1" and "is the fastest" in cost(made).said[0]


def test_a_loss_is_less_where_it_is_better() -> None:
    made = Facts(searched := make_study(12, "log_loss"), leaderboard(searched))
    best = made.board.best
    assert best is not None and best.gain is not None and best.gain.value > 0
    found = better(made)
    assert (found.big, found.unit) == (f"{best.gain.value:.3f}", "nats less")
    assert best.value < (searched.default.value or 0)


def test_costs_are_against_the_default_and_what_is_cheaper(study: Study) -> None:
    found = cost(Facts(study, board := leaderboard(study)))
    best = board.best
    assert best is not None and found.big == f"{best.trial.latency_ms:.0f}"
    assert "6.1\u00a0ms, 14\u00a0MB" in found.said[1]
    trials = [replace(t, latency_ms=None, megabytes=None) for t in study.trials]
    bare = replace(study, trials=tuple(trials), default=trials[0])
    assert cost(Facts(bare, leaderboard(bare))).big == "Not measured"


def test_the_test_split_has_the_last_word(facts: Facts) -> None:
    scale, found = Scale("accuracy", True), facts.test
    assert found is not None and found.gain is not None
    box = sentences.tested(found, scale, "accuracy")
    assert box is not None and box.big == scale.value(found.best["accuracy"]["value"])
    assert scale.gain(found.gain.value) in box.said[0] and scale.between(found.gain) in box.minor[0]
    looked = replace(found, best={**found.best, "looks": 3})
    often = sentences.tested(looked, scale, "accuracy")
    assert often is not None and "3 times" in often.minor[1]
    same = replace(found, verdict="the default", default=None, gain=None)
    alone = sentences.tested(same, scale, "accuracy")
    assert alone is not None and alone.said == (found.sentence,)


def test_advice_comes_with_its_commands(facts: Facts, tmp_path: Path) -> None:
    text = page_of(tmp_path, facts)
    assert text.count("<li><b>") == 4 and "<summary>1 more" in text
    words = re.sub("<.*?>", "", text)
    assert "pizzaiolo prepare photos MORE_PICTURES --out &#39;my data&#39;" in words
    assert "No advice" in page_of(tmp_path, replace(facts, advice=()))


# --- parts ----------------------------------------------------------------------------------------

ABSENT: dict[str, Callable[[Facts], Facts]] = {
    "diagnosis": lambda f: replace(f, diagnosis=None),
    "curve": lambda f: replace(f, diagnosis=replace(f.diagnosis, curve=None, forecast=None)),  # type: ignore[type-var]
    "forecast": lambda f: replace(f, diagnosis=replace(f.diagnosis, forecast=None)),  # type: ignore[type-var]
    "noise": lambda f: replace(f, diagnosis=replace(f.diagnosis, noise=None)),  # type: ignore[type-var]
    "wish": lambda f: replace(f, wish=None),
    "ablation": lambda f: replace(f, ablation=()),
    "test": lambda f: replace(f, test=None),
    "advice": lambda f: replace(f, advice=()),
    "seconds": lambda f: replace(f, seconds=None),
    "all": lambda f: Facts(f.study, f.board),
}


@pytest.mark.parametrize("part", ABSENT)
def test_any_part_may_be_missing(facts: Facts, tmp_path: Path, part: str) -> None:
    text = page_of(tmp_path, ABSENT[part](facts))
    links, ids = re.findall(r'href="#([\w-]+)"', text), re.findall(r' id="([\w-]+)"', text)
    assert set(links) <= set(ids) and len(ids) == len(set(ids))
    assert "None" not in re.sub("<.*?>", "", text).replace("None is worse", "")
    assert len(links) >= 5


def test_the_whole_report_has_all_its_parts(facts: Facts, tmp_path: Path) -> None:
    text = page_of(tmp_path, facts)
    sections = re.findall(r'<section id="(\w+)"', text)
    assert sections == ["leaderboard", "cost", "test", "recipe", "effects", "data", "weak",
                        "search", "failed", "how"]  # fmt: skip
    assert {file.stem for file in (tmp_path / "report").iterdir()} == {
        "ablation", "fit", "history", "importances", "learning_curve", "parallel", "pareto",
        "pareto_size",
    }  # fmt: skip
    for file in (tmp_path / "report").iterdir():
        root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
        assert root[0].tag.endswith("title") and root[0].text
        assert "prefers-color-scheme: dark" in (root[1].text or "")
    assert "the training diverged" in text and "no time was left" in text
    assert (
        "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    )


def test_one_trial_is_enough(tmp_path: Path) -> None:
    made = make_study(1)
    text = page_of(tmp_path, Facts(made, leaderboard(made)))
    assert "0 settings, judged on 1,190 pictures" in text and "Only the default" in text
    assert "from 10 finished settings on; there is 1" in text


def test_all_may_have_failed(tmp_path: Path) -> None:
    made = make_study(3)
    trials = [replace(t, state=FAILED, outcome=None, value=None, reason="no") for t in made.trials]
    lost = replace(made, trials=tuple(trials), default=trials[0])
    text = page_of(tmp_path, Facts(lost, leaderboard(lost)))
    assert "No setting was finished" in text and text.count('<td class="what"><bdi') >= 3


def test_a_thousand_trials_stay_small(study: Study, tmp_path: Path) -> None:
    trials = [
        replace(study.trials[i % 60 or 1], number=i) if i >= 60 else study.trials[i]
        for i in range(1000)
    ]
    made = replace(study, trials=tuple(trials))
    rows = [replace(row, rank=rank) for rank, row in enumerate(
        [r for r in leaderboard(study).rows for _ in range(16)], 1)]  # fmt: skip
    page = write_report(tmp_path, Facts(made, Leaderboard(tuple(rows))))
    assert page.stat().st_size < PAGE_BYTES / 5
    text = page.read_text(encoding="utf-8")
    assert "999 settings" in text and text.count('<td class="bars">') < 250
    assert "The best 400 of" in text and text.count('class="thread ink"') == 1


def test_pictures_have_a_budget(study: Study, tmp_path: Path) -> None:
    files = write_pictures(tmp_path / "pictures", 34)
    folds = make_folds(files=tuple(files[i % 34] for i in range(len(study.folds))))
    page = write_report(tmp_path, make_facts(replace(study, folds=folds)))
    text = page.read_text(encoding="utf-8")
    assert 30 <= text.count('<img src="data:image/jpeg') <= 36
    assert page.stat().st_size < PAGE_BYTES / 5 and "no picture" not in text


def test_hostile_and_long_names_stay_text(tmp_path: Path) -> None:
    names = (*HOSTILE, *("x" * 200 + str(i) for i in range(47)))
    made = make_study(12, "f1", make_folds(1000, Labels(names)))
    broken = replace(made.trials[3], state=FAILED, reason=HOSTILE[0], outcome=None, value=None)
    made = replace(made, trials=(*made.trials[:3], broken, *made.trials[4:]))
    text = page_of(tmp_path, make_facts(made, dataset=HOSTILE[1]))
    assert "<script" not in text and "<img src=x" not in text and "{{ 7 * 7 }}" in text
    for file in (tmp_path / "report").iterdir():
        assert "<script" not in file.read_text(encoding="utf-8")


def test_an_interrupted_search_says_so(facts: Facts, tmp_path: Path) -> None:
    assert "Interrupted" in page_of(tmp_path, replace(facts, interrupted=True))
    assert "Interrupted" not in page_of(tmp_path, facts)


# --- pictures -------------------------------------------------------------------------------------


def test_importances_find_what_matters(study: Study) -> None:
    found = importances(study)
    assert next(iter(found)) == "model" and sum(found.values()) == pytest.approx(1)
    assert importances(replace(study, trials=study.trials[:9])) == {}
    same = [replace(t, params={**t.params, "model": "one"}) for t in study.trials]
    assert "model" not in importances(replace(study, trials=tuple(same)))
    single = [replace(t, params={"loss": t.params["loss"]}) for t in study.trials]
    assert importances(replace(study, trials=tuple(single))) == {"loss": 1.0}
    nothing = replace(study, trials=tuple(replace(t, params={}) for t in study.trials))
    assert importances(nothing) == {} and "nothing differs" in too_few(nothing, [])


def test_the_history_marks_what_was_stopped_and_failed(study: Study) -> None:
    drawn = history(study)
    assert drawn is not None
    body = drawn.drawing.body
    states = [t.state for t in study.trials]
    assert body.count('class="cross"') == states.count(FAILED) + 1, "and one in the legend"
    assert body.count('class="dot hollow"') == states.count("stopped") + 1
    best = max(study.done, key=lambda t: (t.value or 0, -t.number))
    assert f"trial {best.number} of 59" in drawn.caption


def test_a_setting_far_off_leaves_room_for_the_others(study: Study) -> None:
    trials = list(study.trials)
    trials[5] = replace(trials[5], value=0.02)
    drawn = history(replace(study, trials=tuple(trials)))
    assert drawn is not None and "on the edge" in drawn.caption
    heights = re.findall(r'text-anchor="end">([\d.]+) %<', drawn.drawing.body)
    assert min(map(float, heights)) > 60


def test_the_picture_of_costs_needs_two_costs(study: Study) -> None:
    board = leaderboard(study)
    assert [plot.file for plot in pareto(study, board)] == ["pareto", "pareto_size"]
    rows = tuple(replace(r, trial=replace(r.trial, latency_ms=5.0)) for r in board.rows)
    assert [p.file for p in pareto(study, replace(board, rows=rows))] == ["pareto_size"]
    limited = next(pareto(study, leaderboard(study, Limits(15.0))))
    assert 'class="limit"' in limited.drawing.body


def test_conditional_and_mixed_parameters_are_drawn(study: Study) -> None:
    mixed = [
        replace(t, params={**t.params, "size": None if t.number % 2 else 224, **(
            {"lr": 0.1} if t.number % 3 else {})})
        for t in study.trials
    ]  # fmt: skip
    drawn = together(replace(study, trials=tuple(mixed)))
    assert drawn is not None and ">size<" in drawn.drawing.body and ">lr<" not in drawn.drawing.body
    assert "by default" in drawn.drawing.body


# --- sentences and recipes ------------------------------------------------------------------------


def test_noise_and_balance_are_said_in_words(facts: Facts) -> None:
    found = facts.diagnosis
    assert found is not None and found.noise is not None
    assert "About 2.1\u00a0% of the labels look wrong" in noise(found.noise)
    assert "Not pizza" in noise(found.noise)
    clean = replace(found.noise, share=replace(found.noise.share, low=0.0))
    assert noise(clean) == "Hardly any label looks wrong: about 2.1\u00a0%, at most 3.6\u00a0%."
    unknown = replace(found.noise, share=type(found.noise.share)())
    assert "too few pictures" in noise(unknown) and noise(None) == "" == balance(None)
    assert "about as large" in balance(found.balance)
    uneven = replace(found.balance, ratio=3.0, recall=0.8, others=0.95, p=0.001)
    assert "3.0 times as many" in balance(uneven) and "more than chance" in balance(uneven)
    assert "within noise" in balance(replace(uneven, p=0.4))


@pytest.mark.parametrize(
    "changes",
    [{"loss": "focal", "knowledge": False, "label_smoothing": 0.1, "size": 256},
     {"recipe": "finetune", "quality": "good", "lr": 0.003, "epochs": 7, "mixup": 0.2}],
)  # fmt: skip
def test_the_recipe_gives_the_setting_back(changes: dict[str, Any], tmp_path: Path) -> None:
    config = replace(DEFAULT, device="cpu", workers=3, **changes)
    (tmp_path / "recipe.toml").write_text(as_toml(config))
    read = load_config(TrainConfig, tmp_path / "recipe.toml", {})
    for name in ("model", "recipe", *changes):
        assert getattr(read, name) == getattr(config, name)
    assert (read.device, read.workers) == ("auto", 0), "of this machine, not of the model"
    command = as_command(config, "my data")
    assert command.startswith("pizzaiolo train 'my data' --out RUN --model tf_efficientnet_lite0")
    assert ("--no-knowledge" in command) == ("knowledge" in changes)


def test_effects_are_named_by_what_is_compared(facts: Facts) -> None:
    names = [effect_name(effect) for effect in facts.ablation]
    assert sorted(names) == [
        "balanced by weights", "focal instead of cross entropy",
        "label smoothing 0.05 instead of 0", "lite2 in the join",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "said"), [(0.0123, "+1.2"), (-0.004, "\u22120.4"), (0.0001, "0.0"), (-0.0001, "0.0")]
)
def test_differences_have_signs(gain: float, said: str) -> None:
    assert Scale("accuracy", True).gain(gain) == said


def test_settings_judged_on_one_fold_are_explained(study: Study, tmp_path: Path) -> None:
    best = max(study.done, key=lambda t: t.value or 0)
    assert best.outcome is not None
    chances = best.outcome.probabilities.copy()
    chances[np.setdiff1d(np.arange(len(study.folds)), study.folds.rows(0))] = np.nan
    short = replace(best, outcome=replace(best.outcome, probabilities=chances))
    trials = tuple(short if t.number == best.number else t for t in study.trials)
    made = replace(study, trials=trials)
    text = page_of(tmp_path, Facts(made, leaderboard(made)))
    assert "1 setting trained by gradient steps answered 238 pictures" in text
