"""The card as lines for a reader."""

from __future__ import annotations

from .card import Card
from .labels import Labels
from .preprocess import Preprocess


def card_lines(card: Card) -> list[tuple[str, str]]:
    """The card for a reader: a name and a text for each line."""
    lines = [
        ("classes", ", ".join(card.labels.names)),
        ("answers", _rule(card.labels)),
        ("picture", _picture(card.preprocess)),
        ("network", _network(card)),
        *((split, _figures(figures)) for split, figures in card.metrics.items()),
        ("data", _data(card.data)),
        ("weights", f"licence {card.weights_licence}"),
        ("made with", ", ".join(f"{name} {number}" for name, number in card.versions.items())),
        ("format", f"version {card.format_version}"),
        *(("note", note) for note in card.notes),
    ]
    return [(name, text) for name, text in lines if text]


def _rule(labels: Labels) -> str:
    """When which answer is given."""
    asked = labels.binary_positive
    if asked is None:
        rule, of = "the likeliest class", "its probability"
    else:
        rule, of = f"{labels.names[asked]} from {labels.threshold:.4g}", "the probability"
    if labels.reject_band is not None:
        low, high = labels.reject_band
        rule += f"; not sure where {of} is {low:.4g} to {high:.4g}"
    if labels.max_novelty is not None:
        rule += f"; not sure over a novelty of {labels.max_novelty:.4g}"
    return rule


def _picture(given: Preprocess) -> str:
    how = {
        "crop": f"short side {given.short_side}, middle {given.size} x {given.size}",
        "pad": f"long side {given.size}, grey around it",
        "squash": f"{given.size} x {given.size}, whatever its shape",
    }
    mean, std = (", ".join(f"{n:.4g}" for n in part) for part in (given.mean, given.std))
    return f"{how[given.mode]} pixels, {given.filter}; mean {mean}, std {std}"


def _network(card: Card) -> str:
    facts = card.architecture
    return f"{facts.get('name', 'unknown')}, temperature {card.temperature:.4g}"


def _figures(figures: object) -> str:
    if not isinstance(figures, dict):
        return str(figures)
    return ", ".join(
        f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, float | int)
    )


def _data(data: dict[str, object]) -> str:
    splits = data.get("splits")
    counts = (
        ", ".join(f"{n} {count}" for n, count in splits.items()) if isinstance(splits, dict) else ""
    )
    print_of = str(data.get("fingerprint", ""))[:12]
    return ", ".join(
        part for part in (counts, f"fingerprint {print_of}" if print_of else "") if part
    )
