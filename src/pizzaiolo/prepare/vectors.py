"""Embeddings as arrays: what those who compare pictures by them share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]  # [N, D]


def unit(features: Features) -> Features:
    """The same directions with length 1, [N, D]; zero stays zero."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, np.finfo(np.float32).tiny), np.float32)
