"""Are answers still like those on which a model was judged? The population stability index.

PSI = sum of (now - then) ln(now / then) over the shares of bins. By custom under 0.1 is stable and
over 0.25 a shift worth a look. On few answers luck alone makes some: (bins - 1) / answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError

BINS = 10
STABLE, SHIFTED = 0.1, 0.25
FEW = 200  # answers below which no index is told


@dataclass(frozen=True)
class Spread:
    """How some numbers are spread: rising inner edges of bins [B - 1], the share in each bin [B]
    and the mean."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    mean: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread:
        """Of numbers [N], N at least 1, in bins of about a tenth each; equal ones share a bin."""
        edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
        edges = edges[edges > values.min()]
        counts = np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)
        shares = counts / len(values)
        return cls(tuple(edges.tolist()), tuple(shares.tolist()), float(values.mean()))

    def bin(self, value: float) -> int:
        """The bin of a number."""
        return int(np.searchsorted(self.edges, value, "right"))


@dataclass(frozen=True)
class Reference:
    """The answers to the validation pictures: the share of each verdict, the confidences, and the
    novelties where the model tells them."""

    pictures: int
    verdicts: dict[str, float]
    confidence: Spread
    novelty: Spread | None = None

    @classmethod
    def of(
        cls,
        verdicts: Sequence[str],
        confidence: NDArray[np.float64],
        novelty: NDArray[np.float64] | None,
    ) -> Reference:
        """From the answers to N pictures, N at least 1."""
        names, counts = np.unique(np.asarray(verdicts), return_counts=True)
        shares = zip(names.tolist(), (counts / len(verdicts)).tolist(), strict=True)
        spread = None if novelty is None else Spread.of(novelty)
        return cls(len(verdicts), dict(shares), Spread.of(confidence), spread)

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON-ready values, as a card keeps it."""
        spreads = {"confidence": self.confidence, "novelty": self.novelty}
        told = {name: _told(spread) for name, spread in spreads.items()}
        return {"pictures": self.pictures, "verdicts": dict(self.verdicts), **told}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reference:
        """The reference of a card; raises `ModelFileError` where it is damaged."""
        try:
            verdicts = {str(name): float(share) for name, share in values["verdicts"].items()}
            spreads = (_read(values["confidence"]), _read(values.get("novelty")))
            if spreads[0] is None or not verdicts:
                raise ValueError("it is empty")
            return cls(int(values["pictures"]), verdicts, spreads[0], spreads[1])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(f"the card's reference answers are damaged: {error}") from None


def _told(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {"edges": list(spread.edges), "shares": list(spread.shares), "mean": spread.mean}


def _read(values: Mapping[str, Any] | None) -> Spread | None:
    if values is None:
        return None
    edges, shares = (tuple(float(v) for v in values[name]) for name in ("edges", "shares"))
    if len(shares) != len(edges) + 1 or list(edges) != sorted(edges):
        raise ValueError("bins and shares don't fit")
    return Spread(edges, shares, float(values["mean"]))


def stability(shares: Sequence[float], pictures: int, counts: Sequence[int]) -> float:
    """The PSI of counts [B] now against shares [B] of so many pictures then.

    Half a picture is added to every bin on both sides, so that an empty one is not infinite.
    """
    then = np.asarray(shares, np.float64) * pictures + 0.5
    now = np.asarray(counts, np.float64) + 0.5
    then, now = then / then.sum(), now / now.sum()
    return float(((now - then) * np.log(now / then)).sum())
