"""The model card: metadata that the Hub's own reader takes, and the limits in words."""

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from pizzaiolo.core.labels import Labels
from pizzaiolo.evaluate.report import Facts, write_card
from pizzaiolo.evaluate.report.model_card import card
from toy_report import CARD, HOSTILE, doubtful, facts, result


def head(text: str) -> dict[str, object]:
    return yaml.safe_load(text.split("---\n")[1])  # type: ignore[no-any-return]


def test_the_hub_reads_the_metrics(tmp_path: Path) -> None:
    write_card(tmp_path / "README.md", facts())
    found = ModelCard.load(tmp_path / "README.md").data
    assert (found.license, found.pipeline_tag) == ("apache-2.0", "image-classification")
    assert found.model_name == "pizza-tf_efficientnet_lite0"
    assert {"pizzaiolo", "timm", "image-classification"} <= set(found.tags)
    by_type = {r.metric_type: r for r in found.eval_results}
    assert by_type["accuracy"].metric_value == 0.975
    assert by_type["accuracy"].metric_args == {
        "confidence_level": 0.95, "low": 0.955, "high": 0.995
    }  # fmt: skip
    assert {r.dataset_split for r in found.eval_results} == {"test"}
    assert by_type["roc_auc"].dataset_name == "my data" and set(found.metrics) >= {"f1", "roc_auc"}


def test_it_tells_data_training_figures_and_limits() -> None:
    text = card(facts())
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Use", "Training data", "Training", "Evaluation", "Limits"]
    for said in ("987 pictures for train", "| Pizza | 488 |", "| recipe | head |",
                 "| 0.975 | 0.955 to 0.995 |", "dark, up to 0.31: 82 % right, 99 % elsewhere",
                 "Under occlusion of severity 3, 61 % are right"):  # fmt: skip
        assert said in text, said
    assert "workers" not in text, "settings of the machine are nobody's concern"


def test_doubts_are_not_hidden() -> None:
    assert "too good" in card(doubtful()) and "3rd time" in card(doubtful())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("MIT", {"license": "mit"}),
        ("unknown", {"license": "unknown"}),
        ("My Own 1.0", {"license": "other", "license_name": "my-own-1.0"}),
        ("", {"license": "other", "license_name": "unknown"}),
    ],
)
def test_the_licence_is_one_that_the_hub_knows(given: str, expected: dict[str, str]) -> None:
    found = head(card(facts(card=CARD.with_(weights_licence=given))))
    assert {k: v for k, v in found.items() if k.startswith("license")} == expected


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_break_neither_head_nor_text(name: str) -> None:
    labels = Labels((name, "pizza", "other"))
    found = {**result(0), "per_class": {}, "confusion_matrix": {"labels": [], "counts": []}}
    made = Facts(found, CARD.with_(labels=labels), dataset=f"/data/{name}", model=f"{name}.onnx")
    text = card(made)
    (index,) = head(text)["model-index"]  # type: ignore[misc]
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", index["name"])
    html = MarkdownIt().render(text.split("---\n", 2)[2])
    assert "<img" not in html and "<script" not in html


def test_a_bare_card_is_one_too() -> None:
    bare = CARD.with_(data={}, training={}, versions={})
    text = card(Facts(result(0), bare))
    assert "## Training data" not in text and "## Training\n" not in text and "## Limits" in text
