"""The facts of the report as Markdown: to read in a terminal, to paste into an issue."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from ...core.bundle import write_text
from ...core.labels import human
from . import words
from .advice import advise
from .facts import Facts, number_of
from .gallery import BUCKETS, by_bucket
from .words import interval, percent

MOST_MISTAKES = 200
MOST_CLASSES = 12  # with more, the mix-ups that occur most stand for the matrix
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+!|~&])")


def write_markdown(path: Path, facts: Facts) -> None:
    """Write report.md: the figures of the page without its pictures."""
    write_text(path, markdown(facts))


def markdown(facts: Facts) -> str:
    """The report as Markdown text."""
    parts = (_head(facts), _next(facts), *sections(facts, 2), _mistakes(facts), words.tested(facts))
    return "\n\n".join(part for part in parts if part) + "\n"


def sections(facts: Facts, level: int) -> Iterator[str]:
    """The figures, section by section, under headings of a level."""
    hashes = "#" * level
    found = {
        "Measures": measures(facts),
        "Which is taken for which": _matrix(facts),
        "Classes": _classes(facts),
        "Confidence": "\n\n".join(filter(None, (words.calibrated(facts), _reliability(facts)))),
        "Threshold": words.decided(facts),
        "Unlike training": _novelty(facts),
        "Kinds of pictures": _slices(facts),
        "Robustness": _robustness(facts),
        "Compared with another model": _against(facts),
    }
    for title, text in found.items():
        if text:
            yield f"{hashes} {title}\n\n{text}"


def plain(text: object) -> str:
    """Text that Markdown takes for text, in one line; marks of direction turn nothing around."""
    return _SPECIAL.sub(r"\\\1", _DIRECTION.sub("", " ".join(str(text).split())))


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], text: Container[int] = (0,)
) -> str:
    """A table; the columns `text` are read from the left, all others are numbers."""
    if not rows:
        return ""
    rule = ["---" if i in text else "---:" for i in range(len(header))]
    lines = [header, rule, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measures(facts: Facts) -> str:
    """Every figure with its interval."""
    rows = [
        (plain(m.name), f"{m.figure['value']:.3f}", interval(m.figure), plain(m.meaning))
        for m in words.measures(facts)
    ]
    return table(("measure", "value", "95 % interval", "meaning"), rows, (0, 3))


def code(text: str) -> str:
    """A command as a code block."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}console\n$ {' '.join(text.split())}\n{fence}"


def _head(facts: Facts) -> str:
    result = facts.result
    ends = interval(result["accuracy"], percent)
    value = percent(number_of(result["accuracy"]) or 0.0)
    lines = [
        f"# {plain(words.title(facts))}",
        plain(words.subtitle(facts)),
        *(f"> **Doubtful.** {plain(text)}" for text in words.warnings(facts)),
        f"**{value}** of the answers are right{f' (95 % interval {ends})' if ends else ''}, "
        f'{result["mistakes"]} are wrong, {result["not_sure"]} of {result["n"]} are "Not sure".',
    ]
    return "\n\n".join(lines)


def _next(facts: Facts) -> str:
    parts = ["## What next"]
    for number, advice in enumerate(advise(facts), start=1):
        text = f"{number}. **{plain(advice.title)}.** {plain(advice.why)}"
        block = "\n\n" + code(advice.command).replace("\n", "\n   ") if advice.command else ""
        parts.append(text + block.replace("\n\n", "\n\n   ", 1))
    return "\n\n".join(parts)


def _matrix(facts: Facts) -> str:
    matrix = facts.result["confusion_matrix"]
    names = [plain(human(name)) for name in matrix["labels"]]
    if len(names) > MOST_CLASSES:
        pairs = words.mix_ups(facts)[:MOST_CLASSES]
        rows = [(plain(human(p["truth"])), plain(human(p["predicted"])), p["n"], p["of"])
                for p in pairs]  # fmt: skip
        return table(("is", "taken for", "times", "of"), rows, (0, 1))
    counts = zip(names, matrix["counts"], strict=True)
    return table(("", *(f"said {n}" for n in names)), [(f"is {n}", *row) for n, row in counts])


def _classes(facts: Facts) -> str:
    rows = []
    for row in words.class_rows(facts):
        numbers = (number_of(figure) for figure in row.figures.values())
        shares = (words.UNDEFINED if n is None else f"{n:.3f}" for n in numbers)
        rows.append((plain(row.name), row.support, *shares))
    return table(("class", "pictures", "precision", "recall", "F1"), rows)


def _reliability(facts: Facts) -> str:
    found = (facts.calibration.after if facts.calibration else ()) or facts.reliability
    rows = [(percent(said), percent(right), f"{n:.0f}") for said, right, n in found]
    return table(("confidence", "share right", "pictures"), rows, ())


def _novelty(facts: Facts) -> str:
    found = facts.novelty
    if found is None:
        return ""
    told = f"{percent(found.flagged)} of the pictures lie over the cut of {found.cut:.3g}."
    return f"{told} {plain(words.sentence(found.method))}".strip()


def _slices(facts: Facts) -> str:
    rows = [
        (s.by, plain(s.name), s.n, percent(s.accuracy), f"{percent(s.low)} to {percent(s.high)}",
         "worse" if s.worse else "")
        for s in facts.slices
    ]  # fmt: skip
    return table(("by", "pictures", "number", "right", "95 % interval", ""), rows, (0, 1, 5))


def _robustness(facts: Facts) -> str:
    panel = facts.robustness
    if panel is None:
        return ""
    rows = [
        (name, percent(panel.clean.accuracy), *(percent(point.accuracy) for point in points))
        for name, points in panel.curves.items()
    ]
    text = f"Share right at each severity, on {panel.n} of {panel.of} pictures."
    return f"{text}\n\n{table(('', '0', '1', '2', '3', '4', '5'), rows)}"


def _against(facts: Facts) -> str:
    found = facts.against
    if found is None:
        return ""
    rows = [
        (plain(m.path), plain(human(m.truth)), plain(human(m.predicted)), plain(m.why))
        for m in (*found.gained, *found.lost)[:MOST_MISTAKES]
    ]
    header = ("picture", "labelled", "answered here", "")
    changed = table(header, rows, (0, 1, 2, 3))
    return f"{plain(words.sentence(found.sentence))}\n\n{changed}".strip()


def _mistakes(facts: Facts) -> str:
    shown = by_bucket(facts.mistakes)[:MOST_MISTAKES]
    rows = [
        (plain(m.path), plain(human(m.truth)), percent(m.probabilities[m.truth]),
         plain(human(m.predicted)), percent(m.probabilities[m.predicted]),
         BUCKETS[m.bucket][0] if m.bucket in BUCKETS and m.bucket else "")
        for m in shown
    ]  # fmt: skip
    if not rows:
        return "## Mistakes\n\nNone."
    header = ("picture", "labelled", "at", "answered", "at", "")
    more = facts.result["mistakes"] - len(rows)
    rest = f"\n\nand {more} more: predictions.parquet has them all" if more > 0 else ""
    return f"## Mistakes\n\n{table(header, rows, (0, 1, 3, 5))}{rest}"
