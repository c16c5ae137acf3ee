"""Bursts: photos that one camera took in quick succession show the same thing."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np

MOST_IN_A_SECOND = 30  # more photos of one second tell of a clock that was never set

Shot = tuple[str | None, str | None]


def burst_pairs(shots: Iterable[Shot], seconds: float) -> Iterator[tuple[int, int]]:
    """Pairs of places in `shots` (camera, ISO 8601 time) that lie in one burst.

    Two photos of one camera belong together where at most `seconds` lie between them, so a burst
    may last longer; with 0 there are none.
    """
    cameras: dict[str, int] = {}
    places, who, when = array("q"), array("q"), array("d")
    for place, (camera, captured) in enumerate(shots if seconds > 0 else ()):
        if camera and captured:
            places.append(place)
            who.append(cameras.setdefault(camera, len(cameras)))
            when.append((datetime.fromisoformat(captured) - datetime.min).total_seconds())
    order = np.lexsort((when, who))
    taken, owner, time = (np.array(values)[order] for values in (places, who, when))
    moment = np.cumsum(np.r_[False, (np.diff(time) != 0) | (np.diff(owner) != 0)][: len(time)])
    alone = np.bincount(moment)[moment] <= MOST_IN_A_SECOND if len(moment) else moment > 0
    taken, owner, time = taken[alone], owner[alone], time[alone]
    near = (np.diff(time) <= seconds) & (np.diff(owner) == 0)
    for a, b in zip(taken[:-1][near].tolist(), taken[1:][near].tolist(), strict=True):
        yield min(a, b), max(a, b)
