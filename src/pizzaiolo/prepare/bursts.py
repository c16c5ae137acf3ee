"""Bursts: photos that one camera took in quick succession show the same thing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

MOST_IN_A_SECOND = 30  # more photos of one second tell of a clock that was never set

Shot = tuple[str | None, str | None]


def burst_pairs(shots: Sequence[Shot], seconds: float) -> Iterator[tuple[int, int]]:
    """Pairs of places in `shots` (camera, ISO 8601 time) that lie in one burst.

    Two photos of one camera belong together where at most `seconds` lie between them, so a burst
    may last longer; with 0 there are none.
    """
    cameras: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    crowd = Counter(shots)
    for place, shot in enumerate(shots):
        camera, captured = shot
        if camera and captured and crowd[shot] <= MOST_IN_A_SECOND and seconds > 0:
            cameras[camera].append((datetime.fromisoformat(captured), place))
    for taken in cameras.values():
        for (earlier, a), (later, b) in pairwise(sorted(taken)):
            if (later - earlier).total_seconds() <= seconds:
                yield (min(a, b), max(a, b))
