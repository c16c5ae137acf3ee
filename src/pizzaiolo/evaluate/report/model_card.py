"""The model card of the Hugging Face Hub: the same facts, with the metadata that it reads.

Format: https://huggingface.co/docs/hub/model-cards. Mitchell et al. 2019,
https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ... import __version__
from ...core.bundle import write_text
from ...core.labels import human
from . import words
from .facts import Facts
from .markdown import code, plain, sections, table
from .words import about

LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "openrail",
    "unknown",
})  # fmt: skip
METRICS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1",
           "auroc": "roc_auc"}  # fmt: skip
HIDDEN = {"workers", "checkpoint_seconds", "device", "find_lr"}  # of the settings: no one's concern


def write_card(path: Path, facts: Facts) -> None:
    """Write the model card (`README.md` of a model repository)."""
    write_text(path, card(facts))


def card(facts: Facts) -> str:
    """The model card: YAML metadata with the measured figures, then the text."""
    parts = (f"# {plain(name(facts))}", _about(facts), _use(facts), _data(facts), _training(facts),
             _evaluation(facts), _limits(facts), _versions(facts))  # fmt: skip
    text = "\n\n".join(part for part in parts if part)
    return f"---\n{metadata(facts)}\n---\n\n{text}\n"


def name(facts: Facts) -> str:
    """The model's name: what it recognises, and its architecture."""
    positive = facts.card.labels.positive
    asked = positive or "-".join(facts.classes[:3])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{asked}-{words.model_name(facts)}").strip("-.")


def metadata(facts: Facts) -> str:
    """The YAML of the card's head, without its rules."""
    from huggingface_hub import EvalResult, ModelCardData

    where = {"task_type": "image-classification", "task_name": "Image classification",
             "dataset_type": "imagefolder", "dataset_name": Path(facts.dataset).name or "data",
             "dataset_split": facts.result["split"],
             "dataset_revision": facts.marks.fingerprint or None}  # fmt: skip
    results = [
        EvalResult(metric_type=METRICS.get(key, key), metric_name=words.measure_name(key),
                   metric_value=round(float(figure["value"] or 0.0), 4),
                   metric_args=_ends(figure), **where)
        for key, figure in facts.figures.items()
    ]  # fmt: skip
    found = ModelCardData(
        **_licence(facts.card.weights_licence),
        library_name="pizzaiolo",
        pipeline_tag="image-classification",
        tags=["image-classification", "vision", "pizzaiolo", *_kind(facts)],
        metrics=[METRICS[key] for key in METRICS if key in facts.figures],
        model_name=name(facts),
        eval_results=results or None,
    )
    text: str = found.to_yaml(line_break="\n")
    return text.strip()


def _ends(figure: Any) -> dict[str, float] | None:
    low, high = figure.get("low"), figure.get("high")
    if low is None or high is None:
        return None
    return {"confidence_level": 0.95, "low": round(low, 4), "high": round(high, 4)}


def _licence(given: str) -> dict[str, Any]:
    """The licence as the Hub knows it, else under its own name."""
    known = given.lower()
    if known in LICENCES:
        return {"license": known}
    return {"license": "other", "license_name": known.replace(" ", "-") or "unknown"}


def _kind(facts: Facts) -> list[str]:
    kind = facts.card.architecture.get("kind")
    return [kind] if kind == "timm" else []


def _about(facts: Facts) -> str:
    labels, preprocess = facts.card.labels, facts.card.preprocess
    classes = ", ".join(plain(human(n)) for n in labels.names[:20])
    more = f" and {len(labels.names) - 20} more" if len(labels.names) > 20 else ""
    answer = words.decided(facts) or (
        f"{plain(human(labels.positive))} from a probability of {labels.threshold:.2f}."
        if labels.positive
        else "The likeliest class is the answer."
    )
    return (
        f"A picture recogniser: {classes}{more}. Architecture {plain(words.model_name(facts))}, "
        f"input {preprocess.size} x {preprocess.size} pixels (RGB, {preprocess.mode}). {answer}"
    )


def _use(facts: Facts) -> str:
    file = facts.model if Path(facts.model).suffix else "model.pt"
    return (
        "## Use\n\n"
        + code(f"pizzaiolo predict --model {Path(file).name} picture.jpg")
        + "\n\nThe file carries classes, preprocessing, calibration and threshold: what was "
        "measured here is what it answers."
    )


def _data(facts: Facts) -> str:
    splits = facts.card.data.get("splits") or {}
    counts = facts.card.data.get("train_per_class") or []
    text = "## Training data\n\n"
    if splits:
        text += ", ".join(f"{count:,} pictures for {split}" for split, count in splits.items())
        text += ". Copies and near-copies were found before the split, and stay in one split."
    if len(counts) == len(facts.classes):
        rows = [
            (plain(human(n)), f"{count:,}") for n, count in zip(facts.classes, counts, strict=True)
        ]
        text += "\n\n" + table(("class", "training pictures"), rows)
    return text if splits or counts else ""


def _training(facts: Facts) -> str:
    rows = [(plain(k), plain(v)) for k, v in facts.card.training.items()
            if v is not None and k not in HIDDEN]  # fmt: skip
    return f"## Training\n\n{table(('setting', 'value'), rows, (0, 1))}" if rows else ""


def _evaluation(facts: Facts) -> str:
    doubts = "".join(f"\n\n> {plain(text)}" for text in words.warnings(facts))
    parts = "\n\n".join(sections(facts, 3))
    return f"## Evaluation\n\n{plain(words.tested(facts))}{doubts}\n\n{parts}"


def _limits(facts: Facts) -> str:
    """What the figures say against the model, in a list."""
    result = facts.result
    found = [
        f"It knows these classes and no others; it was measured on {result['n']:,} pictures of one "
        "data set, and pictures from elsewhere may differ."
    ]
    found += [f"It is worse on pictures with {s.by} {s.name}: {about(s.accuracy)} right, "
              f"{about(s.rest)} elsewhere." for s in facts.slices if s.worse]  # fmt: skip
    if facts.robustness:
        for key, points in facts.robustness.curves.items():
            if facts.robustness.clean.accuracy - points[2].accuracy > 0.1:
                found.append(f"Under {key} of severity 3, {about(points[2].accuracy)} are right.")
    if facts.novelty is None:
        found.append(
            'A picture of something else may get a confident answer instead of "Not sure".'
        )
    found += [str(note) for note in facts.card.notes]
    return "## Limits\n\n" + "\n".join(f"- {plain(text)}" for text in found)


def _versions(facts: Facts) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in facts.card.versions.items())
    return f"Made by pizzaiolo {__version__}" + (f" ({plain(versions)})." if versions else ".")
