"""What the diagnosis found of labels and classes, and the test, in sentences and table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.labels import human
from ...evaluate.compare import BETTER, NOISE, WORSE
from ..diagnose.balance import Balance
from ..diagnose.noise import Noise
from ..scale import Scale, many
from ..trial import Study
from ..winner import SAME, Crowned
from .answers import Answer
from .charts import Plot
from .findings import SHARES
from .importance import FEWEST

FIGURES = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "precision": "precision",
    "recall": "recall", "f1": "F1", "auroc": "AUROC", "ece": "calibration error",
    "log_loss": "log loss",
}  # fmt: skip
VERDICTS = {
    BETTER: ("good", "Really better"), WORSE: ("bad", "Worse"), NOISE: ("plain", "Within noise"),
    SAME: ("plain", "The default"),
}  # fmt: skip


def noise(found: Noise | None) -> str:
    """How many labels are wrong."""
    if found is None:
        return ""
    share = found.share
    if share.value is None:
        return "There are too few pictures to tell how many labels are wrong."
    ends = SHARES.ends(share.low, share.high)
    if not found.found:
        most = SHARES.value(share.high)
        return f"Hardly any label looks wrong: about {SHARES.value(share.value)}, at most {most}."
    text = f"About {SHARES.value(share.value)} of the labels look wrong (95 % interval {ends} %)."
    worst = max(found.by_class, key=lambda name: found.by_class[name], default=None)
    if worst is not None and found.by_class[worst] > 1.5 * share.value:
        text += f" Most of {human(worst)}: {SHARES.value(found.by_class[worst])}."
    return text


def balance(found: Balance | None) -> str:
    """How unequal the classes are, and whether that matters."""
    if found is None:
        return ""
    rarest = f"{human(found.rarest)}, the rarest class, has {found.counts[found.rarest]:,} pictures"
    if not found.uneven:
        return f"The classes are about as large: {rarest}."
    text = (
        f"{rarest}, the commonest {found.ratio:.1f} times as many. {SHARES.value(found.recall)} of "
        f"them are answered rightly, {SHARES.value(found.others)} of all others"
    )
    return f"{text}: more than chance." if found.worse else f"{text}: within noise."


def too_few(study: Study, shown: Sequence[Plot]) -> str:
    """Why there are no importances."""
    if any(plot.file == "importances" for plot in shown):
        return ""
    done = [t for t in study.done if t.value is not None]
    if len(done) < FEWEST:
        return (
            f"What matters can be told from {FEWEST} finished settings on; there "
            f"{'is' if len(done) == 1 else 'are'} {len(done)}."
        )
    return "What matters can't be told: nothing differs between the finished settings."


def tested(found: Crowned | None, scale: Scale, name: str) -> Answer | None:
    """What the test split says: the box of the first screen."""
    if found is None:
        return None
    colour, verdict = VERDICTS.get(found.verdict, ("plain", found.verdict))
    value = _number(found.best.get(name))
    big = scale.value(value) if value is not None else verdict
    said = [found.sentence]
    if found.verdict == SAME or found.gain is None:
        return Answer(big, colour, said=tuple(said))
    usual = _number((found.default or {}).get(name))
    told = f"{verdict}: {scale.gain(found.gain.value)} {scale.units}"
    against = f" against {scale.value(usual)} of the default" if usual is not None else ""
    looks = f"The test split was looked at {many(found.looks, 'time')}." if found.looks > 1 else ""
    return Answer(
        big, colour, "",
        (f"{told}{against}, on {many(found.gain.pictures, 'unseen picture')}.",),
        (f"95 % interval {scale.between(found.gain)}.", *([looks] if looks else [])),
    )  # fmt: skip


def test_rows(found: Crowned | None) -> list[tuple[str, str, str]]:
    """A row for each figure: its name, that of the best, that of the default."""
    if found is None:
        return []
    rows = []
    for key, name in FIGURES.items():
        if _number(found.best.get(key)) is not None:
            rows.append((name, _figure(found.best, key), _figure(found.default or {}, key)))
    return rows


def _number(value: Any) -> float | None:
    number = value.get("value") if isinstance(value, Mapping) else value
    return None if number is None else float(number)


def _figure(result: Mapping[str, Any], key: str) -> str:
    figure, value = result.get(key), _number(result.get(key))
    if value is None:
        return "-"
    low, high = (figure.get(e) if isinstance(figure, Mapping) else None for e in ("low", "high"))
    ends = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{value:.3f}{ends}"
