"""Small data of any kind: embeddings, labels and groups that a ranking must bear."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


class Data(NamedTuple):
    """Embeddings [N, 4], and for each its label and group."""

    features: NDArray[np.float32]
    labels: list[str]
    groups: list[str]


@st.composite
def any_data(draw: st.DrawFn) -> Data:
    """Up to 30 embeddings, some of them all zero or all equal, in few classes and any groups."""
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    count = draw(st.integers(0, 30))
    features = random.normal(size=(count, 4)).astype(np.float32)
    kind = draw(st.sampled_from(["random", "zero", "equal"]))
    features = {"random": features, "zero": features * 0, "equal": features * 0 + 1}[kind]
    labels = random.integers(0, draw(st.integers(1, 6)), count)
    groups = random.integers(0, draw(st.integers(1, 30)), count)
    return Data(features, [f"c{c}" for c in labels], [f"g{g}" for g in groups])
