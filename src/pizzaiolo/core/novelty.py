"""How unlike everything in training a picture is, from its embedding; NumPy only."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError

Reals = NDArray[np.float32]
KIND = "gaussian"
MOST_TEXT = 300_000  # characters of all arrays together
MOST_FEATURES, MOST_CENTRES = 65_536, 10_000
MOST = 1e9  # a score of what is no number


@dataclass(frozen=True)
class Novelty:
    """A Gaussian around each class, with one covariance: low rank and the rest alike.

    `mean` [D] and the orthonormal `directions` [K, D] are of normalised embeddings, `centres`
    [C, K] and `variances` [K] are along the directions, `rest` is the variance across them. A
    score is a Mahalanobis distance (Lee et al. 2018) in units of `scale`, which is the cut.
    """

    mean: Reals
    directions: Reals
    centres: Reals
    variances: Reals
    rest: float
    scale: float

    def scores(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Embeddings [N, D] -> scores [N], 0 or more: the higher, the less like training."""
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.mean):
            raise ModelFileError(
                f"the novelty facts are of {len(self.mean)} features, "
                f"the model gives {embeddings.shape[1:]}"
            )
        away = normalised(embeddings) - self.mean
        along = away @ self.directions.T
        across = np.maximum((away**2).sum(1) - (along**2).sum(1), 0) / self.rest
        steps = (along[:, None] - self.centres) ** 2 / self.variances
        distance = np.sqrt(steps.sum(2).min(1) + across).astype(np.float64) / self.scale
        return np.asarray(np.nan_to_num(np.minimum(distance, MOST), nan=MOST), np.float64)

    def to_facts(self) -> dict[str, Any]:
        """The statistics as JSON-ready values, for the card."""
        return {
            "kind": KIND,
            "features": len(self.mean),
            "mean": _text(self.mean),
            "directions": _text(self.directions),
            "centres": _text(self.centres),
            "variances": [float(v) for v in self.variances],
            "rest": self.rest,
            "scale": self.scale,
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Novelty:
        """The statistics from a card; raises `ModelFileError` where they are damaged."""
        try:
            return _read(facts)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the novelty facts in the card are damaged: {error}") from None


def normalised(embeddings: NDArray[np.floating[Any]]) -> Reals:
    """Embeddings [N, D], their square roots with sign, at length 1; what has no length stays 0.

    The root keeps a few strong features from hiding all others (Perronnin et al. 2010).
    """
    with np.errstate(all="ignore"):
        given = np.asarray(embeddings, np.float32)
        values = np.sign(given) * np.sqrt(np.abs(given))
        length = np.linalg.norm(values, axis=1, keepdims=True)
        return np.asarray(values / np.maximum(length, 1e-12), np.float32)


def _text(values: Reals) -> str:
    return base64.b64encode(values.astype("<f2").tobytes()).decode("ascii")


def _read(facts: Mapping[str, Any]) -> Novelty:
    if facts["kind"] != KIND:
        raise ValueError(f"the kind is {facts['kind']!r}, expected {KIND!r}")
    features, variances = facts["features"], facts["variances"]
    if type(features) is not int or not 1 <= features <= MOST_FEATURES:
        raise ValueError(f"features are {str(features)[:40]}")
    if not isinstance(variances, list) or len(variances) > features:
        raise ValueError(f"variances are no list of at most {features} numbers")
    names = ("mean", "directions", "centres")
    if sum(len(facts[name]) for name in names) > MOST_TEXT:
        raise ValueError(f"the arrays have more than {MOST_TEXT} characters")
    mean, directions, centres = (_array(facts[name], name) for name in names)
    rank = len(variances)
    if not 0 < len(centres) <= MOST_CENTRES * rank:
        raise ValueError(f"there are {len(centres)} numbers of centres")
    return Novelty(
        mean.reshape(features),
        directions.reshape(rank, features),
        centres.reshape(-1, rank),
        np.array([_positive(v, "a variance") for v in variances], np.float32),
        _positive(facts["rest"], "rest"),
        _positive(facts["scale"], "scale"),
    )


def _array(text: Any, name: str) -> Reals:
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{name} is no base64: {error}") from None
    values = np.frombuffer(raw, "<f2").astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds what is no number")
    return values


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}, expected a number")
    if not math.isfinite(value) or not 1e-12 < value < 1e12:
        raise ValueError(f"{name} is {value!r}, expected a number over 0")
    return float(value)
