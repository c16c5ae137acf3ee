"""Pieces of the page as HTML: facts, hex, tables of the pixel, tiles of feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from . import draw
from .maps import Maps
from .slots import REACH, RUN, Slots, ink_on
from .stages import Stage
from .way import Way

HEX_ROWS, HEX_WIDE = 8, 8
TILES = 12  # feature maps of a stage
ON_THE_WAY = ("file", "pixels", "input", "tensor", "embedding", "probabilities")  # with a section


def facts(stage: Stage, kind: str, size: int) -> str:
    """Shape, type, range and memory of a tensor; `kind` names its sides, `size` is in bytes."""
    pairs = [
        ("shape", f"<code>{list(stage.shape)}</code>"),
        ("sides", kind),
        ("type", f"<code>{stage.dtype}</code>"),
        ("values", f"{stage.low:.3g} to {stage.high:.3g}, mean {stage.mean:.3g}"),
        ("memory", memory_of(size)),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in pairs)
    return f'<dl class="facts">{rows}</dl>'


def memory_of(size: int) -> str:
    """Bytes for people."""
    if size < 10_000:
        return f"{size:,} bytes"
    return f"{size / 1e3:,.0f} KB" if size < 1e7 else f"{size / 1e6:,.1f} MB"


def route(stages: Sequence[Stage], verdict: str) -> str:
    """The way in a few lines, each a link."""
    found, maps = [], [s for s in stages if s.name.startswith("feature maps")]
    for stage in stages:
        if stage.name == "embedding" and maps:
            last = maps[-1]
            found.append(("maps", "feature maps", str(list(last.shape)), last.dtype))
        if stage.name in ON_THE_WAY:
            found.append((stage.name, stage.name, str(list(stage.shape)), stage.dtype))
    items = [
        f'<li><a href="#{place}">{name}</a> <code>{shape}</code> <span>{kind}</span></li>'
        for place, name, shape, kind in found
    ]
    return "\n".join([*items, f'<li><a href="#verdict">verdict</a> <b>{escape(verdict)}</b></li>'])


def hexdump(data: bytes, marked: int = 0) -> str:
    """The first bytes as a reader of files sees them; so many are marked."""
    lines = []
    for start in range(0, min(len(data), HEX_ROWS * HEX_WIDE), HEX_WIDE):
        row = data[start : start + HEX_WIDE]
        codes = " ".join(f"{byte:02X}" for byte in row).ljust(3 * HEX_WIDE - 1)
        letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        if start == 0 and marked:
            end = 3 * marked - 1
            codes = f"<mark>{codes[:end]}</mark>{codes[end:]}"
        lines.append(f"<i>{start:04}</i>  {codes}  <b>{escape(letters)}</b>")
    text = "\n".join(lines)
    return f'<pre class="hex">{text}</pre>'


def slot(tag: str, key: str, slots: Slots, more: str = "") -> str:
    """An element with the text and the colour of one slot."""
    colour, style = slots.colours.get(key), ""
    if colour is not None:
        red, green, blue = colour
        style = f' style="background:rgb({red} {green} {blue});color:{ink_on(colour)}"'
    return f'<{tag}{more} data-k="{key}"{style}>{escape(slots.texts[key])}</{tag}>'


def pixel_table(way: Way, slots: Slots) -> str:
    """The numbers of the pixel from the file's picture to the tensor."""
    preprocess, turned = way.card.preprocess, way.header.orientation > 1
    stored = f", stored at {slot('code', 'stored', slots)}" if turned else ""
    mean, std = (_channels(values) for values in (preprocess.mean, preprocess.std))
    rows = [
        (f"decoded picture, pixel {slot('code', 'picture', slots)}{stored}", "decoded"),
        (f"input, pixel {slot('code', 'at', slots)}", "input"),
        ("÷ 255", "unit"),
        (f"− mean ({mean})", "centred"),
        (f"÷ std ({std})", "tensor"),
        ("its place in the tensor", "index"),
    ]
    heads = "".join(f'<th class="n">{name}</th>' for name in draw.CHANNELS)
    body = "".join(
        f'<tr class="{key}"><th>{name}</th>'
        + "".join(slot("td", f"{key}{c}", slots, ' class="n"') for c in range(3))
        + "</tr>"
        for name, key in rows
    )
    swatch = slot("span", "swatch", slots, ' class="swatch"')
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="The numbers of the pixel">'
        f'<table class="numbers"><thead><tr><th>{swatch}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _channels(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in (values if len(set(values)) > 1 else values[:1]))


def sheets(slots: Slots) -> str:
    """The pixels around the chosen one: one sheet of threes, three sheets of ones."""
    names = {"patch": "HWC, uint8"}
    names |= {f"sheet{c}": f"NCHW, float32: {draw.CHANNELS[c]}" for c in range(3)}
    return "\n".join(_sheet(key, name, slots) for key, name in names.items())


def _sheet(key: str, name: str, slots: Slots) -> str:
    side = 2 * REACH + 1
    rows = "".join(
        "<tr>"
        + "".join(
            slot("td", f"{key}-{r}{c}", slots, ' class="mid"' if r == c == REACH else "")
            for c in range(side)
        )
        + "</tr>"
        for r in range(side)
    )
    return (
        f'<figure class="sheet {key}"><table>{rows}</table><figcaption>{name}</figcaption></figure>'
    )


def memory(way: Way, slots: Slots) -> str:
    """How the numbers of four pixels lie in memory in both layouts."""
    packed = "".join(
        slot("span", f"packed-{k}{c}", slots, f' class="{draw.CHANNELS[c]}"')
        for k in range(RUN)
        for c in range(3)
    )
    planar = "".join(
        f"<div><small>number {slot('span', f'plane{c}', slots)} on</small><p>"
        + "".join(
            slot("span", f"planar-{k}{c}", slots, f' class="{draw.CHANNELS[c]}"')
            for k in range(RUN)
        )
        + "…</p></div>"
        for c in range(3)
    )
    first = f"<small>number {slot('span', 'packed', slots)} on</small>"
    bytes_, floats = way.pixels.nbytes, way.tensor.nbytes
    return (
        f'<div class="memory"><div>{first}<p>{packed}…</p></div></div>'
        f'<div class="memory planar">{planar}</div>'
        f'<p class="soft">{bytes_:,} bytes in the first, {floats:,} in the second: '
        "each float takes four.</p>"
    )


def maps_of_stage(number: int, maps: Maps, size: int) -> str:
    """One stage: its shape, what one number stands for, the liveliest maps as tiles."""
    _, channels, side, _ = maps.shape
    chosen = draw.liveliest(maps, TILES)
    shown = maps[0, chosen]
    low, high = min(0.0, float(shown.min())), float(np.quantile(shown, 0.995))
    tiles = "".join(
        f'<figure><img class="dots" src="{draw.tile(maps[0, c], low, high)}" '
        f'alt="Stage {number}, map {c}"><figcaption>{c}</figcaption></figure>'
        for c in chosen
    )
    silent = channels - int(maps[0].any(axis=(1, 2)).sum())
    return (
        f"<h3>Stage {number}: {channels:,} maps of {side} × {side} "
        f"<code>{list(maps.shape)}</code></h3>"
        f"<p>{_patch_words(size, side)} {_count_words(channels, len(chosen), silent)}</p>"
        f'<div class="tiles maps">{tiles}</div>'
    )


def _patch_words(size: int, side: int) -> str:
    stride = size / side
    across = f"{stride:.0f}" if abs(stride - round(stride)) < 0.05 else f"{stride:.1f}"
    return f"A number for every {across} × {across} pixels of the input."


def _count_words(channels: int, shown: int, silent: int) -> str:
    if channels == shown:
        text = "Shown are all."
    else:
        text = (
            f"Shown are the {shown} that differ most from one part of this photo to another; "
            f"{channels - shown:,} are not."
        )
    if silent:
        text += f" {silent:,} found nothing: 0 everywhere."
    return text


def planes(way: Way) -> str:
    """The three channels as pictures."""
    return "".join(
        f'<figure><img src="{draw.plane(way.pixels, c)}" alt="The {name} channel">'
        f"<figcaption><code>tensor[0, {c}]</code>, {name}: mean {way.tensor[0, c].mean():.2f}"
        "</figcaption></figure>"
        for c, name in enumerate(draw.CHANNELS)
    )


def rows(stages: Iterable[Stage]) -> str:
    """Every stage as a row of a table."""
    return "\n".join(
        f"<tr><th>{s.name}</th><td><code>{list(s.shape)}</code></td><td><code>{s.dtype}</code></td>"
        + "".join(f'<td class="n">{value:.3g}</td>' for value in (s.low, s.high, s.mean))
        + f"<td>{escape(s.note)}</td></tr>"
        for s in stages
    )
