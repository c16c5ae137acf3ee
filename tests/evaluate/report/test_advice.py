"""Advice: from the figures alone, the most urgent first, with commands that exist."""

import shlex
from dataclasses import replace

import pytest
import typer

from pizzaiolo.cli import app
from pizzaiolo.evaluate.mistakes import HARD, UNLIKE, WRONG_LABEL
from pizzaiolo.evaluate.report import Facts
from pizzaiolo.evaluate.report.advice import RULES, Advice, advise
from toy_report import CARD, calibration, decision, doubtful, facts, figure, mistake, result

GOOD = Facts(
    result(0, accuracy={"value": 1.0, "low": 0.98, "high": 1.0}), CARD, model="run", dataset="data"
)
LONELY = {"per_class": {n: {"recall": r, "support": 100} for n, r in (("a", 0.99), ("b", 0.8))}}


def titles(made: Facts) -> list[str]:
    return [advice.title for advice in advise(made)]


def every_advice() -> list[Advice]:
    cases = [
        facts(), doubtful(), GOOD, replace(GOOD, model="model.onnx"),
        facts(result=result(30, n=200)),
        Facts(result(12, **LONELY), CARD), Facts(result(12, **LONELY), uneven()),
        facts(mistakes=0, result=result(3)),
        facts(calibration=replace(calibration(), ece_after=figure(0.1))),
        facts(decision=replace(decision(), coverage=figure(0.6))),
    ]  # fmt: skip
    return [advice for case in cases for advice in advise(case)]


def uneven() -> object:
    return CARD.with_(data={"train_per_class": [900, 100]})


def test_every_command_is_one_that_there_is() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = every_advice()
    assert len({advice.title.split(":")[0] for advice in found}) >= len(RULES) + 4
    for advice in found:
        program, name, *words = shlex.split(advice.command)
        assert program == "pizzaiolo" and name in commands, advice.command
        commands[name].make_context(name, words, resilient_parsing=False).close()


def test_nothing_wrong_means_that_it_can_be_used() -> None:
    assert titles(GOOD) == ["Export it and serve it"]
    assert advise(GOOD)[0].command == "pizzaiolo export run --out model.onnx"
    served = advise(replace(GOOD, model="model.onnx"))
    assert served[0].command == "pizzaiolo serve --model model.onnx"


def test_doubtful_data_come_before_anything_else() -> None:
    assert titles(doubtful())[:2] == [
        "Split anew, copies together", "Look at the test split for the last word"
    ]  # fmt: skip


def test_labels_that_look_wrong_come_before_more_training() -> None:
    assert titles(facts())[0] == "Check 2 labels that look wrong"
    assert titles(facts(mistakes=1))[0] == "Check 1 label that looks wrong"
    assert advise(facts())[0].command.endswith("--decisions decisions.csv")


def test_without_buckets_the_most_confident_mistakes_are_to_be_looked_at() -> None:
    unsorted = [replace(mistake(i), bucket="") for i in range(3)]
    made = replace(facts(), mistakes=unsorted)
    assert titles(made)[0] == "Look at the most confident mistakes first"
    hard = replace(facts(), mistakes=[replace(m, bucket=HARD) for m in unsorted])
    assert not {"Look at the most confident mistakes first"} & set(titles(hard))


def test_a_weak_class_wants_pictures_or_balance() -> None:
    assert "Add pictures of B" in titles(Facts(result(12, **LONELY), CARD))
    made = Facts(result(12, **LONELY), uneven(), dataset="my data")  # type: ignore[arg-type]
    advice = next(a for a in advise(made) if a.title == "Make up for unequal classes")
    assert "900" in advice.why and "100" in advice.why
    assert advice.command == "pizzaiolo train 'my data' --balance weights --out RUN"


def test_only_slices_that_are_worse_are_spoken_of() -> None:
    assert any("dark, up to 0.31" in title for title in titles(facts()))
    quiet = [replace(s, worse=False) for s in facts().slices]
    assert not any("dark" in title for title in titles(facts(slices=quiet)))


def test_pictures_unlike_training_are_asked_for_when_they_are_many() -> None:
    made = replace(facts(), mistakes=[replace(mistake(i), bucket=UNLIKE) for i in range(3)])
    assert "Add pictures like those that look unlike training" in titles(made)
    few = [replace(mistake(i), bucket=UNLIKE if i < 2 else WRONG_LABEL) for i in range(9)]
    wanted = titles(replace(facts(), mistakes=few))
    assert "Add pictures like those that look unlike training" not in wanted


@pytest.mark.parametrize(("low", "spoken"), [(0.031, True), (0.029, False)])
def test_confidence_is_doubted_when_it_is_surely_off(low: float, spoken: bool) -> None:
    off = {"value": 0.06, "low": low, "high": 0.09}
    for made in (
        facts(calibration=replace(calibration(), ece_after=off)),
        facts(calibration=None, result=result(ece=off)),
    ):
        assert ("Read the percentages with care" in titles(made)) == spoken


def test_many_unsure_answers_want_a_stronger_model_if_there_is_one() -> None:
    shy = replace(decision(), coverage=figure(0.6))
    wish = "Train a stronger model: it answers more"
    assert wish in titles(facts(decision=shy)) and wish not in titles(facts())
    for quality, command in (("quick", "good"), ("good", "best")):
        card = CARD.with_(training={"quality": quality})
        found = {a.title: a.command for a in advise(facts(decision=shy, card=card))}
        assert f"--quality {command}" in found[wish]
    for training in ({"quality": "best"}, {}):
        assert wish not in titles(facts(decision=shy, card=CARD.with_(training=training)))


def test_what_spoils_most_is_named() -> None:
    found = next(a for a in advise(facts()) if "stronger changes" in a.title)
    assert "occlusion" in found.title and "61 %" in found.why and "97 %" in found.why
    assert "--recipe finetune --augment rand" in found.command


def test_what_may_be_chance_is_no_reason_to_train_anew() -> None:
    panel = facts().robustness
    assert panel is not None
    unsure = {n: tuple(replace(p, high=0.98) for p in c) for n, c in panel.curves.items()}
    made = facts(robustness=replace(panel, curves=unsure))
    assert not any("stronger changes" in title for title in titles(made))


def test_a_wide_interval_asks_for_as_many_pictures_as_narrow_it() -> None:
    wide = {"value": 0.96, "low": 0.90, "high": 1.0}
    found = [t for t in titles(facts(result=result(accuracy=wide))) if t.startswith("Test on")]
    assert found == ["Test on more pictures: about 3,200"]  # 200 * (0.1 / 0.025) ** 2
    assert not any(t.startswith("Test on") for t in titles(GOOD))
