"""The sentences of the report, for the page, the Markdown and the model card alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.labels import human
from ..influence import RATIOS
from .facts import Facts, Figure, number_of

MEANINGS = {
    "accuracy": "share of right answers",
    "balanced_accuracy": "mean recall over the classes",
    "precision": "of those called {0}, how many are",
    "recall": "of all {0}, how many are found",
    "f1": "harmonic mean of precision and recall",
    "auroc": "chance that a {0} scores above a picture that is none",
    "average_precision": "mean precision over all thresholds",
    "ece": "mean gap between confidence and share right (0 is best)",
    "log_loss": "surprise at the labels (0 is best)",
    "brier": "mean squared error of the probabilities (0 is best)",
}
TOP = "the class is among the {0} likeliest"
MEANS = {"macro": "mean, classes alike", "weighted": "mean, by pictures"}
UNDEFINED = "undefined"
NAMES = {"f1": "F1", "auroc": "AUROC", "ece": "calibration error (ECE)", "brier": "Brier score"}
UNBOUNDED = {"log_loss"}  # not a share


@dataclass(frozen=True)
class Measure:
    """A figure with its name and meaning; `share` tells whether it lies between 0 and 1."""

    key: str
    name: str
    figure: dict[str, float | None]
    meaning: str
    share: bool


@dataclass(frozen=True)
class ClassRow:
    """Precision, recall and F1 of a class, or a mean over the classes (`mean`)."""

    name: str
    support: int
    figures: dict[str, Figure]
    mean: bool = False


def title(facts: Facts) -> str:
    """What is tested."""
    positive = facts.card.labels.positive
    return f"Test report: {human(positive) if positive else 'all classes'}"


def subtitle(facts: Facts) -> str:
    """On what, and which model."""
    result = facts.result
    return f"{result['n']:,} pictures of the {result['split']} split, {model_name(facts)}"


def model_name(facts: Facts) -> str:
    """The name of the architecture."""
    return str(facts.card.architecture.get("name", "a model"))


def warnings(facts: Facts) -> list[str]:
    """What makes the figures doubtful, each a sentence."""
    result, found = facts.result, list(facts.warnings)
    if result.get("leaks") and not any("cop" in text for text in found):
        count = result["leaks"]
        are = "picture has a near-copy" if count == 1 else "pictures have near-copies"
        found.append(f"{count} tested {are} in the training split: the figures are too good.")
    if result["split"] != "test" and not any(result["split"] in text for text in found):
        found.append(f"The {result['split']} split was used to make or choose the model.")
    return list(map(sentence, found))


def sentence(text: str) -> str:
    """A text with a capital and a full stop; an empty one stays."""
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def measures(facts: Facts) -> list[Measure]:
    """Every figure that has a value."""
    asked = human(facts.card.labels.positive or "class").lower()
    tops = {f"top_{k}": figure for k, figure in facts.result.get("top_k", {}).items()}
    return [
        Measure(
            name,
            measure_name(name),
            {"low": None, "high": None, **figure},
            TOP.format(name[4:]) if name in tops else MEANINGS.get(name, "").format(asked),
            name not in UNBOUNDED,
        )
        for name, figure in {**facts.figures, **tops}.items()
        if figure.get("value") is not None
    ]


def measure_name(name: str) -> str:
    """A figure's name as a person writes it."""
    if name.startswith("top_"):
        return f"top-{name[4:]} accuracy"
    return NAMES.get(name, name.replace("_", " "))


def class_rows(facts: Facts) -> list[ClassRow]:
    """Each class, and the means over more than two."""
    rows = [
        ClassRow(human(name), found["support"], {r: _ratio(found, r) for r in RATIOS})
        for name, found in facts.result["per_class"].items()
    ]
    if len(rows) > 2:
        means = facts.result.get("averages", {}).items()
        rows += [ClassRow(MEANS[kind], facts.result["n"], m, mean=True) for kind, m in means]
    return rows


def _ratio(found: Mapping[str, Any], name: str) -> Figure:
    """A ratio of a class with its interval, where that is told."""
    figure = found[name] if isinstance(found[name], Mapping) else {"value": found[name]}
    return {"low": None, "high": None, **figure, **found.get("intervals", {}).get(name, {})}


def interval(figure: Figure, write: Callable[[float], str] = "{:.3f}".format) -> str:
    """A figure's 95 % interval in words, empty where it has none."""
    low, high = figure.get("low"), figure.get("high")
    return "" if low is None or high is None else f"{write(low)} to {write(high)}"


def percent(value: float) -> str:
    """A share per cent."""
    return f"{100 * value:.1f} %"


def about(value: float) -> str:
    """A share in whole per cent."""
    return f"{100 * value:.0f} %"


def mix_ups(facts: Facts) -> list[dict[str, Any]]:
    """Which class is taken for which, the commonest first: `truth`, `predicted`, `n`, `of`."""
    matrix = facts.result["confusion_matrix"]
    names, counts = matrix["labels"], matrix["counts"]
    found = [
        {"truth": names[i], "predicted": names[j], "n": n, "of": sum(row)}
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if i != j and n
    ]
    return sorted(found, key=lambda pair: -pair["n"])


def calibrated(facts: Facts) -> str:
    """What the calibration does for the confidence."""
    found = facts.calibration
    after = number_of(found.ece_after) if found else None
    if found is None or after is None:
        return ""
    ends = interval(found.ece_after)
    error = f"The calibration error is {after:.3f}{f' ({ends})' if ends else ''}"
    if found.method == "none":
        return f"{error}; confidence is left as it is{f': {found.note}' if found.note else ''}."
    how = f"the temperature {found.temperature:.2f}"
    how = "a scale and an offset for each class" if found.method == "vector" else how
    before = number_of(found.ece_before)
    return f"{error} with {how}{f', and {before:.3f} without' if before is not None else ''}."


def decided(facts: Facts) -> str:
    """How a probability becomes an answer."""
    found = facts.decision
    if found is None:
        return ""
    asked = human(facts.card.labels.positive or "the likeliest class")
    parts = [f"{asked} from a probability of {found.threshold:.2f}"]
    if found.aim:
        parts.append(f"chosen for {found.aim}")
    text = ", ".join(parts) + "."
    if found.band:
        text += f' From {found.band[0]:.2f} up to {found.band[1]:.2f} the answer is "Not sure".'
    answered, coverage = number_of(found.answered), number_of(found.coverage)
    if answered is not None and coverage is not None:
        ends = interval(found.answered or {}, percent)
        text += (
            f" It answers {percent(coverage)} of the pictures, and {percent(answered)} of these "
            f"answers are right{f' ({ends})' if ends else ''}."
        )
    return text


def tested(facts: Facts) -> str:
    """Which pictures, by what path."""
    result, card = facts.result, facts.card
    chosen = "; nothing was chosen on them" if result["split"] == "test" else ""
    return (
        f"{result['n']:,} pictures of the {result['split']} split{chosen}. Intervals count a group "
        f"of near-duplicates once. Model: {model_name(facts)}, input {card.preprocess.size} x "
        f"{card.preprocess.size} pixels by {card.preprocess.mode}, weights licence "
        f"{card.weights_licence}."
    )
