"""The pictures of the diagnosis and the ablation, and their sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...core.bars import Bar, bars
from ...core.layers import Band, Dot, Dots, Whiskers
from ...core.plot import Drawing, Line, Panel, axis
from ..ablation import MEMBER, SWITCHED_ON, Effect
from ..diagnose.fit import FITS, OVER, UNDER, Gap
from ..diagnose.forecast import Forecast
from ..scale import Scale, many
from ..words import SAID, spoken
from .charts import Plot, clipped, plot
from .facts import Facts

AHEAD = 2.0  # the forecast is drawn up to so many times the pictures that were measured
STEPS = 60
MOST_EFFECTS = 14
SHARES = Scale("accuracy", True)
FIT_WORDS = {
    OVER: ("It overfits", "It is better on what it has learnt from than on other pictures."),
    UNDER: ("It underfits", "Not even the pictures it has learnt from are answered well."),
    FITS: ("It neither over- nor underfits", "What it has learnt holds for other pictures, too."),
}


def learning_curve(facts: Facts) -> Plot | None:
    """The accuracy by pictures learnt from, with the forecast and its band."""
    told = facts.diagnosis
    if told is None or told.curve is None or not len(told.curve.pictures):
        return None
    curve, found = told.curve, told.forecast
    figures, sizes = curve.figures(), [float(n) for n in curve.pictures]
    spans = [
        (n, f.low, f.high)
        for n, f in zip(sizes, figures, strict=True)
        if f.low is not None and f.high is not None
    ]
    dots = [
        Dot(n, f.value, f"{n:,.0f} pictures: {SHARES.value(f.value)}")
        for n, f in zip(sizes, figures, strict=True)
        if f.value is not None
    ]
    ahead = _ahead(found, sizes)
    heights = [dot.y for dot in dots] + [e for _, *ends in spans for e in ends]
    heights += [e for _, low, value, high in ahead[-1:] for e in (low, value, high)]
    wish = facts.wish
    y = axis("accuracy", [*heights, *([wish] if wish else [])], unit=0.01)
    x = axis("pictures learnt from", [0.0, max([*sizes, *(n for n, *_ in ahead)])])
    band = Band([(n, clipped(low, y), clipped(high, y)) for n, low, _, high in ahead], "first")
    lines = [Line("", [(n, clipped(value, y)) for n, _, value, _ in ahead], "first")]
    lines += [Line("", [(x.low, wish), (x.high, wish)], "guide")] if wish else []
    legend = [("measured", "second")]
    legend += [("forecast, 95 % band", "band first")] if ahead else []
    legend += [("wished for", "line guide")] if wish else []
    panel = Panel(
        "", x, y, tuple(lines), below=(band,) if ahead else (),
        above=(Whiskers(spans, "second"), Dots(dots, "second")),
    )  # fmt: skip
    made = plot("learning_curve", "Will more photos help?", "Accuracy by pictures learnt from",
                panel, legend)  # fmt: skip
    learner = f" Measured with {told.learner}." if told.learner else ""
    return replace(made, caption=_grown(facts, found, sizes) + learner)


def _ahead(found: Forecast | None, sizes: Sequence[float]) -> list[tuple[float, ...]]:
    """The forecast from the smallest size on: pictures, low, value, high."""
    if found is None:
        return []
    rows: list[tuple[float, ...]] = []
    for n in np.geomspace(min(sizes), AHEAD * max(sizes), STEPS):
        figure = found.at(float(n))
        if figure.value is not None:
            low = figure.value if figure.low is None else figure.low
            high = figure.value if figure.high is None else figure.high
            rows.append((float(n), low, figure.value, high))
    return rows


def _grown(facts: Facts, found: Forecast | None, sizes: Sequence[float]) -> str:
    """What twice the pictures would bring, and what the wish takes."""
    if found is None:
        return "The bars are 95 % intervals. There are too few sizes for a forecast."
    twice, now = found.at(AHEAD * max(sizes)), found.at(max(sizes))
    ends = SHARES.ends(twice.low, twice.high)
    told = f"{SHARES.value(twice.value)}{f' ({ends})' if ends else ''}"
    before = f"after {SHARES.value(now.value)} with {max(sizes):,.0f}"
    text = f"With twice as many pictures about {told} {before}."
    if facts.wish is not None:
        text += f" {_wished(found, facts.wish)}"
    return text


def _wished(found: Forecast, wish: float) -> str:
    needed = found.needed(wish)
    if needed is None:
        return f"By this curve {SHARES.value(wish)} is not to be had by more photos alone."
    if needed.far:
        return f"For {SHARES.value(wish)} it takes far more photos than a forecast reaches."
    top = f"{needed.low:,} to {needed.high:,}" if needed.high else f"{needed.low:,} or more"
    return f"For {SHARES.value(wish)} it takes about {many(needed.pictures, 'picture')} ({top})."


def gap(found: Gap | None) -> Drawing | None:
    """Accuracy on what was learnt from and on what was held out."""
    if found is None or found.train_accuracy is None:
        return None
    pairs = (
        ("learnt from", found.train_accuracy, "faint"),
        ("held out", found.held_out_accuracy, "second"),
        ("always the commonest class", found.usual, "faint"),
    )
    entries = [Bar(name, value, SHARES.value(value), colour=kind) for name, value, kind in pairs]
    low = min(value for _, value, _ in pairs)
    x = axis("accuracy", [max(0.0, low - 0.05), 1.0], unit=0.01)
    return bars("Accuracy on learnt and on held-out pictures", entries, x, filled=False)


def fits(facts: Facts) -> Plot | None:
    """The gap between training and held-out accuracy, with what was tried against it."""
    found = facts.diagnosis.gap if facts.diagnosis else None
    drawn = gap(found)
    if found is None or drawn is None:
        return None
    title, caption = FIT_WORDS.get(found.verdict, ("Over- or underfitting?", "Too few pictures."))
    if found.gap is not None and found.low is not None and found.high is not None:
        ends = f"{SHARES.gain(found.low)} to {SHARES.gain(found.high)}"
        caption += f" The gap is {SHARES.gain(found.gap)} points ({ends})."
    caption += "".join(f" {text}" for text in _tried(facts))
    return Plot("fit", title, drawn, caption)


def _tried(facts: Facts) -> Iterator[str]:
    scale = Scale.of(facts.study.aim)
    for tried in facts.diagnosis.tried if facts.diagnosis else ():
        if tried.gain is None:
            yield f"Tried: {tried.remedy.what}; it failed ({tried.reason})."
        else:
            said = f"{scale.gain(tried.gain.value)} {scale.units} ({scale.between(tried.gain)})"
            yield f"Tried: {tried.remedy.what}: {said}{'' if tried.helped else ', within noise'}."


def effects(facts: Facts) -> Plot | None:
    """What each setting of the winner brings, with intervals."""
    scale = Scale.of(facts.study.aim)
    told = [(e, e.gain) for e in facts.ablation if e.gain is not None][:MOST_EFFECTS]
    if not told:
        return None
    entries = []
    for effect, gain in told:
        colour = "good" if gain.low > 0 else "second" if gain.high < 0 else "faint"
        said = f"{scale.gain(gain.value)} ({scale.between(gain)})"
        entries.append(Bar(effect_name(effect), gain.value, said, gain.low, gain.high, colour))
    reach = [0.0, *(e for _, g in told for e in (g.low, g.high))]
    x = axis(f"{scale.name}, {scale.units}", [v / scale.unit for v in reach])
    scaled = [
        replace(b, value=b.value / scale.unit, low=(b.low or 0.0) / scale.unit,
                high=(b.high or 0.0) / scale.unit)
        for b in entries
    ]  # fmt: skip
    drawn = bars("What each setting brings", scaled, x, filled=False)
    return Plot("ablation", "What each setting brings", drawn, _explained(facts.ablation))


def effect_name(effect: Effect) -> str:
    """What is compared: `focal instead of cross entropy`."""
    if effect.kind == MEMBER:
        return f"{effect.value} in the join"
    if effect.other in SAID.values():
        return effect.value  # which says enough: balanced by weights
    return f"{effect.value} instead of {effect.other.removeprefix(f'{spoken(effect.name)} ')}"


def _explained(found: Sequence[Effect]) -> str:
    if any(effect.kind == SWITCHED_ON for effect in found):
        text = "The default is the best; each of these was switched on alone"
    else:
        text = "Each setting of the best was put back to the default alone"
    return (
        f"{text}, on the same pictures. Right of the line it helps; green helps and red harms "
        "beyond the 95 % interval, grey is within noise. Not corrected for their number."
    )
