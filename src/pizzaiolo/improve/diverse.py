"""Which few of many: worth much each, and different from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..prepare.vectors import Features

TINY = 1e-10  # of a quality's square: what is left of a direction by rounding alone


def pick(quality: NDArray[np.float64], directions: Features, count: int) -> list[int]:
    """Places of the `count` best of N, in the order in which they were taken.

    `quality` [N] is over 0; `directions` [N, D] have length 1. The set taken is a likely one of a
    determinantal point process (Kulesza and Taskar 2012): its chance is the squared volume that
    directions times quality span, so what is like an earlier one adds little. Greedily, by the
    fast algorithm of Chen, Zhang and Zhou (2018): time and memory are `count` times N.
    """
    total = len(quality)
    count = min(count, total)
    left = quality.astype(np.float64) ** 2  # squared length that earlier ones do not span
    spanned = np.zeros((count, total))
    free, taken = np.ones(total, np.bool_), list[int]()
    for step in range(count):
        # When all that is left is spanned (more than D of them), quality alone decides.
        worth = left if left[free].max() > TINY else quality
        place = int(np.argmax(np.where(free, worth, -np.inf)))
        taken.append(place)
        free[place] = False
        if left[place] > TINY:
            similar = quality[place] * quality * (directions @ directions[place])
            row = (similar - spanned[:step, place] @ spanned[:step]) / np.sqrt(left[place])
            spanned[step] = row
            left = np.maximum(left - row**2, 0)
    return taken
