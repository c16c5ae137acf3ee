"""A page that tells at a glance how the service fares: what it answers, and whether that drifts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ..core.drift import FEW, SHIFTED, STABLE
from .docs import page_head
from .drift import WINDOW
from .service import Service


def status_page(service: Service) -> str:
    """HTML without scripts, of this moment."""
    drift = service.drift
    parts = [
        page_head("pizzaiolo status"),
        "<h1>How it fares</h1>",
        f"<p>{_answers(len(drift.answers))} {_load(service)}</p>",
        *_verdicts(service),
        *_drift(service),
        '<p><a href="/">The page</a>, <a href="/metrics">all figures</a>, '
        '<a href="/v1/model">the model\'s card</a></p></main></body></html>',
    ]
    return "".join(parts)


def _answers(count: int) -> str:
    if count == 0:
        return "Nothing was answered yet."
    kept = f"the last {WINDOW:,}" if count == WINDOW else f"{count:,}"
    return f"This page tells of {kept} answers since the start."


def _load(service: Service) -> str:
    gate = service.gate
    return f"Now {gate.working} at work, {gate.waiting} waiting, room for {gate.room}."


def _verdicts(service: Service) -> Iterator[str]:
    now, told = service.drift.verdicts, service.drift.reference
    then = told.verdicts if told else {}
    if not now:
        return
    yield "<h2>Verdicts</h2><table><tr><th>verdict</th><th>now</th><th>when judged</th></tr>"
    for name in sorted({*now, *then}):
        cells = (
            escape(name),
            f"{now.get(name, 0):.0%}",
            f"{then[name]:.0%}" if name in then else "",
        )
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    sure = service.drift.confidence
    mean = f"{told.confidence.mean:.1%}" if told else ""
    yield f"<tr><td>mean confidence</td><td>{sure:.1%}</td><td>{mean}</td></tr></table>"


def _drift(service: Service) -> Iterator[str]:
    yield "<h2>Drift</h2>"
    if service.drift.reference is None:
        yield "<p>Nothing to compare with: evaluate the model's RUN, and export it again.</p>"
        return
    indices = service.drift.indices()
    if not indices:
        yield f"<p>Told from {FEW} answers on.</p>"
        return
    yield "<table><tr><th>of</th><th>index</th><th></th></tr>"
    for name, index in indices.items():
        yield f"<tr><td>{name}</td><td>{index:.3f}</td><td>{_word(index)}</td></tr>"
    yield (
        "</table><p>The population stability index of the last answers against those on the "
        "validation pictures. A shift says that the pictures are others than those the model was "
        "judged on, not that its answers are wrong: look at some, and correct what is.</p>"
    )


def _word(index: float) -> str:
    return "stable" if index < STABLE else "a shift" if index > SHIFTED else "moved a little"
