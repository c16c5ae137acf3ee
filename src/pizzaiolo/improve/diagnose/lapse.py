"""Mistakes that no doubt explains: a lapse rate beside the usual fall of mistakes with certainty.

A model's own mistakes grow rare as its lead grows, as 1 / (1 + e^(a lead)) at some temperature;
what stays however large the lead is lapses (Wichmann and Hill 2001). Pure functions on arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

SLOPES = np.exp(np.linspace(-3, 3, 41))  # of leads that are 1 on average
RATES = np.linspace(0, 0.4, 41)
MOST = 4000  # pictures that are enough to tell


def lapses(lead: Reals, wrong: Bools, seed: int = 0) -> tuple[float, float]:
    """The likeliest share of lapses, 0 to 0.4, and how much likelier than none: twice the log.

    `lead` [N] are log-odds of each answer against the next one, `wrong` [N] the mistakes.
    """
    if len(lead) > MOST:
        rows = np.random.default_rng(seed).permutation(len(lead))[:MOST]
        lead, wrong = lead[rows], wrong[rows]
    mean = lead.mean() if len(lead) else 0.0
    if mean <= 0:
        return 0.0, 0.0
    own = expit(-SLOPES[:, None] * lead / mean)
    costs = np.array([_cost(own, wrong, rate) for rate in RATES])
    best = int(costs.argmin())
    return float(RATES[best]), float(2 * (costs[0] - costs[best]))


def _cost(own: Reals, wrong: Bools, rate: float) -> float:
    """The negative log-likelihood at the best slope, for mistakes [slopes, N] without lapses."""
    chance = np.clip(rate + (1 - 2 * rate) * own, 1e-9, 1 - 1e-9)
    return float(-np.where(wrong, np.log(chance), np.log1p(-chance)).sum(axis=1).max())
