"""What to do next: from the figures alone, the most urgent first, each with its command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...core.labels import human
from ..mistakes import UNLIKE, WRONG_LABEL
from .facts import Facts, number_of
from .marks import quoted, replay_command, with_source
from .words import about

LOW_RECALL, GOOD = 0.95, 0.97
OFF = 0.03  # confidence off by so much, even at the lower end of its interval
WIDE = 0.05  # an interval of accuracy wider than this hides what a change brings
QUIET = 0.15  # "Not sure" more often than this is a nuisance
FALL = 0.1  # accuracy lost at severity 3
UNEVEN = 1.5  # the largest class has so many times the pictures of the smallest
STRONGER = "--recipe finetune --augment rand"


@dataclass(frozen=True)
class Advice:
    """One thing to do, why, and the command; words in capitals are for the reader to fill in."""

    title: str
    why: str
    command: str = ""


def advise(facts: Facts) -> list[Advice]:
    """What the figures call for, the most urgent first; at least one thing."""
    found = [advice for rule in RULES for advice in rule(facts)]
    return found or [_ship(facts)]


def _doubtful(facts: Facts) -> Iterator[Advice]:
    result = facts.result
    if result.get("leaks"):
        yield Advice(
            "Split anew, copies together",
            f"{result['leaks']} tested pictures have a near-copy in training: the figures are too "
            "good. Prepared in one go, copies stay in one split.",
            _prepare(facts),
        )
    if result["split"] != "test":
        yield Advice(
            "Look at the test split for the last word",
            f"The model was made or chosen on the {result['split']} split.",
            f"pizzaiolo evaluate {_inputs(facts)} --out TEST_REPORT",
        )


def _labels(facts: Facts) -> Iterator[Advice]:
    count = sum(shown.bucket == WRONG_LABEL for shown in facts.mistakes)
    if not facts.result["mistakes"]:
        return
    if count:
        title = f"Check {count} label{'s' if count > 1 else ''} that look{'' if count > 1 else 's'}"
        title += " wrong"
        why = "The model contradicts them and the nearest training pictures do, too."
    elif any(shown.bucket for shown in facts.mistakes):
        return
    else:
        title = "Look at the most confident mistakes first"
        why = "Some may be wrong labels."
    yield Advice(
        title, f"{why} Mark them below, save decisions.csv, prepare again.", _replay(facts)
    )


def _classes(facts: Facts) -> Iterator[Advice]:
    per_class = facts.result["per_class"]
    found = {n: r for n, c in per_class.items() if (r := number_of(c["recall"])) is not None}
    worst = min(found, key=lambda name: found[name], default=None)
    if worst is None or found[worst] >= LOW_RECALL:
        return
    missed = f"{human(worst)} is found in {about(found[worst])} of its pictures only"
    counts = facts.card.data.get("train_per_class") or []
    if counts and max(counts) > UNEVEN * min(counts) and _trained(facts, "balance") == "none":
        yield Advice(
            "Make up for unequal classes",
            f"{missed}, and training saw {max(counts):,} pictures of one class and "
            f"{min(counts):,} of another.",
            f"pizzaiolo train {quoted(facts.dataset)} --balance weights --out RUN",
        )
    else:
        yield Advice(f"Add pictures of {human(worst)}", f"{missed}.", _more(facts))


def _slices(facts: Facts) -> Iterator[Advice]:
    worse = [part for part in facts.slices if part.worse]
    for part in sorted(worse, key=lambda s: s.accuracy - s.rest)[:1]:
        ends = f"{about(part.low)} to {about(part.high)}"
        yield Advice(
            f"Add training pictures like these: {part.by} {part.name}",
            f"{about(part.accuracy)} of {part.n} are right ({ends}), {about(part.rest)} of all "
            "others. That is more than chance.",
            _more(facts),
        )


def _confidence(facts: Facts) -> Iterator[Advice]:
    figure = facts.calibration.ece_after if facts.calibration else {}
    figure = figure if figure.get("low") is not None else facts.result.get("ece") or {}
    value, low = figure.get("value"), figure.get("low")
    if value is not None and low is not None and low > OFF:
        yield Advice(
            "Read the percentages with care",
            f"They are off by {100 * value:.0f} points on average. The temperature is fitted on "
            "the validation split: more pictures there make it better.",
            _more(facts),
        )
    coverage = number_of(facts.decision.coverage) if facts.decision else None
    if coverage is not None and 1 - coverage > QUIET and (quality := _better(facts)):
        yield Advice(
            "Train a stronger model: it answers more",
            f'{about(1 - coverage)} of the pictures get "Not sure".',
            f"pizzaiolo train {quoted(facts.dataset)} --quality {quality} --out RUN",
        )


def _unlike(facts: Facts) -> Iterator[Advice]:
    buckets = Counter(shown.bucket for shown in facts.mistakes)
    if buckets[UNLIKE] > 1 and 3 * buckets[UNLIKE] >= len(facts.mistakes):
        yield Advice(
            "Add pictures like those that look unlike training",
            f"{buckets[UNLIKE]} of {len(facts.mistakes)} mistakes are of that kind.",
            _more(facts),
        )


def _robustness(facts: Facts) -> Iterator[Advice]:
    if facts.robustness is None:
        return
    clean = facts.robustness.clean.accuracy
    at = {name: points[2].accuracy for name, points in facts.robustness.curves.items()}
    worst = min(at, key=lambda name: at[name], default=None)
    if worst is None or clean - at[worst] <= FALL:
        return
    if facts.robustness.curves[worst][2].high >= clean:  # on so few pictures it may be chance
        return
    yield Advice(
        f"Train with stronger changes against {_spoken(worst)}",
        f"At severity 3 of 5, {about(at[worst])} are right, without it {about(clean)}. "
        "It matters where such pictures will come.",
        f"pizzaiolo train {quoted(facts.dataset)} {STRONGER} --out RUN",
    )


def _precision(facts: Facts) -> Iterator[Advice]:
    figure, n = facts.result["accuracy"], facts.result["n"]
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return
    if value < GOOD and (quality := _better(facts)):
        yield Advice(
            "Spend more on training",
            f"{about(value)} is right so far; larger models and more epochs mostly find more.",
            f"pizzaiolo train {quoted(facts.dataset)} --quality {quality} --out RUN",
        )
    if high - low > WIDE:
        times = ((high - low) / (WIDE / 2)) ** 2
        yield Advice(
            f"Test on more pictures: about {_round(n * times):,}",
            f"{n:,} leave the accuracy open by {100 * (high - low):.0f} points; so many would "
            f"narrow that to {50 * WIDE:.1f}.",
            _more(facts),
        )


RULES: tuple[Callable[[Facts], Iterator[Advice]], ...] = (
    _doubtful, _labels, _slices, _classes, _unlike, _confidence, _robustness, _precision,
)  # fmt: skip


def _ship(facts: Facts) -> Advice:
    if facts.model.endswith(".onnx"):
        command = f"pizzaiolo serve --model {quoted(facts.model)}"
        return Advice("Serve it", "Nothing stands out.", command)
    command = f"pizzaiolo export {quoted(facts.model)} --out model.onnx"
    return Advice("Export it and serve it", "Nothing stands out.", command)


def _inputs(facts: Facts) -> str:
    return f"{quoted(facts.model)} {quoted(facts.dataset)}"


def _prepare(facts: Facts) -> str:
    return facts.marks.command or replay_command(facts.dataset)


def _replay(facts: Facts) -> str:
    return f"{_prepare(facts)} --decisions decisions.csv"


def _more(facts: Facts) -> str:
    return with_source(_prepare(facts), "MORE_PICTURES")


def _trained(facts: Facts, name: str) -> object:
    return facts.card.training.get(name)


def _better(facts: Facts) -> str | None:
    """The next `--quality` of a training, None for the best and for what was not trained here."""
    quality = _trained(facts, "quality")
    if not facts.card.training:
        return None
    return {"best": None, "good": "best"}.get(str(quality), "good")


def _spoken(corruption: str) -> str:
    return {"jpeg": "JPEG compression", "brightness": "wrong exposure"}.get(corruption, corruption)


def _round(count: float) -> int:
    """A count to two digits."""
    digits = max(0, len(str(int(count))) - 2)
    return int(round(count / 10**digits) * 10**digits)
