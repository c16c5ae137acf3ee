"""A test as a whole: its figures, its files, and what it refuses."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sk

from pizzaiolo.config import EvaluateConfig, TrainConfig
from pizzaiolo.core.bundle import UNFINISHED, load_pt, save_pt
from pizzaiolo.core.labels import Labels
from pizzaiolo.core.manifest import Dataset
from pizzaiolo.core.predictions import Predictions
from pizzaiolo.errors import (
    DatasetError,
    InputError,
    ModelFileError,
    StorageError,
    UsageError,
)
from pizzaiolo.evaluate import run as evaluate_run
from pizzaiolo.evaluate.run import evaluate, measure
from pizzaiolo.predict import load_file
from pizzaiolo.train.run import train

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = EvaluateConfig(bootstrap=100, robustness_seconds=0)
FILES = ["metrics.json", "predictions.parquet", "report.html", "report.md"]
HEADLINE = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "ece"]


@pytest.fixture(scope="module")
def model(
    tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Path:
    """A RUN that is right more often than not."""
    config = TrainConfig(model="cnn", size=32, epochs=4, lr=1e-3, batch_size=4, augment="none")
    return Path(train(tiny_dataset, tmp_path_factory.mktemp("model") / "run", config)["run"])


@pytest.fixture(scope="module")
def result(
    model: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return evaluate(model, tiny_dataset.root, tmp_path_factory.mktemp("test") / "e", QUICK)


@pytest.fixture(scope="module")
def table(result: dict[str, Any]) -> dict[str, list[Any]]:
    file = Path(result["report"]).with_name("predictions.parquet")
    return pq.read_table(file).to_pydict()  # type: ignore[no-any-return]


def test_the_result_has_the_documented_keys(result: dict[str, Any]) -> None:
    assert list(result)[:2] == ["split", "n"] and list(result)[2:9] == HEADLINE
    assert {"per_class", "confusion_matrix", "not_sure", "mistakes", "report"} < set(result)
    assert result["split"] == "test" and result["n"] == 12
    for name in HEADLINE:
        value, low, high = (result[name][key] for key in ("value", "low", "high"))
        assert 0 <= low <= high <= 1 and 0 <= value <= 1


def test_the_file_says_what_was_returned(result: dict[str, Any]) -> None:
    folder = Path(result["report"]).parent
    assert sorted(os.listdir(folder)) == FILES
    assert json.loads((folder / "metrics.json").read_text()) == result


def test_the_table_has_the_columns_of_the_design(table: dict[str, list[Any]]) -> None:
    assert list(table) == [
        "path", "split", "truth", "predicted", "confidence", "verdict", "novelty", "group",
        "p_not_pizza", "p_pizza",
    ]  # fmt: skip
    np.testing.assert_allclose(np.add(table["p_not_pizza"], table["p_pizza"]), 1, atol=1e-6)


def test_the_figures_follow_from_the_table(
    result: dict[str, Any], table: dict[str, list[Any]]
) -> None:
    truth, predicted, pizza = table["truth"], table["predicted"], {"pos_label": "pizza"}
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted),
        "precision": sk.precision_score(truth, predicted, zero_division=0, **pizza),
        "recall": sk.recall_score(truth, predicted, **pizza),
        "f1": sk.f1_score(truth, predicted, **pizza),
        "auroc": sk.roc_auc_score([t == "pizza" for t in truth], table["p_pizza"]),
    }
    assert {name: result[name]["value"] for name in expected} == pytest.approx(expected)
    assert result["mistakes"] == sum(t != p for t, p in zip(truth, predicted, strict=True))
    matrix = sk.confusion_matrix(truth, predicted, labels=result["confusion_matrix"]["labels"])
    assert result["confusion_matrix"]["counts"] == matrix.tolist()


def test_evaluate_and_predict_say_the_same(
    model: Path, tiny_dataset: Dataset, table: dict[str, list[Any]]
) -> None:
    """Pain: another answer in the test than in use."""
    rows = tiny_dataset.split("test")
    answers = load_file(model).predict_many([tiny_dataset.picture(row) for row in rows])
    assert [(a.verdict, a.label) for a in answers] == list(
        zip(table["verdict"], table["predicted"], strict=True)
    )


def test_the_same_seed_gives_the_same_intervals(
    model: Path, tiny_dataset: Dataset, result: dict[str, Any], tmp_path: Path
) -> None:
    again = evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)
    assert {k: again[k] for k in HEADLINE} == {k: result[k] for k in HEADLINE}


def test_the_validation_split_is_warned_of(
    model: Path, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="pizzaiolo"):
        found = evaluate(
            model, tiny_dataset.root, tmp_path / "e", replace(QUICK, split="validation")
        )
    assert found["split"] == "validation" and "trust the test split" in caplog.text


@pytest.mark.parametrize(("group", "leaks"), [("train_pizza_0", 1), (None, 0)])
def test_a_near_copy_in_training_is_told(
    model: Path, make_dataset: Callable[..., Dataset], tmp_path: Path,
    caplog: pytest.LogCaptureFixture, group: str | None, leaks: int,
) -> None:  # fmt: skip
    """Pain: duplicates across the splits."""
    made = make_dataset(tmp_path / "data")
    split_of = {"train_pizza_1": "train", "test_pizza_1": "test"}
    rows = [replace(r, group=group) if r.path in split_of else r for r in made.rows]
    if group is not None:
        rows = [replace(r, group=r.path) if r.path == "train_pizza_1" else r for r in rows]
    replace(made, rows=tuple(rows)).save({})
    result = evaluate(model, tmp_path / "data", tmp_path / "e", QUICK)
    assert result["leaks"] == leaks
    assert ("in the training split" in caplog.text) == bool(leaks)
    assert ("figures are too good" in Path(result["report"]).read_text()) == bool(leaks)


def test_the_data_of_the_training_are_told_from_others(
    model: Path, make_dataset: Callable[..., Dataset], tmp_path: Path, result: dict[str, Any]
) -> None:
    make_dataset(tmp_path / "data", test=3)
    other = evaluate(model, tmp_path / "data", tmp_path / "e", QUICK)
    assert result["same_data"] is True and other["same_data"] is False


def test_a_model_file_without_its_run_is_enough(
    model: Path, tiny_dataset: Dataset, result: dict[str, Any], tmp_path: Path
) -> None:
    alone = tmp_path / "alone.pt"
    alone.write_bytes((model / "model.pt").read_bytes())
    found = evaluate(alone, tiny_dataset.root, tmp_path / "e", QUICK)
    assert found["accuracy"] == result["accuracy"]


def test_class_names_count_and_not_their_order(
    model: Path, tiny_dataset: Dataset, result: dict[str, Any], tmp_path: Path
) -> None:
    """Pain: 90 % in the loader, 15 % by hand, for the folders were in another order."""
    card, state = load_pt(model / "model.pt")
    turned = Labels(card.labels.names[::-1], positive=card.labels.positive)
    for name in ("backbone", "head"):
        assert any(key.startswith(name) for key in state)
    state["head.weight"], state["head.bias"] = (
        state["head.weight"].flip(0),
        state["head.bias"].flip(0),
    )
    save_pt(tmp_path / "turned.pt", card.with_(labels=turned), state)
    found = evaluate(tmp_path / "turned.pt", tiny_dataset.root, tmp_path / "e", QUICK)
    assert found["accuracy"] == result["accuracy"] and found["recall"] == result["recall"]


def test_other_classes_are_refused_and_nothing_is_left(
    model: Path, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    make_dataset(tmp_path / "data", classes=("cat", "dog"))
    with pytest.raises(InputError, match=r"knows the classes \['not_pizza', 'pizza'\].*'cat'"):
        evaluate(model, tmp_path / "data", tmp_path / "e", QUICK)
    assert not (tmp_path / "e").exists()


def test_an_empty_split_is_refused(
    model: Path, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    make_dataset(tmp_path / "data", test=0)
    with pytest.raises(DatasetError, match=r"the test split of .* holds no pictures"):
        evaluate(model, tmp_path / "data", tmp_path / "e", QUICK)


def test_a_picture_gone_after_prepare_is_named(
    model: Path, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    made = make_dataset(tmp_path / "data")
    gone = made.picture(made.split("test")[2])
    gone.unlink()
    with pytest.raises(DatasetError, match="can't be read") as caught:
        evaluate(model, tmp_path / "data", tmp_path / "e", QUICK)
    assert str(gone) in caught.value.message and caught.value.hint == "run prepare again"


@pytest.mark.parametrize("name", ["gone", "gone.pt", "gone.onnx"])
def test_a_model_that_is_not_there_is_refused(
    tiny_dataset: Dataset, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ModelFileError, match="no model at"):
        evaluate(tmp_path / name, tiny_dataset.root, tmp_path / "e", QUICK)
    assert os.listdir(tmp_path) == []


def test_an_earlier_report_stays_whole_when_the_next_is_cut_off(
    model: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)
    before = {f: (tmp_path / "e" / f).read_bytes() for f in FILES}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_run, "write_html", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, tiny_dataset.root, tmp_path / "e", replace(QUICK, seed=1))
    assert sorted(os.listdir(tmp_path / "e")) == FILES
    assert {f: (tmp_path / "e" / f).read_bytes() for f in FILES} == before


def test_what_a_killed_test_left_blocks_nothing(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "e" / UNFINISHED).mkdir(parents=True)
    evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)
    assert sorted(os.listdir(tmp_path / "e")) == FILES


def test_a_folder_of_other_things_is_left_alone(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="holds other files and no earlier evaluation"):
        evaluate(model, tiny_dataset.root, model, QUICK)


def predictions(truth: list[int], pizza: list[float], groups: Any = None) -> Predictions:
    """A table of two classes with these probabilities of pizza."""
    names = tuple(str(i) for i in range(len(truth)))
    column = np.array(pizza)
    return Predictions(
        Labels(("not_pizza", "pizza"), positive="pizza"), "test", names, np.array(truth),
        np.stack([1 - column, column], axis=1), tuple(groups or names),
    )  # fmt: skip


def test_perfect_scores_are_not_certain() -> None:
    found = measure(predictions([0, 1] * 20, [0.1, 0.9] * 20), QUICK)
    for name in HEADLINE[:-1]:
        assert found[name]["value"] == found[name]["high"] == 1
        assert 0.8 < found[name]["low"] < 1
    assert found["mistakes"] == 0 and found["not_sure"] == 0


def test_near_copies_make_a_perfect_score_less_certain() -> None:
    alone = measure(predictions([0, 1] * 20, [0.1, 0.9] * 20), QUICK)
    copies = measure(
        predictions([0, 1] * 20, [0.1, 0.9] * 20, [str(i // 8) + "ab"[i % 2] for i in range(40)]),
        QUICK,
    )
    assert copies["accuracy"]["low"] < alone["accuracy"]["low"]


@pytest.mark.parametrize("answer", [0.0, 0.3, 0.9, 1.0])
def test_a_constant_answer_scores_as_it_should(answer: float) -> None:
    found = measure(predictions([0, 1, 1, 1] * 5, [answer] * 20), QUICK)
    assert found["balanced_accuracy"]["value"] == 0.5 and found["auroc"]["value"] == 0.5
    assert found["recall"]["value"] == (answer >= 0.5)
    assert found["accuracy"]["value"] == (0.75 if answer >= 0.5 else 0.25)
    assert found["balanced_accuracy"]["low"] < 0.5 < found["balanced_accuracy"]["high"]


@pytest.mark.parametrize("truth", [0, 1])
def test_one_class_only_in_the_split(truth: int) -> None:
    found = measure(predictions([truth] * 12, [0.2, 0.8, 0.9] * 4), QUICK)
    assert found["auroc"] == {"value": None, "low": None, "high": None}
    assert found["accuracy"]["value"] == pytest.approx(2 / 3 if truth else 1 / 3)
    assert found["balanced_accuracy"]["value"] == found["accuracy"]["value"]
    json.dumps(found, allow_nan=False)


def test_a_single_picture_can_be_measured() -> None:
    found = measure(predictions([1], [0.8]), QUICK)
    assert found["n"] == 1 and found["accuracy"]["low"] < 0.5


def test_not_sure_is_counted_apart_from_mistakes() -> None:
    table = predictions([0, 1, 1], [0.55, 0.55, 0.9])
    unsure = replace(table.labels, reject_band=(0.4, 0.6))
    found = measure(replace(table, labels=unsure), QUICK)
    assert found["not_sure"] == 2 and found["mistakes"] == 1


def test_three_classes_have_no_positive_one() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(60) % 3
    raw = generator.random((60, 3)) + 2 * np.eye(3)[truth]
    table = replace(
        predictions([0] * 60, [0.5] * 60), labels=Labels(("a", "b", "c")), truth=truth,
        probabilities=raw / raw.sum(axis=1, keepdims=True),
    )  # fmt: skip
    found = measure(table, QUICK)
    assert found["f1"]["value"] == pytest.approx(
        sk.f1_score(truth, raw.argmax(axis=1), average="macro")
    )
    assert list(found["per_class"]) == ["a", "b", "c"]
    assert [c["support"] for c in found["per_class"].values()] == [20, 20, 20]
    assert found["averages"]["macro"]["f1"] == found["f1"]
    assert list(found["top_k"]) == ["2"]
    assert found["top_k"]["2"]["value"] == sk.top_k_accuracy_score(truth, raw, k=2)


def test_what_is_undefined_is_not_called_zero() -> None:
    """Precision of a class that was never answered was 0 in metrics.json."""
    found = measure(predictions([0, 1, 1], [0.1, 0.2, 0.3]), QUICK)
    undefined = {"low": None, "high": None}
    assert found["precision"] == {"value": None, **undefined}
    pizza = found["per_class"]["pizza"]
    assert pizza["precision"] is None and pizza["intervals"]["precision"] == undefined
    assert pizza["recall"] == 0.0 and pizza["intervals"]["recall"]["high"] > 0.5
    assert found["top_k"] == {}


def test_how_it_decides_is_kept_in_the_run(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = replace(QUICK, aim="recall=1.0")
    result = evaluate(model, tiny_dataset.root, tmp_path / "e", config, card=tmp_path / "card.md")
    card, _ = load_pt(model / "model.pt")
    assert card.labels.threshold == result["settled"]["threshold"]
    assert card.decision["dataset"] == tiny_dataset.fingerprint
    assert (tmp_path / "card.md").read_text().startswith("---\nlibrary_name: pizzaiolo")


def test_without_settling_the_model_stays_as_it_is(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    before = (model / "model.pt").read_bytes()
    result = evaluate(model, tiny_dataset.root, tmp_path / "e", replace(QUICK, settle=False))
    assert result["settled"] is None and (model / "model.pt").read_bytes() == before


def test_every_look_at_the_test_split_is_counted(
    model: Path, tiny_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)["looks"]
    assert evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)["looks"] == first + 1
    assert "looked at for the" in caplog.text


def test_the_panel_of_spoilt_pictures_is_measured_where_there_is_time(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    config = replace(QUICK, robustness_seconds=60.0)
    found = evaluate(model, tiny_dataset.root, tmp_path / "e", config)["robustness"]
    assert found is None or (found["of"] == 12 and len(found["curves"]["blur"]) == 5)


def test_an_aim_that_cannot_be_followed_is_refused(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="aim, answered can't be followed"):
        evaluate(
            model, tiny_dataset.root, tmp_path / "e",
            replace(QUICK, settle=False, aim="f1", answered=0.99),
        )  # fmt: skip
    assert not (tmp_path / "e").exists()


def test_a_run_that_is_settled_already_is_not_written_again(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)
    before = (model / "model.pt").stat().st_mtime_ns
    evaluate(model, tiny_dataset.root, tmp_path / "e", QUICK)
    assert (model / "model.pt").stat().st_mtime_ns == before


def test_a_second_evaluation_shows_the_calibration_as_the_first_does(
    model: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "run")
    evaluate(tmp_path / "run", tiny_dataset.root, tmp_path / "e", QUICK)
    card, state = load_pt(tmp_path / "run" / "model.pt")
    told = {**card.decision["calibration"], "method": "temperature", "temperature": 2.0}
    changed = card.with_(temperature=2.0, decision={**card.decision, "calibration": told})
    save_pt(tmp_path / "run" / "model.pt", changed, state)
    result = evaluate(tmp_path / "run", tiny_dataset.root, tmp_path / "e", QUICK)
    assert result["settled"]["calibration"]["method"] == "temperature"
    page = (tmp_path / "e" / "report.html").read_text()
    assert re.search(r"with the temperature 2\.00, and 0\.\d+ without", page)
    assert ">before<" in page and ">after<" in page, "both lines of the reliability diagram"


def test_choices_that_cannot_be_kept_are_not_told_as_settled(
    model: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_pt(model / "model.pt")[0].labels.threshold
    monkeypatch.setattr(evaluate_run, "keep", lambda *_: False)
    config = replace(QUICK, cost="false_pizza=50,missed_pizza=1")
    result = evaluate(model, tiny_dataset.root, tmp_path / "e", config)
    assert result["settled"] is None
    assert load_pt(model / "model.pt")[0].labels.threshold == before
