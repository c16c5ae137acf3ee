"""The pictures of the page: photos, channels, feature maps, a histogram, a strip of bars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.plot import Axis, Frame, Line, Panel, axis, drawing
from ..core.shell import data_address
from .maps import Maps
from .slots import tint
from .way import Reals

LARGEST = 640  # of the long side of a picture on the page, pixels
PLANE = 320  # of a channel as a picture
TILE = 112  # most pixels of a feature map's side
PARTS = 14  # along a side
BINS = 64  # of the bytes 0 to 255
STRIP = 120  # height of the strip of bars, of its drawing's units
CHANNELS = ("red", "green", "blue")
# From nothing to the most: the colours of an oven.
OVEN = ((20, 17, 15), (110, 30, 22), (205, 84, 30), (246, 186, 74), (255, 248, 226))
Channels = tuple[float, float, float]
STYLE = """
.curves .red { stroke: var(--red); } .curves .green { stroke: var(--green); }
.curves .blue { stroke: var(--blue); }
"""


def photo(image: Image.Image, most: int = LARGEST) -> str:
    """A picture as a `data:` address, at most so many pixels on a side."""
    small = image.copy()
    small.thumbnail((most, most))
    return data_address(small, "JPEG", quality=84)


def exact(pixels: NDArray[np.uint8]) -> str:
    """Pixels [H, W, 3] as a `data:` address from which each byte can be read."""
    return data_address(Image.fromarray(pixels), "PNG", optimize=True)


def as_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """A picture as uint8 [H, W, 3]."""
    return np.asarray(image, np.uint8)


def differing_part(
    one: NDArray[np.uint8], other: NDArray[np.uint8], side: int
) -> list[NDArray[np.uint8]]:
    """The same square of two pictures [H, W, 3], so many pixels wide, where they differ most."""
    away = np.abs(one.astype(np.int16) - other).sum(2, dtype=np.int64)
    step, last = max(1, side // 4), max(0, one.shape[0] - side)
    places = [(y, x) for y in range(0, last + 1, step) for x in range(0, last + 1, step)]
    top, left = max(places, key=lambda at: away[at[0] : at[0] + side, at[1] : at[1] + side].sum())
    cut = (slice(top, top + side), slice(left, left + side))
    return [np.ascontiguousarray(pixels[cut]) for pixels in (one, other)]


def plane(pixels: NDArray[np.uint8], channel: int) -> str:
    """One channel of pixels [H, W, 3], in its own colour."""
    colours = np.array([tint(channel, value) for value in range(256)], np.uint8)
    image = Image.fromarray(colours[pixels[:, :, channel]])
    image.thumbnail((PLANE, PLANE))
    return data_address(image, "JPEG", quality=88, subsampling=0)


def tile(values: Reals, low: float, high: float) -> str:
    """One feature map [H, W]: dark where it is `low`, light where it is `high`."""
    values = _pooled(values[None], TILE)[0]
    share = (values - low) / max(high - low, 1e-12)
    steps = np.rint(share.clip(0, 1) * 63).astype(np.uint8)
    image = Image.fromarray(steps)
    image.putpalette(_oven(64).tobytes())
    return data_address(image, "PNG", optimize=True)


def _pooled(maps: Reals, most: int) -> Reals:
    """Maps [C, H, W] as means of squares, at most so many along a side."""
    factor = -(-max(maps.shape[1:]) // most)
    height, width = (side // factor for side in maps.shape[1:])
    cut = maps[:, : height * factor, : width * factor]
    means: Reals = cut.reshape(-1, height, factor, width, factor).mean(axis=(2, 4))
    return means


def _oven(steps: int) -> NDArray[np.uint8]:
    at = np.linspace(0, len(OVEN) - 1, steps)
    stops = np.array(OVEN, float)
    channels = [np.interp(at, np.arange(len(OVEN)), stops[:, c]) for c in range(3)]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, 1)).astype(np.uint8)
    return colours


def liveliest(maps: Maps, count: int) -> list[int]:
    """The channels of feature maps [1, C, H, W] that differ most between parts of the picture.

    Parts, not pixels: the most restless maps are those of the finest textures.
    """
    spread = _pooled(maps[0], PARTS).std(axis=(1, 2))
    return [int(c) for c in np.argsort(-spread, kind="stable")[:count]]


def histogram(pixels: NDArray[np.uint8], mean: Channels, std: Channels) -> str:
    """How often each value of the tensor comes of pixels [H, W, 3], as SVG.

    Counted in the bytes, four of them together: bins of floats would not hold the same number.
    """
    together = 256 // BINS
    share = 100 / (pixels.shape[0] * pixels.shape[1])
    lines = []
    for c, name in enumerate(CHANNELS):
        counts = np.bincount(pixels[:, :, c].ravel(), minlength=256).reshape(BINS, -1).sum(1)
        middles = (together * (np.arange(BINS) + 0.5) - 0.5) / 255
        values = ((middles - mean[c]) / std[c]).tolist()
        points = [(x, share * n) for x, n in zip(values, counts.tolist(), strict=True)]
        lines.append(Line(name, points, name))
    low, high = ends(mean, std)
    across = axis("value in the tensor", [low, high])
    kept = tuple(tick for tick in across.ticks if low - 1e-9 <= tick <= high + 1e-9)
    panel = Panel(
        "", Axis(across.label, low, high, kept, across.write),
        axis("% of the pixels", [0, max(y for line in lines for _, y in line.points)]),
        tuple(lines),
    )  # fmt: skip
    alt = f"How often each value occurs in red, green and blue, from {low:.3g} to {high:.3g}"
    frame = Frame(width=420, height=190, left=44, right=20, top=44)
    return drawing(alt, [panel], frame).svg(style=None)


def ends(mean: Channels, std: Channels) -> tuple[float, float]:
    """What the bytes 0 and 255 become, the furthest of the channels."""
    pairs = list(zip(mean, std, strict=True))
    return min(-m / s for m, s in pairs), max((1 - m) / s for m, s in pairs)


def strip(values: Reals, alt: str) -> str:
    """Numbers [D] as thin bars from a line at zero, as SVG."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = (STRIP - 4) / max(high - low, 1e-12)
    zero = round(2 + scale * high, 1)
    bars = "".join(
        f"M{place},{zero}V{round(zero - scale * float(value), 1)}"
        for place, value in enumerate(values)
        if abs(value) * scale >= 0.1
    )
    width = len(values)
    return (
        f'<svg class="strip" viewBox="0 0 {width} {STRIP}" preserveAspectRatio="none" role="img">'
        f'<title>{alt}</title><path class="bars" d="{bars}"/>'
        f'<path class="zero" d="M0,{zero}H{width}"/></svg>'
    )
