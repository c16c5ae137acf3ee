"""The last pieces of the page: logits, probabilities and how the verdict is found."""

from __future__ import annotations

from html import escape

import numpy as np

from ..core.labels import UNLIKE, human
from . import words
from .way import Way

CLASSES = 8  # in the table


def logits_table(way: Way) -> str:
    """The likeliest classes from logit to probability."""
    temperature = 1.0 if way.card.scales else way.card.temperature
    logits = way.logits[0].astype(np.float64)
    logits -= logits.mean()
    cooled = logits / temperature
    powers = np.exp(cooled)
    shares = way.probabilities[0]
    order = np.argsort(-shares, kind="stable")[:CLASSES]
    warm = temperature != 1
    heads = ["logit", *([f"÷ {temperature:.3g}"] if warm else []), "e to that", "probability"]
    lines = []
    for at in order.tolist():
        cells = [logits[at], *([cooled[at]] if warm else []), powers[at]]
        lines.append(
            f"<tr><th>{named(way.card.labels.names[at])}</th>"
            + "".join(f'<td class="n">{value:.4g}</td>' for value in cells)
            + f'<td class="n">{percent(float(shares[at]))}</td><td class="shares">'
            + f'<div class="bar"><i style="width:{100 * float(shares[at]):.1f}%"></i></div></td>'
            + "</tr>"
        )
    left = len(shares) - len(order)
    total = "all together" if not left else f"with {left:,} more"
    empty = '<td class="n"></td>' * (1 + warm)
    lines.append(
        f'<tr class="soft"><th>{total}</th>{empty}<td class="n">{powers.sum():.4g}</td>'
        f'<td class="n">100 %</td><td class="shares"></td></tr>'
    )
    titles = "".join(f'<th class="n">{head}</th>' for head in heads)
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="From logits to probabilities">'
        f'<table class="logits"><thead><tr><th>class</th>{titles}<th class="shares"></th></tr>'
        "</thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def decision(way: Way) -> str:
    """The steps from probabilities to the verdict."""
    steps = [_threshold(way), _band(way), _novelty(way), _so(way)]
    return f'<ol class="steps">{"".join(f"<li>{step}</li>" for step in steps)}</ol>'


def _threshold(way: Way) -> str:
    labels, (name, share) = way.card.labels, words.asked(way)
    if labels.binary_positive is None:
        text = (
            f"<b>The likeliest class</b> is {named(str(way.answer.label))}, with {percent(share)}."
        )
        return text + _gauge(way, name, share, None)
    other = human(labels.names[1 - labels.binary_positive])
    side = "over" if share >= labels.threshold else "under"
    text = (
        f"<b>Threshold.</b> From {percent(labels.threshold)} on it is {named(name)}, below it is "
        f"{named(other)}. Here it is {percent(share)}: {side} the threshold."
    )
    return text + _gauge(way, name, share, labels.threshold)


def _gauge(way: Way, name: str, share: float, threshold: float | None) -> str:
    band = way.card.labels.reject_band
    low, high = (max(0.0, min(1.0, end)) for end in band) if band else (0.0, 0.0)
    alt = f"Probability of {name}: {percent(share)}"
    alt += f"; threshold {percent(threshold)}" if threshold is not None else ""
    alt += f"; not sure from {percent(low)} to {percent(high)}" if band else ""
    zone = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>' if band else ""
    tick = "" if threshold is None else f'<u style="left:{100 * threshold:.1f}%"></u>'
    return (
        f'<div class="gauge" role="img" aria-label="{escape(alt)}">{zone}{tick}'
        f'<b style="left:{100 * share:.1f}%"></b></div>'
        f'<p class="ends"><span>0 %</span><span>{escape(alt)}</span><span>100 %</span></p>'
    )


def _band(way: Way) -> str:
    band = way.card.labels.reject_band
    if band is None:
        return "<b>Not sure.</b> This model has no band of probabilities in which it says so."
    inside = band[0] <= words.asked(way)[1] < band[1]
    return (
        f"<b>Not sure.</b> From {percent(band[0])} up to {percent(band[1])} it is too close to "
        f"call. This photo is {'inside' if inside else 'outside'}."
    )


def _novelty(way: Way) -> str:
    novelty, most = way.answer.novelty, way.card.labels.max_novelty
    if novelty is None:
        return "<b>Novelty.</b> This model file doesn't know what its training pictures were like."
    told = f"<b>Novelty.</b> How unlike all training pictures the embedding is: {novelty:.2f}."
    if most is None:
        return f"{told} This model sets no limit."
    if way.answer.reason == UNLIKE:
        return f"{told} That is over the limit, {most:.2f}: it has seen nothing like this."
    return f"{told} The limit is {most:.2f}: it has seen photos like this."


def _so(way: Way) -> str:
    why = f", because it is {way.answer.reason}" if way.answer.reason else ""
    return f"<b>So the verdict is {escape(str(way.answer.verdict))}</b>{escape(why)}."


def named(name: str) -> str:
    """A class name for people, whose direction marks turn nothing around it."""
    return f'<bdi dir="auto">{escape(human(name))}</bdi>'


def percent(share: float) -> str:
    """A probability; what is only nearly certain is never called 100 %."""
    if 0 < 1 - share < 0.0005:
        return "over 99.9 %"
    if 0 < share < 0.0005:
        return "under 0.1 %"
    return f"{100 * share:.1f} %".replace(".0 %", " %")
