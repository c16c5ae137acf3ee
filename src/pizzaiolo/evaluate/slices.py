"""Slices: is the model worse on dark, blurred, small or wide pictures, or on those of one folder?

Each slice is compared with all other pictures. Near-duplicates err together, so groups are counted,
not pictures; and of many slices one looks bad by luck, so the tests are corrected for their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite, nan
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from ..core.labels import human
from ..core.manifest import Row
from .influence import group_codes
from .intervals import wilson

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 4
FEWEST = 10  # groups in a slice, and outside it, for a test that could say anything
MOST_FOLDERS = 20
LEVEL = 0.05  # chance of any false alarm among all slices
UNKNOWN = -1


@dataclass(frozen=True)
class Measure:
    """A number that each picture has; `low` and `high` say what its ends look like."""

    low: str
    high: str
    of: Callable[[Row], float]


def _sharpness(row: Row) -> float:
    """Variance of the Laplacian over that of the grey values: contrast alone doesn't raise it."""
    if row.sharpness is None or not row.contrast:
        return nan
    return row.sharpness / (255 * row.contrast) ** 2


def _short_side(row: Row) -> float:
    return min(row.width, row.height) if row.width and row.height else nan


def _aspect(row: Row) -> float:
    return row.width / row.height if row.width and row.height else nan


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


MEASURES = {
    "brightness": Measure("dark", "bright", lambda row: _or_nan(row.brightness)),
    "contrast": Measure("flat", "contrasty", lambda row: _or_nan(row.contrast)),
    "sharpness": Measure("blurred", "sharp", _sharpness),
    "size": Measure("small", "large", _short_side),
    "aspect": Measure("tall", "wide", _aspect),
}


@dataclass(frozen=True)
class Slice:
    """How good the answers are on some of the pictures, and on all others (`rest`), 0 to 1.

    `by` is what the pictures have in common (`brightness`), `name` says it (`dark, up to 0.31`).
    `p` is the corrected chance of such a gap where there is none, or None for too few pictures;
    `worse` tells whether that is too small to be luck. `low` and `high` bound the accuracy (95 %).
    """

    by: str
    name: str
    n: int
    accuracy: float
    low: float
    high: float
    rest: float
    p: float | None = None
    worse: bool = False

    def to_json(self) -> dict[str, Any]:
        """The slice as metrics.json holds it."""
        return asdict(self)


def slices(rows: Sequence[Row], right: Bools, groups: Sequence[str]) -> list[Slice]:
    """Every slice of the answered pictures: `rows`, `right` and `groups` are one each [N].

    Slices stand by what they have in common, in rising order of the measure.
    """
    codes = group_codes(list(groups))
    parts = [(by, name, inside) for by, name, inside in _parts(rows) if not inside.all()]
    chances = [chance_worse(right, codes, inside) for _, _, inside in parts]
    corrected = iter(holm([chance for chance in chances if chance is not None]))
    found = []
    for (by, name, inside), chance in zip(parts, chances, strict=True):
        p = None if chance is None else next(corrected)
        found.append(_slice(by, name, right, codes, inside, p))
    return found


def worse_slices(found: Sequence[Slice]) -> list[str]:
    """A sentence on each slice that is significantly worse, the surest first."""
    flagged = sorted((s for s in found if s.worse), key=lambda s: s.p or 0.0)
    return [
        f"Worse by {s.by}: {s.name}: {s.accuracy:.1%} of {s.n} right "
        f"({s.low:.1%} to {s.high:.1%}), elsewhere {s.rest:.1%}: train on more such pictures."
        for s in flagged
    ]


def quantile_bins(values: Reals, bins: int = BINS) -> tuple[Reals, Ints]:
    """Inner edges [B - 1] and the bin [N] of each value, at most `bins` of about equal mass.

    Equal values share a bin, no bin is empty; a value that is not finite has the bin -1.
    """
    known = np.isfinite(values)
    codes = np.full(len(values), UNKNOWN, np.int64)
    if not known.any():
        return np.empty(0), codes
    shares = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(values[known], shares, method="lower"))
    edges = edges[edges < values[known].max()]
    codes[known] = np.searchsorted(edges, values[known], side="left")
    return edges, codes


def holm(chances: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979): the chance of any false alarm."""
    raw = np.asarray(chances, np.float64)
    order = np.argsort(raw, kind="stable")
    corrected = np.empty(len(raw))
    steps = raw[order] * np.arange(len(raw), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(p) for p in corrected]


def _parts(rows: Sequence[Row]) -> Iterator[tuple[str, str, Bools]]:
    """What the slices have in common, the name, and which pictures [N] lie inside."""
    seen: set[bytes] = set()  # a folder for each class is no second question
    for by, name, inside in (*_by_class(rows), *_by_folder(rows), *_by_measure(rows)):
        if inside.tobytes() not in seen:
            seen.add(inside.tobytes())
            yield by, name, inside


def _by_class(rows: Sequence[Row]) -> Iterator[tuple[str, str, Bools]]:
    yield from _by_name("class", [row.label for row in rows], len(rows), human)


def _by_folder(rows: Sequence[Row]) -> Iterator[tuple[str, str, Bools]]:
    folders = [str(PurePosixPath(row.path.replace("\\", "/")).parent) for row in rows]
    yield from _by_name("folder", folders, MOST_FOLDERS, str)


def _by_name(
    by: str, names: Sequence[str], most: int, say: Callable[[str], str]
) -> Iterator[tuple[str, str, Bools]]:
    kept = sorted(name for name, _ in Counter(names).most_common(most))
    for name in kept:
        yield by, say(name), np.array([other == name for other in names])


def _by_measure(rows: Sequence[Row]) -> Iterator[tuple[str, str, Bools]]:
    for by, measure in MEASURES.items():
        edges, codes = quantile_bins(np.array([measure.of(row) for row in rows], np.float64))
        for code in range(len(edges) + 1 if len(edges) else 0):
            yield by, _bin_name(measure, edges, code), codes == code


def _bin_name(measure: Measure, edges: Reals, code: int) -> str:
    if code == 0:
        return f"{measure.low}, up to {edges[0]:.4g}"
    if code == len(edges):
        return f"{measure.high}, over {edges[-1]:.4g}"
    return f"{edges[code - 1]:.4g} to {edges[code]:.4g}"


def chance_worse(right: Bools, groups: Ints, inside: Bools) -> float | None:
    """Fisher's chance of so many wrong groups inside where inside is no worse than outside."""
    table = [_wrong_and_right(right[part], groups[part]) for part in (inside, ~inside)]
    if min(map(sum, table)) < FEWEST:
        return None
    p = float(fisher_exact(table, alternative="greater").pvalue)
    return min(1.0, p) if isfinite(p) else None


def _wrong_and_right(right: Bools, groups: Ints) -> tuple[int, int]:
    """How many groups hold a wrong answer, and how many hold none."""
    wrong = len(np.unique(groups[~right]))
    return wrong, len(np.unique(groups)) - wrong


def _slice(by: str, name: str, right: Bools, groups: Ints, inside: Bools, p: float | None) -> Slice:
    accuracy, independent = float(right[inside].mean()), len(np.unique(groups[inside]))
    low, high = wilson(accuracy * independent, independent)
    rest = float(right[~inside].mean())
    worse = p is not None and p < LEVEL and accuracy < rest
    return Slice(by, name, int(inside.sum()), accuracy, low, high, rest, p, worse)
